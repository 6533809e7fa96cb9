//! All keys of a sweep file.

use serde_json::{Value, json};

use crate::setting::{Form, Setting};

/// What a sweep file is, before its keys.
pub const ABOUT: &str = "A sweep file is TOML: many runs of one pipeline, and their results side by side. Only \
    `pipeline` must be given.\n\nVariants are called by their name, by what the grid sets, or by both: `clapp, split=each, \
    training.batch=16`. Each variant runs under every seed, one variant after the other. The first key of the grid changes \
    last.\n\nOne directory holds all runs of a sweep, and of all sweeps over pipelines of one name. Steps are found by their \
    keys, so what two runs have in common is done once, by the first of them: a first module that all variants share is \
    trained once per seed.";

const SEEDS: &str = "a list of whole numbers of 0 or more, or how many";

/// All keys of a sweep file, in the order in which a file has them.
pub fn reference() -> Vec<Setting> {
    vec![
        Setting::new("name", Form::Text)
            .or("the file's name, without its extension")
            .example("\"splits\"")
            .doc("Names the results of the sweep: letters, digits, `-` and `_`; not `results`."),
        Setting::new("pipeline", Form::Text)
            .example("\"../cifar10.toml\"")
            .doc("The pipeline file, as a path from the sweep file's folder."),
        Setting::new("seeds", Form::Other(SEEDS, seeds)).default(1).example("[1, 2, 3]").doc(
            "The seeds of each variant: a list, or a number N for the pipeline's seed and the N - 1 after it.",
        ),
        Setting::new("baseline", Form::Text)
            .or("the first variant")
            .example("\"split=each\"")
            .doc("The variant that the others are compared with."),
        Setting::new("set", Form::AnyKeys)
            .or("")
            .example("{ training.epochs = 4, data.subset = 2000 }")
            .doc(
                "Settings of every run, as `--set` takes them: any key of the pipeline except `name` and `seed`.\n\nDotted \
                 keys, and tables below a header such as `[set.training]`, set single keys. A table in braces is one \
                 value: it replaces the pipeline's loss in `loss = { clapp = { negatives = 2 } }`, and `training = { \
                 epochs = 4 }` leaves all other keys of `training` at their defaults.",
            ),
        Setting::new("grid", Form::AnyKeys)
            .or("")
            .example("{ split = [\"each\", 3, 1], training.batch = [16, 32] }")
            .doc(
                "Keys of the pipeline, each with a list of values: every combination of these is a variant.\n\nA key of the \
                 grid must not be in any `set`.",
            ),
        Setting::new("variants", Form::Tables)
            .or("what the grid makes")
            .example("[{ name = \"clapp\", set = { loss = \"clapp\" } }]")
            .doc("Named settings; each is combined with the whole grid.\n\nEach begins with a header `[[variants]]`."),
        Setting::new("variants.name", Form::Text)
            .example("\"clapp\"")
            .doc("The name of the variant in tables: one line of text."),
        Setting::new("variants.set", Form::AnyKeys)
            .or("")
            .example("{ loss = \"clapp\" }")
            .doc("The settings of this variant; they override those of `[set]`."),
    ]
}

fn seeds() -> Value {
    json!({ "anyOf": [
        { "type": "integer", "minimum": 1 },
        {
            "type": "array", "items": { "type": "integer", "minimum": 0 }, "minItems": 1, "uniqueItems": true,
        },
    ] })
}
