//! Where the negatives of predictions along a sequence come from.

use serde::{Deserialize, Serialize};

use super::Negatives;
use super::window::Window;
use crate::random::Draws;

/// How negatives are drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampling {
    /// By random orders of all vectors of the batch. All prediction steps share the orders: a step with n positions
    /// takes the last n vectors of each. So positions of two steps that are equally far from the end have the same
    /// negatives. The positive is not excluded.
    #[default]
    Permutation,
    /// By random distances from the positive among all vectors of the batch, never 0. Each prediction step draws its
    /// own.
    Offsets,
    /// By random orders of each sequence alone, otherwise like `Permutation`.
    Sequence,
}

impl Sampling {
    /// Draws `count` negatives for each position of prediction steps 1 to `steps`, as numbers of vectors of the whole
    /// batch. Draws only what is read.
    pub(super) fn draw(
        self,
        window: Window,
        steps: usize,
        count: usize,
        draws: &mut Draws,
    ) -> Negatives {
        let Window { batch, rows, .. } = window;
        match self {
            Self::Permutation => permuted([1, batch], window, steps, count, draws),
            Self::Sequence => permuted([batch, 1], window, steps, count, draws),
            Self::Offsets => {
                let all = (batch * rows) as u32;
                let mut from = |target: u32| (target + 1 + draws.below(all - 1)) % all;
                let mut of_step = |step| {
                    let targets = window.targets(step);
                    targets.flat_map(|it| std::iter::repeat_n(it, count)).map(&mut from).collect()
                };
                (1..=steps).map(&mut of_step).collect()
            }
        }
    }
}

/// Draws negatives by random orders within each of `pools` pools of `sequences` sequences.
fn permuted(
    [pools, sequences]: [usize; 2],
    window: Window,
    steps: usize,
    count: usize,
    draws: &mut Draws,
) -> Negatives {
    let pool = sequences * window.rows;
    let positions = |step: usize| sequences * window.len.saturating_sub(step);
    let mut negatives: Negatives =
        (1..=steps).map(|step| vec![0; pools * positions(step) * count]).collect();
    for place in 0..count {
        for index in 0..pools {
            let order = draws.end_of_permutation(pool, positions(1));
            for (step, negatives) in (1..).zip(&mut negatives) {
                let positions = positions(step);
                let numbers = &order[order.len() - positions..];
                let rows = negatives[index * positions * count..].chunks_exact_mut(count);
                for (row, number) in rows.zip(numbers) {
                    row[place] = (index * pool) as u32 + number;
                }
            }
        }
    }
    negatives
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::random::generator;

    const ALL: [Sampling; 3] = [Sampling::Permutation, Sampling::Offsets, Sampling::Sequence];

    prop_compose! {
        fn windows()(batch in 1..5usize, len in 2..12usize, start in 0..5usize, rest in 0..5usize)
            -> Window
        {
            Window { batch, rows: start + len + rest, start, len }
        }
    }

    proptest! {
        #[test]
        fn every_position_has_its_negatives_out_of_the_batch(
            window in windows(), steps in 1..12usize, count in 1..5usize, seed: u64,
        ) {
            let steps = steps.min(window.len - 1);
            for sampling in ALL {
                let drawn = sampling.draw(window, steps, count, &mut generator(seed, "test", &[]));
                prop_assert_eq!(drawn.len(), steps);
                for (step, negatives) in (1..).zip(&drawn) {
                    let targets: Vec<u32> = window.targets(step).collect();
                    prop_assert_eq!(targets.len(), window.positions(step));
                    prop_assert_eq!(negatives.len(), targets.len() * count);
                    prop_assert!(negatives.iter().all(|it| (*it as usize) < window.vectors()));
                    for (negatives, target) in negatives.chunks(count).zip(&targets) {
                        let same = |it: &u32| it / window.rows as u32 == target / window.rows as u32;
                        match sampling {
                            Sampling::Permutation => {}
                            Sampling::Offsets => prop_assert!(!negatives.contains(target)),
                            Sampling::Sequence => prop_assert!(negatives.iter().all(same)),
                        }
                    }
                }
            }
        }

        #[test]
        fn what_is_read_of_an_order_has_no_number_twice_and_is_the_same_for_all_steps(
            window in windows(), steps in 1..12usize, count in 1..5usize, seed: u64,
        ) {
            let steps = steps.min(window.len - 1);
            for (sampling, pools) in [(Sampling::Permutation, 1), (Sampling::Sequence, window.batch)] {
                let drawn = sampling.draw(window, steps, count, &mut generator(seed, "test", &[]));
                // The numbers of one order in step `step`.
                let order = |step: usize, pool: usize, place: usize| -> Vec<u32> {
                    let positions = window.positions(step) / pools;
                    let rows = drawn[step - 1].chunks(count).map(|row| row[place]);
                    rows.skip(pool * positions).take(positions).collect()
                };
                for (pool, place) in (0..pools).flat_map(|it| (0..count).map(move |n| (it, n))) {
                    let longest = order(1, pool, place);
                    let different: HashSet<u32> = longest.iter().copied().collect();
                    prop_assert_eq!(different.len(), longest.len());
                    for step in 2..=steps {
                        let end = order(step, pool, place);
                        prop_assert_eq!(&end[..], &longest[longest.len() - end.len()..]);
                    }
                }
            }
        }

        #[test]
        fn nothing_is_drawn_that_is_not_read(
            window in windows(), steps in 1..12usize, count in 1..5usize, seed: u64,
        ) {
            let steps = steps.min(window.len - 1);
            for sampling in ALL {
                let [mut draws, mut counted] = [0, 1].map(|_| generator(seed, "test", &[]));
                sampling.draw(window, steps, count, &mut draws);
                let mut end_of_order = |pool: usize, len: usize| {
                    for left in ((pool - len).max(1)..pool).rev() {
                        counted.below(left as u32 + 1);
                    }
                };
                match sampling {
                    Sampling::Permutation => (0..count)
                        .for_each(|_| end_of_order(window.vectors(), window.positions(1))),
                    Sampling::Sequence => (0..count * window.batch)
                        .for_each(|_| end_of_order(window.rows, window.len - 1)),
                    Sampling::Offsets => {
                        let positions: usize = (1..=steps).map(|it| window.positions(it)).sum();
                        for _ in 0..positions * count {
                            counted.below(window.vectors() as u32 - 1);
                        }
                    }
                }
                prop_assert_eq!(draws.next_u64(), counted.next_u64());
            }
        }
    }

    #[test]
    fn offsets_reach_every_vector_but_the_positive_alike() {
        let window = Window { batch: 2, rows: 4, start: 1, len: 2 };
        let drawn = Sampling::Offsets.draw(window, 1, 7000, &mut generator(1, "test", &[]));
        for (negatives, target) in drawn[0].chunks(7000).zip(window.targets(1)) {
            let mut seen = [0u32; 8];
            negatives.iter().for_each(|it| seen[*it as usize] += 1);
            assert_eq!(seen[target as usize], 0);
            assert_eq!(seen.iter().filter(|times| (850..1150).contains(*times)).count(), 7);
        }
    }
}
