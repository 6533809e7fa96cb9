//! The logs of a run's trainings, module after module.

use super::run_view::{Missing, RunView};
use crate::Result;
use crate::stage::origin::Origin;
use crate::stage::{At, Step};
use crate::train::log::{self, Entry};

/// A step of a training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The round, from 0; 0 in runs without rounds.
    pub round: usize,
    /// The log's entry for the step.
    pub entry: Entry,
}

/// The training of a module so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The name of the module.
    pub module: String,
    /// The module's place in the stack, from 0.
    pub index: usize,
    /// The steps in order; never empty.
    pub points: Vec<Point>,
    /// Whether the training is complete.
    pub is_whole: bool,
    /// The loss of a guess, where that is known.
    pub chance_loss: Option<f64>,
    /// The accuracy of a guess, where there is an accuracy.
    pub chance_accuracy: Option<f64>,
    /// The loss that the probe found on the test split after training.
    pub probed_loss: Option<f64>,
}

impl Curve {
    /// Whether held-out rows of the test split were measured during the training.
    pub fn has_held_out(&self) -> bool {
        self.points.iter().any(|it| it.entry.held_out.is_some())
    }
}

/// The trainings of a run with its present settings, and the missing ones.
///
/// # Errors
/// When a log or a record cannot be read.
pub fn read(run: &RunView<'_>) -> Result<(Vec<Curve>, Vec<Missing>)> {
    let (mut curves, mut missing) = (Vec::new(), Vec::new());
    for index in 0..run.pipeline.modules.len() {
        run.check_stop()?;
        match curve(run, index)? {
            Ok(curve) => curves.push(curve),
            Err(it) => missing.push(it),
        }
    }
    Ok((curves, missing))
}

fn curve(run: &RunView<'_>, index: usize) -> Result<Result<Curve, Missing>> {
    let (standing, plan) = (run.standing, &run.standing.plan);
    let last = plan.last(index);
    let module = plan.module(index).to_string();
    let training = standing.training(last)?;
    if let Some(imported) = training.as_ref().and_then(|(_, it)| it.imported.as_ref()) {
        return Ok(Err(Missing {
            what: format!(
                "the curves of `{module}`: its weights were imported, from `{}`",
                imported.file
            ),
            how: format!("train it in a run beside this one: `{}`", run.command_again("run")),
        }));
    }
    // The log of a round includes the logs of the rounds before it.
    let mut entries = Vec::new();
    for round in (0..=last.round).rev() {
        let folder = standing.training_folder(At { round, ..last });
        entries = log::read(&folder.join("log.jsonl"))?;
        if !entries.is_empty() {
            break;
        }
    }
    if entries.is_empty() {
        return Ok(Err(run.missing(format!("the curves of `{module}`"), Step::Train(last))));
    }
    let epochs = run.pipeline.epochs_per_round(index).max(1);
    let round = |entry: &Entry| entry.round.unwrap_or(entry.epoch as usize / epochs);
    let points = entries.into_iter().map(|entry| Point { round: round(&entry), entry }).collect();
    let guess = standing.costs(run.pipeline).map(|it| it.of_a_guess(index));
    let [chance_loss, chance_accuracy] = guess.unwrap_or_default();
    let probed = standing.probe(index)?.map(|(_, probe)| probe.results);
    let probed = probed.into_iter().flatten().find(|it| it.origin == Origin::Trained);
    let of_classes = probed.as_ref().and_then(|it| it.chance_loss);
    // A guess among classes: the loss is the logarithm of their number.
    let by_classes = || of_classes.filter(|_| run.pipeline.loss.reads_labels());
    Ok(Ok(Curve {
        module,
        index,
        points,
        is_whole: training.is_some(),
        chance_loss: chance_loss.or(of_classes).filter(|it| it.is_finite()),
        chance_accuracy: chance_accuracy.or_else(|| by_classes().map(|loss| (-loss).exp())),
        probed_loss: probed.map(|it| it.loss).filter(|it| it.is_finite()),
    }))
}

/// Places all trainings on one common clock.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Timeline {
    /// The seconds to add to each point of each curve.
    pub shifts: Vec<Vec<f64>>,
    /// Where each module or round begins, except the first.
    pub begins: Vec<f64>,
}

