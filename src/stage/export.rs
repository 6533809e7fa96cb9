//! Exports the trained stack as one file, with parameters under their published names.

use serde_json::json;

use super::{Run, module_input};
use crate::exchange::published::{OF_IMAGES, OF_SOUND};
use crate::exchange::stack::{self, Described};
use crate::layer::Signal;
use crate::pipeline::{Split, json_of};
use crate::schedule::Step;
use crate::{Result, media};

/// The version of the metadata in an exported file.
const FORMAT: u32 = 1;

/// Returns the safetensors file of the whole stack.
///
/// Its metadata says, as JSON under one key, what made it: pipeline, seed, view with
/// normalisation, loss, and for each module its name, input channels, layers (or what its key holds of it, where it is
/// written in PyTorch) and the key of its training.
///
/// # Errors
/// [`crate::Kind::NotReady`] when a module has not been trained.
pub fn export(run: &Run<'_>) -> Result<Vec<u8>> {
    let mut trained = Vec::new();
    let mut modules = Vec::new();
    for (index, module) in run.pipeline.modules.iter().enumerate() {
        let weights = run.standing.weights(run.standing.plan.last(index))?;
        trained.push((described(run, index)?, weights));
        let mut about = run.standing.plan.module_key(index).clone();
        about["name"] = json!(module.name);
        about["in_channels"] = json!(run.stack()?.input(index).channels);
        let key = run.standing.plan.key(Step::Train(run.standing.plan.last(index)), Split::Train);
        about["key"] = json!(key.hash);
        modules.push(about);
    }
    let mut view = json_of(&run.pipeline.view)?;
    if let Some(training) = module_input::normalised_by(run)? {
        view["normalise"] = json_of(&media::normalise_of(&training)?)?;
    }
    stack::write(
        &trained,
        &json!({
            "format": FORMAT, "gimlet": env!("CARGO_PKG_VERSION"),
            "pipeline": run.pipeline.name, "seed": run.pipeline.seed,
            "view": view, "loss": json_of(run.pipeline.loss.as_ref())?,
            "modules": modules,
        }),
    )
}

/// The parameters of module `index`, under our names and the published ones.
pub(super) fn described(run: &Run<'_>, index: usize) -> Result<Described> {
    let parameters = run.subject(index)?.published();
    let stack = match run.pipeline.view.settings().signal_of(run.stack()?.sample) {
        Signal::Images => OF_IMAGES,
        Signal::Sound => OF_SOUND,
    };
    Ok(Described { name: run.pipeline.modules[index].name.clone(), stack, parameters })
}
