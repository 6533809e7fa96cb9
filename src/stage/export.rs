//! Exports the trained stack as one file, with parameters under their published names.

use serde_json::json;

use super::{Run, module_input};
use crate::exchange::published;
use crate::exchange::published::{OF_IMAGES, OF_SOUND};
use crate::exchange::stack::{self, Described};
use crate::layer::Signal;
use crate::layer::borrowed;
use crate::pipeline::{Split, json_of};
use crate::schedule::Step;
use crate::{Result, media};

/// The version of the metadata in an exported file.
const FORMAT: u32 = 1;

/// Returns the safetensors file of the whole stack.
///
/// Its metadata says, as JSON under one key, what made it: pipeline, seed, view with
/// normalisation, loss, and for each module its name, input channels, layers and the key of its
/// training.
///
/// # Errors
/// [`crate::Kind::NotReady`] when a module has not been trained.
pub fn export(run: &Run<'_>) -> Result<Vec<u8>> {
    let mut trained = Vec::new();
    let mut modules = Vec::new();
    for (index, module) in run.pipeline.modules.iter().enumerate() {
        let weights = run.standing.weights(run.standing.plan.last(index))?;
        trained.push((described(run, index)?, weights));
        let input = run.stack()?.input(index);
        modules.push(json!({
            "name": module.name, "in_channels": input.channels, "layers": json_of(&borrowed(&module.layers))?,
            "key": run.standing.plan.key(Step::Train(run.standing.plan.last(index)), Split::Train).hash,
        }));
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
    let (module, input) = (&run.pipeline.modules[index], run.stack()?.input(index));
    let sizes = run.sizes(index)?;
    let parameters =
        published::parameters(&module.layers, input.channels, run.pipeline.loss.as_ref(), sizes);
    let stack = match run.pipeline.view.settings().signal_of(run.stack()?.sample) {
        Signal::Images => OF_IMAGES,
        Signal::Sound => OF_SOUND,
    };
    Ok(Described { name: module.name.clone(), stack, parameters })
}
