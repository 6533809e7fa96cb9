//! Mixes rows of older generations among the newest: the same samples, from earlier weights and other frozen
//! views. So a module trains on more than the newest generation.

use gimlet_store::Keys;

use super::input::{Input, Layout, Look};
use crate::random::generator;
use crate::{Error, Kind, Result};

/// The newest input, in which each row comes from an older one with some probability when it is read for an
/// epoch of training. Keys and frozen rows are the newest input's.
pub struct Replayed {
    /// The inputs, the newest first.
    inputs: Vec<Box<dyn Input>>,
    share: f64,
    seed: u64,
    purpose: String,
}

/// The rows to read from one input.
struct Group<'a> {
    input: &'a dyn Input,
    rows: Vec<u64>,
}

impl Replayed {
    /// Replaces each row of `newest`, with probability `share`, by the row of an `older` input; all of these
    /// are equally likely. Drawn from (seed, module, epoch, row). Without older inputs, the result is `newest`.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when the inputs differ in their numbers of samples or views, or in shape.
    pub fn new(
        newest: Box<dyn Input>,
        older: Vec<Box<dyn Input>>,
        share: f64,
        seed: u64,
        module: &str,
    ) -> Result<Self> {
        let expected = newest.layout();
        if let Some(other) = older.iter().map(|it| it.layout()).find(|it| *it != expected) {
            let message = format!(
                "an older generation of what `{module}` reads is not like the newest: it is {other:?}, \
                 not {expected:?}"
            );
            return Err(Error::new(Kind::Damaged, message));
        }
        let inputs = [newest].into_iter().chain(older).collect();
        Ok(Self { inputs, share, seed, purpose: format!("{module}/replay") })
    }

    /// The input that a row comes from.
    fn source(&self, row: u64, look: Look) -> usize {
        let older = self.inputs.len() as u32 - 1;
        let Look::Fresh { epoch } = look else { return 0 };
        let mut draws = generator(self.seed, &self.purpose, &[epoch, row]);
        match older > 0 && f64::from(draws.unit()) < self.share {
            true => 1 + draws.below(older) as usize,
            false => 0,
        }
    }

    /// The places of `rows`, grouped by input; then the rows to read from each input.
    fn grouped(&self, rows: &[u64], look: Look) -> (Vec<usize>, Vec<Group<'_>>) {
        let sources: Vec<usize> = rows.iter().map(|row| self.source(*row, look)).collect();
        let mut places: Vec<usize> = (0..rows.len()).collect();
        places.sort_by_key(|place| sources[*place]);
        let groups = places.chunk_by(|a, b| sources[*a] == sources[*b]);
        let groups = groups.map(|group| {
            let input = self.inputs[sources[group[0]]].as_ref();
            Group { input, rows: group.iter().map(|place| rows[*place]).collect() }
        });
        let groups = groups.collect();
        (places, groups)
    }
}

impl Input for Replayed {
    fn layout(&self) -> Layout {
        self.inputs[0].layout()
    }

    fn keys(&self) -> Result<Keys> {
        self.inputs[0].keys()
    }

    fn will_need(&self, rows: &[u64], look: Look) -> Result<()> {
        let (_, groups) = self.grouped(rows, look);
        groups.iter().try_for_each(|it| it.input.will_need(&it.rows, look))
    }

    fn read(&self, rows: &[u64], look: Look, out: &mut [f32]) -> Result<()> {
        let len = self.row_len();
        let (places, groups) = self.grouped(rows, look);
        let mut rest = &mut *out;
        for Group { input, rows } in groups {
            let (of_input, others) = rest.split_at_mut(rows.len() * len);
            input.read(&rows, look, of_input)?;
            rest = others;
        }
        move_rows(out, len, places);
        Ok(())
    }
}

