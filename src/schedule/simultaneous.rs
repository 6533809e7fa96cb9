//! All modules train in one process and one forward pass, with no gradient between them, and without stored
//! activations.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Given, Manner, Misfit, Place, Schedule, Step, in_turn};
use crate::setting::Setting;

/// The settings of `schedule = "simultaneous"`: there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {}

impl Schedule for Settings {
    fn name(&self) -> &'static str {
        "simultaneous"
    }

    fn about(&self) -> &'static str {
        "all modules train in one process. Each batch goes forward once, through all modules; no gradient goes from one \
         module to another. Only what probes read is stored."
    }

    fn reference(&self) -> Vec<Setting> {
        Vec::new()
    }

    fn refused(&self) -> &[(&str, &str)] {
        &[(
            "patience",
            "what a module reads changes with every step of the one below, so that its losses after two epochs do not \
         compare, and all modules end at once",
        )]
    }

    fn key(&self, _replays: bool) -> Value {
        let Self {} = self;
        json!({ "kind": self.name() })
    }

    /// Refuses input noise, because no activations are stored that it could be added to. Refuses different epochs,
    /// because all modules see the same batches.
    fn check(&self, given: &Given<'_>) -> Result<(), Misfit> {
        if given.input_noise > 0.0 {
            let message = "`training.input_noise` is noise on stored activations, and a `simultaneous` schedule \
                           stores none";
            return Err(Misfit::at(Place::File, message).hint("leave one of the two out"));
        }
        let of_first = given.modules.first().map_or(0, |it| it.epochs);
        if given.modules.iter().all(|it| it.epochs == of_first) {
            return Ok(());
        }
        let all_say = given.modules.iter().all(|it| it.says_epochs);
        let epochs = if all_say { of_first } else { given.epochs };
        let other = given.modules.iter().position(|it| it.epochs != epochs);
        let Some(index) = other else { return Ok(()) };
        let module = &given.modules[index];
        let message = format!(
            "module `{}` has {} epochs, others have {epochs}: `simultaneous`, all train alike",
            module.name, module.epochs
        );
        Err(Misfit::at(Place::Epochs(index), message).hint("set `training.epochs`"))
    }

    fn manner(&self) -> Manner {
        Manner::InOnePass
    }

    fn steps(&self, modules: usize) -> Vec<Step> {
        let mut steps = in_turn(modules, 1);
        steps.sort_by_key(|step| match step {
            Step::Ingest | Step::Untrained => 0,
            Step::Train(_) => 1,
            Step::Encode(_) => 2,
            Step::Probe(_) => 3,
        });
        steps
    }
}
