//! All keys of a pipeline file. Losses, layers and schedules describe their own keys, in their own files.

mod data;
mod modules;
mod slurm;
mod store;
mod training;
mod view;

use serde_json::{Value, json};

use super::environment::Environment;
use crate::setting::{Form, Setting, Stale};

pub use data::{activations, data, textures};
pub use modules::{modules, python};
pub use slurm::slurm;
pub use store::store;
pub use training::{probe, training};
pub use view::{both, images, sound, view};

/// What a pipeline file is, before its keys.
pub const ABOUT: &str = "A pipeline file is TOML: where samples come from, how they are seen, which modules are trained \
    on them and with which loss. `[data]`, at least one `[[modules]]` and, \
    unless the data are activations, `[view]` must be given.\n\n`--set key=value` \
    sets any key on the command line: `training.epochs=3`, `modules.a.epochs=2`. The value is TOML; what is not TOML is \
    a string. A change makes stale the steps that depend on it, and the next run does them again.";

/// All keys of a pipeline file that may name the losses, layers and schedules of `environment`, in the order in which a
/// file has them.
pub fn reference(environment: &Environment) -> Vec<Setting> {
    let mut all = top();
    all.extend(split());
    all.extend(data());
    all.extend(activations());
    all.extend(textures());
    all.extend(view());
    all.extend(modules());
    all.extend(environment.layers.reference());
    all.extend(python());
    all.push(
        Setting::new("loss", Form::NameOrOneKey)
            .or("`\"infonce\"` for images and grids, `\"infonce1d\"` for sound and steps, `\"supervised\"` for one map or vector")
            .stale(Stale::TRAINING)
            .example("\"clapp\"")
            .doc(
                "The loss of every module.\n\n`loss = \"clapp\"` is short for a table `[loss.clapp]` that says nothing \
                 else. To take another loss than the file does: `--set loss=NAME`, or `--set loss={NAME={KEY=VALUE}}`.",
            ),
    );
    all.extend(environment.losses.reference());
    all.extend(training());
    all.extend(environment.schedules.reference());
    all.extend(store());
    all.extend(probe());
    all.extend(slurm());
    all
}

/// The keys of no table that stand before all tables.
fn top() -> Vec<Setting> {
    vec![
        Setting::new("name", Form::Text).or("the file's name, without its extension").example("\"quickstart\"").doc(
            "Names the directory of the run.\n\nIt is not empty, does not begin with `.`, and has no `/`, `\\` or `:`.",
        ),
        Setting::new("seed", Form::Whole(0..=i64::MAX as u64))
            .default(0)
            .stale(Stale::EVERYTHING)
            .example(1)
            .doc("Every random draw starts here: subsets, first weights, crops, the order of samples, negatives."),
    ]
}

/// The key `split`.
fn split() -> Vec<Setting> {
    let form = Form::Other(
        "\"each\", \"end-to-end\", a number of modules or a list of units for each module",
        cut,
    );
    vec![
        Setting::new("split", form)
            .or("the modules as they are")
            .stale(Stale::AFTER_INGEST)
            .example("\"each\"")
            .doc(
                "Cuts the layers of all modules into other modules, which are called `m0`, `m1` and so \
                 on.\n\n`\"each\"` makes every unit a module; `\"end-to-end\"` makes one module of all units. A number is \
                 the number of modules; the first ones are a unit larger if need be. A list has the number of units of \
                 each module. A unit is a block, a convolution or a GRU. Any other layer stays with the layer before it, \
                 and a block stays with a convolution right before it. Modules that are cut have no `epochs`, \
                 `learning_rate` and `activations` of their own. It stands at the top of the file, before all tables.",
            ),
    ]
}

fn cut() -> Value {
    let count = json!({ "type": "integer", "minimum": 1 });
    json!({ "anyOf": [
        { "enum": ["each", "end-to-end"] },
        count,
        { "type": "array", "items": count, "minItems": 1 },
    ] })
}
