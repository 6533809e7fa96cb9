//! Modules train one after another, each to its last epoch, or until its loss on the test split has not become smaller
//! for some epochs.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Given, Misfit, Schedule, check_count, patience_setting};
use crate::setting::Setting;

/// The settings of `schedule = "sequential"`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Epochs without a smaller held-out loss that end a training; when `None`, it runs to its last epoch.
    pub patience: Option<usize>,
}

impl Schedule for Settings {
    fn name(&self) -> &'static str {
        "sequential"
    }

    fn about(&self) -> &'static str {
        "each module trains to its last epoch and writes its activations, then the next one trains."
    }

    fn reference(&self) -> Vec<Setting> {
        vec![patience_setting()]
    }

    fn key(&self, _replays: bool) -> Value {
        let Self { patience } = self;
        json!({ "kind": self.name(), "patience": patience })
    }

    fn check(&self, _given: &Given<'_>) -> Result<(), Misfit> {
        check_count("patience", self.patience)
    }

    fn patience(&self) -> Option<usize> {
        self.patience
    }
}
