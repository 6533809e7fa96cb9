//! Detects trainings that learn nothing: all channels of the module are dead, or the loss stays at that of a
//! guess.
//!
//! It needs only what a step has anyway: the loss, and twice per epoch the pooled vectors of the batch.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::feed::Course;
use super::log::Entry;
use crate::{Result, device};

/// Values of a channel count as equal if they differ by at most this share of the largest value: that is
/// rounding.
const ALIKE: f64 = 1e-6;

/// A loss equals that of a guess if it differs from it by at most this share. The loss of a module whose
/// vectors carry information varies more from batch to batch.
const HAIR: f64 = 1e-5;

/// Steps at the loss of a guess before that is reported during a training: modules drawn with small values
/// begin like that, too. Also the steps needed to compare a mean loss with that of a guess.
const STEPS: u64 = 100;

/// A mean loss equals that of a guess if it is below it by at most this share, or by at most its own
/// uncertainty.
const MARGIN: f64 = 2e-4;

/// The uncertainty of a mean, in standard errors.
const ERRORS: f64 = 2.0;

/// A training has gone wrong if its loss is above the loss of a guess times this, and does not fall.
const FAR_ABOVE: f64 = 2.0;

/// The sign that a training learns nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LearnsNothing {
    /// Every channel is 0 for every sample.
    Zero,
    /// Every channel is the same for every sample.
    Constant,
    /// The loss is no smaller than that of a guess.
    Chance,
}

impl LearnsNothing {
    /// The sign in words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Zero => "all channels are dead: 0 for every sample",
            Self::Constant => "all channels are dead: the same for every sample",
            Self::Chance => "its loss is no smaller than that of a guess",
        }
    }
}

/// Whether the pooled vectors of a step, counted from 0, are checked: in the middle and at the end of an epoch.
/// Twice, because channels that are dead for one batch may recover through the optimiser's momentum.
pub fn is_looked_at(step: u64, steps_per_epoch: u64) -> bool {
    let done = (step + 1) % steps_per_epoch.max(1);
    done == 0 || done == steps_per_epoch / 2
}

/// Whether all channels of the pooled vectors `[batch, rows, columns, channels]` are dead, and how.
///
/// # Errors
/// When they cannot be read.
pub fn dead(pooled: &Tensor) -> Result<Option<LearnsNothing>> {
    let batch = pooled.dim(0)?;
    let values = device::home(&pooled.flatten_all()?)?.to_vec1::<f32>()?;
    let Some(sample) = values.chunks_exact((values.len() / batch.max(1)).max(1)).next() else {
        return Ok(None);
    };
    let (mut least, mut most) = (sample.to_vec(), sample.to_vec());
    for sample in values.chunks_exact(sample.len()) {
        for ((least, most), value) in least.iter_mut().zip(&mut most).zip(sample) {
            *least = least.min(*value);
            *most = most.max(*value);
        }
    }
    let both = || least.iter().zip(&most).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    let largest = both().fold(0.0f64, |largest, (a, b)| largest.max(-a).max(b));
    let widest = both().fold(0.0f64, |widest, (a, b)| widest.max(b - a));
    Ok(match largest {
        0.0 => Some(LearnsNothing::Zero),
        // A single sample cannot show that.
        _ if batch > 1 && widest <= ALIKE * largest => Some(LearnsNothing::Constant),
        _ => None,
    })
}

/// Sums of losses.
#[derive(Debug, Clone, Copy, Default)]
struct Losses {
    count: u64,
    sum: f64,
    squares: f64,
}

impl Losses {
    fn add(&mut self, loss: f64) {
        let Self { count, sum, squares } = *self;
        *self = Self { count: count + 1, sum: sum + loss, squares: squares + loss * loss };
    }

    fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
        }
    }

    fn mean(self) -> f64 {
        self.sum / self.count.max(1) as f64
    }

    /// The standard error of the mean.
    fn error(self) -> f64 {
        let count = self.count.max(1) as f64;
        let variance = self.squares / count - self.mean().powi(2);
        (variance.max(0.0) / count).sqrt()
    }
}