impl Timeline {
    /// The clock for trainings that ran one after another, round by round. With `at_once`, all start at the
    /// same moment.
    pub fn of(curves: &[Curve], at_once: bool) -> Self {
        let mut shifts: Vec<Vec<f64>> =
            curves.iter().map(|curve| vec![0.0; curve.points.len()]).collect();
        if at_once {
            return Self { shifts, begins: Vec::new() };
        }
        let rounds = curves.iter().flat_map(|it| &it.points).map(|it| it.round + 1).max();
        let (mut clock, mut begins) = (0.0, Vec::new());
        for round in 0..rounds.unwrap_or(0) {
            for (curve, shifts) in curves.iter().zip(&mut shifts) {
                // The seconds of a training count on through its rounds.
                let before = curve.points.iter().take_while(|it| it.round < round);
                let before = before.last().map_or(0.0, |it| it.entry.seconds);
                let mut end = None;
                for (point, shift) in curve.points.iter().zip(shifts.iter_mut()) {
                    if point.round == round {
                        *shift = clock - before;
                        end = Some(point.entry.seconds);
                    }
                }
                let Some(end) = end else { continue };
                if clock > 0.0 {
                    begins.push(clock);
                }
                clock += (end - before).max(0.0);
            }
        }
        Self { shifts, begins }
    }
}

/// The results of an epoch.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Epoch {
    /// The name of the module.
    pub module: String,
    /// The round, from 1; `None` in runs without rounds.
    pub round: Option<u64>,
    /// The epoch, from 1.
    pub epoch: u64,
    /// Steps taken up to its end, or so far.
    pub steps: u64,
    /// Seconds of training up to its end.
    pub seconds: f64,
    /// The mean loss of its steps.
    pub loss: f64,
    /// The mean accuracy of its steps, where the loss has one.
    pub accuracy: Option<f64>,
    /// The loss at its end, on rows of the test split.
    pub held_out_loss: Option<f32>,
    /// The accuracy on held-out rows, where the loss has one.
    pub held_out_accuracy: Option<f32>,
    /// The generation of its last step, if the training switches generations.
    pub generation: Option<u64>,
}

/// The epochs of a training, in order.
pub fn epochs(curve: &Curve, in_rounds: bool) -> Vec<Epoch> {
    let same = |a: &Point, b: &Point| a.entry.epoch == b.entry.epoch;
    let of = |points: &[Point]| {
        let last = points.last()?;
        let mean = |values: Vec<f64>| {
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        Some(Epoch {
            module: curve.module.clone(),
            round: in_rounds.then_some(last.round as u64 + 1),
            epoch: last.entry.epoch + 1,
            steps: last.entry.step + 1,
            seconds: last.entry.seconds,
            loss: mean(points.iter().map(|it| it.entry.loss).collect())?,
            accuracy: mean(points.iter().filter_map(|it| it.entry.accuracy).collect()),
            held_out_loss: last.entry.held_out,
            held_out_accuracy: last.entry.held_out_accuracy,
            generation: last.entry.generation,
        })
    };
    curve.points.chunk_by(same).filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(usize, f64)]) -> Curve {
        let point = |(step, (round, seconds)): (usize, &(usize, f64))| Point {
            round: *round,
            entry: serde_json::from_value(serde_json::json!({
                "step": step, "epoch": step, "loss": 1.0, "seconds": seconds,
            }))
            .unwrap(),
        };
        Curve {
            module: "a".into(),
            index: 0,
            points: points.iter().enumerate().map(point).collect(),
            is_whole: true,
            chance_loss: None,
            chance_accuracy: None,
            probed_loss: None,
        }
    }

    #[test]
    fn rounds_of_modules_follow_one_another_on_one_clock() {
        let a = curve(&[(0, 1.0), (0, 2.0), (1, 5.0)]);
        let b = curve(&[(0, 4.0), (1, 6.0)]);
        let both = [a, b];
        let timeline = Timeline::of(&both, false);
        let at = |curve: usize| -> Vec<f64> {
            let points = both[curve].points.iter().zip(&timeline.shifts[curve]);
            points.map(|(point, shift)| point.entry.seconds + shift).collect()
        };
        // a 0-2, b 2-6, a 6-9, b 9-11.
        assert_eq!(at(0), [1.0, 2.0, 9.0]);
        assert_eq!(at(1), [6.0, 11.0]);
        assert_eq!(timeline.begins, [2.0, 6.0, 9.0]);
        assert_eq!(Timeline::of(&both, true).shifts, [vec![0.0; 3], vec![0.0; 2]]);
        assert_eq!(Timeline::of(&[], false), Timeline::default());
    }
}