/// Moves row `i` to `places[i]`, for all `i`, within `rows`: this costs less than new memory.
fn move_rows(rows: &mut [f32], len: usize, mut places: Vec<usize>) {
    for i in 0..places.len() {
        while places[i] != i {
            // The row at `i` goes to its place, and the row from there is next.
            let home = places[i];
            let (low, high) = rows.split_at_mut(i.max(home) * len);
            low[i.min(home) * len..][..len].swap_with_slice(&mut high[..len]);
            places.swap(i, home);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::test_input::{ROWS, Ramps};

    const FRESH: Look = Look::Fresh { epoch: 3 };

    /// An input with the newest generation 0 and older ones 1, 2, ...
    fn replayed(older: u64, share: f64) -> Replayed {
        let generation = |it| Box::new(Ramps::of(it)) as Box<dyn Input>;
        let older = (1..=older).map(generation).collect();
        Replayed::new(generation(0), older, share, 7, "b").unwrap()
    }

    fn read(input: &dyn Input, rows: &[u64], look: Look) -> Vec<Vec<f32>> {
        let mut out = vec![0.0; rows.len() * input.row_len()];
        input.read(rows, look, &mut out).unwrap();
        out.chunks(input.row_len()).map(<[f32]>::to_vec).collect()
    }

    /// The generation that each row came from. All values of a row must agree on it.
    fn sources(rows: &[u64], read: &[Vec<f32>]) -> Vec<u64> {
        let source = |(row, values): (&u64, &Vec<f32>)| {
            let found = (0..4).find(|it| Ramps::of(*it).row(*row) == *values);
            found.expect("a row of one of the generations")
        };
        rows.iter().zip(read).map(source).collect()
    }

    #[test]
    fn the_share_comes_from_all_older_ones_alike_and_each_row_is_its_own_sample() {
        let rows: Vec<u64> = (0..ROWS as u64).rev().collect();
        let input = replayed(3, 0.4);
        let mut counts = [0usize; 4];
        for epoch in 0..20 {
            let found = sources(&rows, &read(&input, &rows, Look::Fresh { epoch }));
            found.iter().for_each(|it| counts[*it as usize] += 1);
        }
        let shares = counts.map(|it| it as f64 / (20 * ROWS) as f64);
        assert!((shares[0] - 0.6).abs() < 0.05, "{shares:?}");
        assert!(shares[1..].iter().all(|it| (it - 0.4 / 3.0).abs() < 0.04), "{shares:?}");
    }

    #[test]
    fn a_row_is_the_same_in_an_epoch_whatever_is_read_with_it_and_another_in_others() {
        let input = replayed(2, 0.5);
        let rows: Vec<u64> = (0..ROWS as u64).collect();
        let all = read(&input, &rows, FRESH);
        for row in &rows {
            assert_eq!(read(&input, &[*row], FRESH)[0], all[*row as usize], "{row}");
        }
        let reverse: Vec<u64> = rows.iter().rev().copied().collect();
        let mut backwards = read(&input, &reverse, FRESH);
        backwards.reverse();
        assert!(backwards == all);
        assert!(read(&input, &rows, Look::Fresh { epoch: 4 }) != all);
        let in_threads = std::thread::scope(|scope| {
            let halves = [&rows[..20], &rows[20..]];
            let halves = halves.map(|rows| scope.spawn(|| read(&input, rows, FRESH)));
            halves.map(|half| half.join().unwrap()).concat()
        });
        assert!(in_threads == all);
    }

    #[test]
    fn a_frozen_look_and_keys_are_those_of_the_newest() {
        let rows: Vec<u64> = (0..ROWS as u64).collect();
        let input = replayed(2, 0.9);
        let newest = Ramps::of(0);
        assert!(read(&input, &rows, Look::Frozen) == read(&newest, &rows, Look::Frozen));
        assert_eq!(input.keys().unwrap().ids, newest.keys().unwrap().ids);
        assert!(read(&replayed(0, 0.9), &rows, FRESH) == read(&newest, &rows, FRESH));
    }

    #[test]
    fn what_the_system_is_told_of_is_what_is_read() {
        let input = replayed(2, 0.5);
        let rows: Vec<u64> = (0..ROWS as u64).collect();
        let (places, groups) = input.grouped(&rows, FRESH);
        assert_eq!(groups.len(), 3);
        let found = sources(&rows, &read(&input, &rows, FRESH));
        let mut sorted = found.clone();
        sorted.sort_unstable();
        assert_eq!(places.iter().map(|it| found[*it]).collect::<Vec<_>>(), sorted);
        assert!(input.will_need(&rows, FRESH).is_ok());
    }

    #[test]
    fn an_older_generation_of_another_shape_is_refused() {
        let narrow = Box::new(Ramps { width: 3, ..Ramps::of(1) });
        let made = Replayed::new(Box::new(Ramps::of(0)), vec![narrow], 0.5, 7, "b");
        let message = made.err().expect("an error").to_string();
        assert!(message.contains("an older generation of what `b` reads"), "{message}");
    }
}
