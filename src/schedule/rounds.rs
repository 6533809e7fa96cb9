//! Modules train in rounds: in each round, every module in turn trains on the newest generation of its input, and
//! writes one.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    At, Given, Misfit, Place, Schedule, check_count, check_replay, count_of, patience_setting,
    replay_setting,
};
use crate::setting::Setting;

/// The settings of `schedule = "rounds"`. If a pipeline file leaves out rounds or epochs, they are filled in.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The number of rounds; when `None`, `training.epochs` divided by `epochs_per_round`.
    pub rounds: Option<usize>,
    /// Epochs in each round; when `None`, `training.epochs` divided by `rounds`. When both are `None`, it is 1.
    pub epochs_per_round: Option<usize>,
    /// The share of a batch that comes from older generations.
    pub replay: f64,
    /// Epochs of a round without a smaller held-out loss that end the training in that round.
    pub patience: Option<usize>,
}

impl Settings {
    fn epochs_per_round(&self) -> usize {
        self.epochs_per_round.unwrap_or(1)
    }
}

impl Schedule for Settings {
    fn name(&self) -> &'static str {
        "rounds"
    }

    fn about(&self) -> &'static str {
        "in each round every module in turn trains `epochs_per_round` on the newest generation of its input, then writes a \
         new generation, with newly drawn crops and flips, or windows. Modules have no `epochs` of their own. Weights and \
         generations of earlier rounds are deleted as soon as nothing needs them, except the newest \
         `store.keep_generations`. With more `rounds`, a run goes on from its last round."
    }

    fn reference(&self) -> Vec<Setting> {
        vec![
            count_of("rounds", "rounds")
                .or("`training.epochs` divided by `epochs_per_round`")
                .example(5)
                .doc("How often every module trains.\n\nA larger number goes on from the rounds that are done."),
            count_of("epochs_per_round", "epochs")
                .or("`training.epochs` divided by `rounds`; 1 if both are left out")
                .example(2)
                .doc("Epochs that a module trains in a round."),
            replay_setting(),
            patience_setting(),
        ]
    }

    /// Leaves out the number of rounds, because more rounds go on from the existing ones.
    fn key(&self, replays: bool) -> Value {
        let Self { rounds: _, epochs_per_round, replay, patience } = self;
        json!({
            "kind": self.name(),
            "epochs_per_round": epochs_per_round,
            "replay": replays.then_some(replay),
            "patience": patience,
        })
    }

    fn filled_in(&self, given: &Given<'_>) -> Result<Option<Arc<dyn Schedule>>, Misfit> {
        let share = |key, of: usize| match given.epochs.checked_rem(of) {
            Some(0) => Ok(given.epochs / of),
            // `check` refuses a 0.
            None => Ok(1),
            Some(_) => {
                let epochs = given.epochs;
                let message =
                    format!("`training.epochs` is {epochs}, which `{key}` ({of}) does not divide");
                let hint = "give both `rounds` and `epochs_per_round`";
                Err(Misfit::at(Place::Setting(key), message).hint(hint))
            }
        };
        let (rounds, epochs) = match (self.rounds, self.epochs_per_round) {
            (Some(rounds), Some(epochs)) => (rounds, epochs),
            (Some(rounds), None) => (rounds, share("rounds", rounds)?),
            (None, Some(epochs)) => (share("epochs_per_round", epochs)?, epochs),
            (None, None) => (given.epochs, 1),
        };
        let all = Self { rounds: Some(rounds), epochs_per_round: Some(epochs), ..self.clone() };
        Ok(Some(Arc::new(all)))
    }

    fn check(&self, given: &Given<'_>) -> Result<(), Misfit> {
        check_count("rounds", self.rounds)?;
        check_count("epochs_per_round", self.epochs_per_round)?;
        check_count("patience", self.patience)?;
        check_replay(self.replay, given)?;
        let epochs = self.rounds().checked_mul(self.epochs_per_round());
        if epochs.is_none_or(|it| it > i32::MAX as usize) {
            let message = "`rounds` times `epochs_per_round` are too many epochs";
            return Err(Misfit::at(Place::File, message));
        }
        let with_epochs = given.modules.iter().position(|it| it.says_epochs);
        let Some(index) = with_epochs else { return Ok(()) };
        let name = given.modules[index].name;
        let message =
            format!("module `{name}` has `epochs` of its own: in rounds all modules train alike");
        Err(Misfit::at(Place::Epochs(index), message)
            .hint("set `schedule.rounds` and `schedule.epochs_per_round`"))
    }

    fn epochs(&self) -> Option<usize> {
        Some(self.rounds() * self.epochs_per_round())
    }

    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(1)
    }

    fn before(&self, at: At) -> Option<At> {
        at.round.checked_sub(1).map(|round| At { round, ..at })
    }

    fn is_gone_on_from(&self) -> bool {
        true
    }

    fn replay(&self) -> f64 {
        self.replay
    }

    fn replayed(&self, round: usize, kept: usize) -> Vec<usize> {
        match self.replay > 0.0 {
            true => (round.saturating_sub(kept)..round).rev().collect(),
            false => Vec::new(),
        }
    }

    fn patience(&self) -> Option<usize> {
        self.patience
    }
}