/// Watches a training for signs that it learns nothing.
pub struct Doubt {
    /// The loss of a guess, where it is known.
    chance: Option<f64>,
    steps_per_epoch: u64,
    /// The losses of the first epoch, and of the newest epoch after it.
    first: Losses,
    newest: Losses,
    /// The losses of the last steps, in two parts; the second is being filled. They tell how the training goes
    /// now, without its start.
    recent: [Losses; 2],
    /// The number of consecutive steps up to now whose loss equals that of a guess.
    at_chance: u64,
    /// The result for the batch that was checked last.
    dead: Option<LearnsNothing>,
    told: bool,
    found: Option<LearnsNothing>,
}

impl Doubt {
    /// A watcher for a training with this course.
    pub fn new(chance: Option<f64>, course: &Course) -> Self {
        Self {
            chance: chance.filter(|it| it.is_finite()),
            steps_per_epoch: course.steps_per_epoch().max(1),
            first: Losses::default(),
            newest: Losses::default(),
            recent: [Losses::default(); 2],
            at_chance: 0,
            dead: None,
            told: false,
            found: None,
        }
    }

    /// Continues from the log of earlier attempts.
    pub fn resume(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.count(entry);
            if self.ends_an_epoch(entry) {
                self.found = entry.learns_nothing;
                self.told |= self.found.is_some();
            }
        }
    }

    /// Adds a step; `dead` is the result of [`dead`] for its batch. At the end of an epoch, and `at_end` of the
    /// training, the sign found is written into the entry. It is returned if the user should be told, which is
    /// once per training.
    pub fn add(
        &mut self,
        entry: &mut Entry,
        dead: Option<LearnsNothing>,
        at_end: bool,
    ) -> Option<LearnsNothing> {
        self.count(entry);
        let mut before = self.dead;
        if is_looked_at(entry.step, self.steps_per_epoch) {
            before = std::mem::replace(&mut self.dead, dead);
        }
        if !at_end && !self.ends_an_epoch(entry) {
            return None;
        }
        let dead = before.and(self.dead);
        self.found = dead.or_else(|| self.is_at_chance(at_end).then_some(LearnsNothing::Chance));
        entry.learns_nothing = self.found;
        let was_told = self.told;
        self.told |= self.found.is_some();
        self.found.filter(|_| !was_told)
    }

    /// The sign found at the end of the last epoch.
    pub fn found(&self) -> Option<LearnsNothing> {
        self.found
    }

    fn ends_an_epoch(&self, entry: &Entry) -> bool {
        (entry.step + 1).is_multiple_of(self.steps_per_epoch)
    }

    fn count(&mut self, entry: &Entry) {
        if entry.step.is_multiple_of(self.steps_per_epoch) {
            self.newest = Losses::default();
        }
        match entry.step < self.steps_per_epoch {
            true => self.first.add(entry.loss),
            false => self.newest.add(entry.loss),
        }
        let [before, now] = &mut self.recent;
        if now.count >= (self.steps_per_epoch / 2).clamp(STEPS, 10 * STEPS) {
            (*before, *now) = (*now, Losses::default());
        }
        now.add(entry.loss);
        let is_there = |chance: f64| (entry.loss - chance).abs() <= HAIR * chance.abs();
        self.at_chance = if self.chance.is_some_and(is_there) { self.at_chance + 1 } else { 0 };
    }

    fn is_at_chance(&self, at_end: bool) -> bool {
        let Some(chance) = self.chance else { return false };
        if !at_end {
            return self.at_chance >= STEPS.max(self.steps_per_epoch);
        }
        let [before, now] = self.recent;
        let recent = before.and(now);
        let margin = (MARGIN * chance.abs()).max(ERRORS * recent.error());
        let far_above = FAR_ABOVE * chance.abs();
        self.at_chance >= self.steps_per_epoch
            || recent.count >= STEPS && recent.mean() >= chance - margin
            || self.newest.mean() > far_above && self.newest.mean() >= self.first.mean()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn of(values: &[f32], batch: usize) -> Option<LearnsNothing> {
        let shape = (batch, values.len() / batch / 2, 1, 2);
        dead(&Tensor::from_slice(values, shape, &Device::Cpu).unwrap()).unwrap()
    }

    #[test]
    fn channels_are_dead_that_say_nothing_of_samples() {
        assert_eq!(of(&[0.0; 8], 2), Some(LearnsNothing::Zero));
        assert_eq!(of(&[0.5, 2.0, 0.5, 2.0], 2), Some(LearnsNothing::Constant));
        assert_eq!(
            of(&[0.5, 2.0, 7.0, -1.0, 0.5, 2.0, 7.0, -1.0], 2),
            Some(LearnsNothing::Constant)
        );
        assert_eq!(of(&[0.5, 2.0, 0.5, 2.01], 2), None);
        assert_eq!(of(&[0.0, 0.0, 0.0, 1e-20], 2), None, "small is not dead");
        assert_eq!(of(&[0.5, 2.0], 1), None);
        assert_eq!(of(&[0.0, 0.0], 1), Some(LearnsNothing::Zero));
    }

    fn course(steps_per_epoch: usize, epochs: usize) -> Course {
        let (seed, module, samples) = (0, String::new(), steps_per_epoch);
        Course { seed, module, samples, views: 1, batch: 1, epochs }
    }

    /// What the user is told, and after which step, for these losses.
    fn told(losses: &[f64], steps_per_epoch: usize) -> Vec<(u64, LearnsNothing)> {
        let mut doubt = Doubt::new(Some(2.0), &course(steps_per_epoch, 9));
        let mut told = Vec::new();
        for (step, loss) in losses.iter().enumerate() {
            let mut entry = Entry { step: step as u64, loss: *loss, ..Entry::default() };
            let found = doubt.add(&mut entry, None, step + 1 == losses.len());
            told.extend(found.map(|it| (entry.step, it)));
        }
        told
    }

    #[test]
    fn a_loss_that_stays_at_a_guess_is_told_once() {
        use LearnsNothing::Chance;
        assert_eq!(told(&[2.0; 300], 100), [(99, Chance)]);
        assert_eq!(told(&[2.0; 30], 10), [(29, Chance)], "too few steps to say it before the end");
        assert_eq!(told(&[2.3; 300], 100), [(299, Chance)], "above a guess");
        assert_eq!(told(&[2.3; 30], 10), [], "it may have begun there");
        assert_eq!(told(&[4.1, 4.2, 90.0, 90.0], 2), [(3, Chance)], "far above, and rising");
        assert_eq!(told(&[90.0, 90.0, 4.1, 4.2], 2), [], "and falling");
        assert_eq!(told(&[90.0, 90.0], 2), [], "one epoch tells nothing");
        let noisy = |mean: f64| -> Vec<f64> {
            (0..300).map(|step| mean + 0.02 * f64::from(step % 2 * 2 - 1)).collect()
        };
        assert_eq!(told(&noisy(2.0), 100), [(299, Chance)]);
        assert_eq!(told(&noisy(1.99), 100), []);
        let learning: Vec<f64> = (0..300).map(|step| 2.3 - 0.002 * f64::from(step)).collect();
        assert_eq!(told(&learning, 100), []);
        let late = [[2.0; 90].as_slice(), &[1.5; 10]].concat();
        assert_eq!(told(&late, 50), []);
    }

    #[test]
    fn channels_are_dead_that_two_looks_find_dead() {
        use LearnsNothing::Zero;
        for epoch in [1, 2, 5] {
            let mut doubt = Doubt::new(None, &course(epoch as usize, 9));
            let mut told = Vec::new();
            // Dead for one check, and again from the fifth epoch on.
            for step in 0..9 * epoch {
                let mut entry = Entry { step, epoch: step / epoch, ..Entry::default() };
                let is_dead = entry.epoch >= 4 || step + 1 == 2 * epoch;
                let dead = (is_looked_at(step, epoch) && is_dead).then_some(Zero);
                let found = doubt.add(&mut entry, dead, false);
                told.extend(found.map(|it| (entry.epoch, it)));
            }
            assert_eq!(told, [(if epoch == 1 { 5 } else { 4 }, Zero)], "{epoch} steps an epoch");
            assert_eq!(doubt.found(), Some(Zero));
        }
    }

    #[test]
    fn an_attempt_that_goes_on_does_not_tell_it_again() {
        let entry = |step| Entry { step, loss: 2.0, ..Entry::default() };
        let mut entries: Vec<Entry> = (0..150).map(entry).collect();
        entries[99].learns_nothing = Some(LearnsNothing::Chance);
        let mut doubt = Doubt::new(Some(2.0), &course(100, 3));
        doubt.resume(&entries);
        assert_eq!(doubt.found(), Some(LearnsNothing::Chance));
        for step in 150..300 {
            assert_eq!(doubt.add(&mut entry(step), None, step == 299), None);
        }
        assert_eq!(doubt.found(), Some(LearnsNothing::Chance));
    }
}
