//! The keys of `[[modules]]`.

use super::super::bounds::{COUNT, SIZE};
use super::super::preset;
use crate::setting::{Form, Interval, Setting, Stale};

/// The keys of `[[modules]]`, without those of layers.
pub fn modules() -> Vec<Setting> {
    let own = |name, form| Setting::new(name, form).stale(Stale::TRAINING);
    vec![
        Setting::new("modules", Form::Tables)
            .stale(Stale::AFTER_INGEST)
            .example("[{ name = \"a\", preset = \"resnet50-0\" }]")
            .doc(
                "The modules, one or more, in order: each reads the output of the module before it.\n\nEach begins with a \
                 header `[[modules]]`. `--set modules.a.epochs=2` sets a key of the module `a`, `modules.0.epochs` one of \
                 the first module, before any split.",
            ),
        Setting::new("modules.name", Form::Text)
            .stale(Stale::AFTER_INGEST)
            .example("\"a\"")
            .doc("Letters, digits, `-` and `_`; not `ingest`, `probe` or `untrained`."),
        Setting::new("modules.in_channels", Form::whole(SIZE))
            .or("whatever the module before gives")
            .unit("channels")
            .example(1)
            .doc(
                "The channels that it expects from the module before, or from the view; anything else is refused.\n\nA \
                 preset expects the channels of the preset before it, unless this key says otherwise.",
            ),
        Setting::new("modules.layers", Form::ListOfOneKey)
            .or("needed unless `preset` or `python` is given")
            .stale(Stale::AFTER_INGEST)
            .example("[{ conv = { channels = 32, kernel = 5 } }, { relu = {} }]")
            .doc(
                "The layers of the module, in order, each a table with its name as the one key.\n\nImages go through \
                 `conv`, `relu`, `basic` and `bottleneck`; sound is one map per window, and `conv1d`, `relu` and `gru` run \
                 along it.",
            ),
        Setting::new("modules.preset", Form::Words(preset::NAMES.to_vec()))
            .or("needed unless `layers` or `python` is given")
            .stale(Stale::AFTER_INGEST)
            .example("\"resnet50-0\"")
            .doc(
                "A module of the paper, instead of `layers`.\n\n`resnet50-0`, `resnet50-1` and `resnet50-2` are the three \
                 modules of the paper with bottlenecks; `resnet34-0`, `resnet34-1` and `resnet34-2` are those with basic \
                 blocks.",
            ),
        Setting::new("modules.width", Form::whole(1..=preset::MAX_WIDTH))
            .default(preset::WIDTH)
            .unit("channels")
            .stale(Stale::AFTER_INGEST)
            .example(32)
            .doc("The width of a preset: it scales the channels of all its layers."),
        Setting::new("modules.python", Form::Text)
            .or("needed unless `layers` or `preset` is given")
            .stale(Stale::AFTER_INGEST)
            .example("\"stages.py:Block\"")
            .doc(
                "A module written in PyTorch, instead of `layers`: a file, a colon and the name of a `gimlet.Stage` in \
                 it.\n\nThe path begins at the folder of the pipeline file. Keys hold the content of the files that it \
                 imports from that folder, and the versions of torch and gimlet.",
            ),
        Setting::new("modules.arguments", Form::AnyKeys)
            .or("no arguments")
            .stale(Stale::AFTER_INGEST)
            .example("{ dim = 64 }")
            .doc("What the class of `python` is made with, by name, behind the shape of its input."),
        Setting::new("modules.key", Form::Words(vec!["source", "arguments"]))
            .default("\"source\"")
            .stale(Stale::AFTER_INGEST)
            .example("\"arguments\"")
            .doc(
                "What keys hold of a module written in PyTorch.\n\nWith `arguments`, neither an edit of its source nor \
                 another torch makes anything stale: you say that results stay the same.",
            ),
        own("modules.epochs", Form::whole(COUNT))
            .or("`training.epochs`")
            .unit("epochs")
            .example(10)
            .doc("Epochs of this module, instead of `training.epochs`; not in schedules of rounds."),
        own("modules.learning_rate", Form::Number(Interval::POSITIVE))
            .or("`training.learning_rate`")
            .example("1e-3")
            .doc("The step size of this module, instead of `training.learning_rate`."),
        own("modules.activations", Form::Words(vec!["store", "recompute", "auto"]))
            .or("`store.activations`")
            .example("\"store\"")
            .doc("What becomes of this module's maps, instead of `store.activations`."),
    ]
}

/// The keys of `[python]`.
pub fn python() -> Vec<Setting> {
    vec![
        Setting::table("python", "How modules written in PyTorch are run."),
        Setting::new("python.interpreter", Form::Text)
            .or("`python3`")
            .example("\".venv/bin/python\"")
            .doc(
                "The Python that has torch and the package of gimlet, unless `GIMLET_PYTHON` names one.\n\nA path begins at \
                 the folder of the pipeline file; a name without `/` is looked up in `PATH`.",
            ),
    ]
}
