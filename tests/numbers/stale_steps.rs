//! What each setting of a pipeline makes stale: every one is changed by itself, and the steps are listed that a run
//! would have to do again.
//!
//! A setting that is not listed here fails the test: the lists are compared with what pipeline files may say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Int64Array, Int64Builder, ListBuilder, StringArray, StructArray,
};
use arrow::datatypes::{DataType, Field, Fields};
use gimlet::pipeline::{Environment, Pipeline, Split};
use gimlet::setting::{Setting, Stale, find, inside};
use gimlet::stage::{RunDir, Standing, Step};
use safetensors::tensor::{Dtype, TensorView};
use tempfile::TempDir;

use crate::parquet_file;
use crate::sound_files::{Coding, hum, scaled, wav};

/// Where a setting's new value comes from.
struct Change {
    /// As a pipeline file would name it, without the names of modules.
    setting: &'static str,
    /// What both pipelines say beside the case's own.
    both: &'static [&'static str],
    /// What the second says, too; `DIR` stands for the folder of the data.
    set: &'static str,
}

/// A change of the setting that `set` begins with.
const fn change(setting: &'static str, set: &'static str) -> Change {
    Change { setting, both: &[], set }
}

/// A change beside what `both` pipelines say.
const fn beside(both: &'static [&'static str], setting: &'static str, set: &'static str) -> Change {
    Change { setting, both, set }
}

/// What generated images, images in files, and sound have in common.
const OF_ALL: &[Change] = &[
    change("name", "name=other"),
    change("seed", "seed=6"),
    change("data.subset", "data.subset=30"),
    change("data.test_subset", "data.test_subset=20"),
    change("data.on_bad_sample", "data.on_bad_sample=skip"),
    change("view.views", "view.views=2"),
    change("modules.name", "modules.a.name=c"),
    change("modules.in_channels", "modules.a.in_channels=1"),
    change("modules.epochs", "modules.a.epochs=3"),
    change("modules.epochs", "modules.b.epochs=3"),
    change("modules.learning_rate", "modules.a.learning_rate=0.1"),
    change("modules.learning_rate", "modules.b.learning_rate=0.1"),
    change("modules.activations", "modules.a.activations=recompute"),
    change("modules.activations", "modules.b.activations=recompute"),
    change("split", "split=1"),
    change("loss", "loss=supervised"),
    // As many classes as both splits tell apart.
    beside(&["loss=supervised"], "data.test_subset", "data.test_subset=20"),
    change("training.epochs", "training.epochs=6"),
    change("training.batch", "training.batch=16"),
    change("training.micro_batch", "training.micro_batch=4"),
    change("training.recompute", "training.recompute=true"),
    change("training.learning_rate", "training.learning_rate=0.1"),
    change("training.input_noise", "training.input_noise=0.1"),
    change("training.checkpoint_seconds", "training.checkpoint_seconds=1"),
    change("training.held_out", "training.held_out=0"),
    change("store.dtype", "store.dtype=f32"),
    change("store.compression", "store.compression=zstd"),
    change("store.relu", "store.relu=false"),
    change("store.rows_per_part", "store.rows_per_part=8"),
    change("store.activations", "store.activations=recompute"),
    change("store.max_bytes", "store.max_bytes=1GB"),
    change("store.read_memory", "store.read_memory=1MB"),
    change("store.keep_generations", "store.keep_generations=3"),
    change("store.url", "store.url=/elsewhere"),
    change("store.cache_bytes", "store.cache_bytes=1GB"),
    change("probe.epochs", "probe.epochs=6"),
    change("probe.batch", "probe.batch=8"),
    change("probe.learning_rate", "probe.learning_rate=0.1"),
];

/// Of images.
const OF_IMAGES: &[Change] = &[
    change("view.resize", "view.resize=20"),
    change("view.grayscale", "view.grayscale=false"),
    change("view.crop", "view.crop=16"),
    change("view.flip", "view.flip=false"),
    change("view.patch", "view.patch=4"),
    change("view.stride", "view.stride=2"),
    change("view.normalise.mean", "view.normalise={mean=[0.3],std=[0.257]}"),
    change("view.normalise.std", "view.normalise={mean=[0.412],std=[0.3]}"),
    change(
        "modules.layers.conv.channels",
        "modules.a.layers=[{conv={channels=8,kernel=3}},{relu={}}]",
    ),
    change(
        "modules.layers.conv.kernel",
        "modules.a.layers=[{conv={channels=4,kernel=1}},{relu={}}]",
    ),
    change(
        "modules.layers.conv.stride",
        "modules.a.layers=[{conv={channels=4,kernel=3,stride=2}},{relu={}}]",
    ),
    change(
        "modules.layers.conv.padding",
        "modules.a.layers=[{conv={channels=4,kernel=3,padding=0}},{relu={}}]",
    ),
    change("modules.layers.relu", "modules.a.layers=[{conv={channels=4,kernel=3}}]"),
    change("modules.layers.basic.channels", "modules.b.layers=[{basic={channels=12,stride=2}}]"),
    change("modules.layers.basic.stride", "modules.b.layers=[{basic={channels=8}}]"),
    change(
        "modules.layers.basic.blocks",
        "modules.b.layers=[{basic={channels=8,stride=2,blocks=2}}]",
    ),
    beside(
        &["modules.b.layers=[{bottleneck={planes=2}}]"],
        "modules.layers.bottleneck.planes",
        "modules.b.layers=[{bottleneck={planes=4}}]",
    ),
    beside(
        &["modules.b.layers=[{bottleneck={planes=2}}]"],
        "modules.layers.bottleneck.stride",
        "modules.b.layers=[{bottleneck={planes=2,stride=2}}]",
    ),
    beside(
        &["modules.b.layers=[{bottleneck={planes=2}}]"],
        "modules.layers.bottleneck.blocks",
        "modules.b.layers=[{bottleneck={planes=2,blocks=2}}]",
    ),
    beside(
        &["modules=[{name=\"a\",preset=\"resnet34-0\",width=2}]"],
        "modules.preset",
        "modules=[{name=\"a\",preset=\"resnet50-0\",width=2}]",
    ),
    beside(
        &["modules=[{name=\"a\",preset=\"resnet34-0\",width=2}]"],
        "modules.width",
        "modules=[{name=\"a\",preset=\"resnet34-0\",width=4}]",
    ),
    // The same modules in another order.
    beside(
        &[
            "modules.a.layers=[{conv={channels=1,kernel=3}}]",
            "modules.b.layers=[{conv={channels=1,kernel=3}}]",
        ],
        "modules",
        "modules=[{name=\"b\",layers=[{conv={channels=1,kernel=3}}]},\
         {name=\"a\",layers=[{conv={channels=1,kernel=3}}]}]",
    ),
    beside(
        &["loss.infonce.skip=0"],
        "loss.infonce.prediction_steps",
        "loss.infonce.prediction_steps=2",
    ),
    change("loss.infonce.negatives", "loss.infonce.negatives=5"),
    change("loss.infonce.skip", "loss.infonce.skip=0"),
    change("loss.infonce.context", "loss.infonce.context=pixelcnn"),
    beside(
        &["loss={clapp={prediction_steps=1,skip=0}}"],
        "loss.clapp.prediction_steps",
        "loss={clapp={prediction_steps=2,skip=0}}",
    ),
    beside(
        &["loss={clapp={prediction_steps=1}}"],
        "loss.clapp.negatives",
        "loss={clapp={prediction_steps=1,negatives=2}}",
    ),
    beside(
        &["loss={clapp={prediction_steps=1}}"],
        "loss.clapp.skip",
        "loss={clapp={prediction_steps=1,skip=0}}",
    ),
    beside(
        &["loss={vicreg={prediction_steps=1,skip=0}}"],
        "loss.vicreg.prediction_steps",
        "loss={vicreg={prediction_steps=2,skip=0}}",
    ),
    beside(
        &["loss={vicreg={prediction_steps=1}}"],
        "loss.vicreg.skip",
        "loss={vicreg={prediction_steps=1,skip=0}}",
    ),
    beside(
        &["loss={vicreg={prediction_steps=1}}"],
        "loss.vicreg.invariance",
        "loss={vicreg={prediction_steps=1,invariance=1.0}}",
    ),
    beside(
        &["loss={vicreg={prediction_steps=1}}"],
        "loss.vicreg.variance",
        "loss={vicreg={prediction_steps=1,variance=1.0}}",
    ),
    beside(
        &["loss={vicreg={prediction_steps=1}}"],
        "loss.vicreg.covariance",
        "loss={vicreg={prediction_steps=1,covariance=2.0}}",
    ),
];

/// Of generated images.
const OF_TEXTURES: &[Change] = &[
    change("data.textures.classes", "data.textures.classes=4"),
    change("data.textures.size", "data.textures.size=20"),
    change("data.textures.train", "data.textures.train=40"),
    change("data.textures.test", "data.textures.test=20"),
    change("data.textures.noise", "data.textures.noise=0.2"),
];

/// Of images in folders.
const OF_FOLDERS: &[Change] = &[
    change("data.train", "data.train=./train/"),
    change("data.train", "data.train=DIR/train"),
    change("data.test", "data.test=./test/"),
    change("data.test", "data.test=train"),
    change("data.root", "data.root=DIR/train/.."),
    change("data.image", "data.image=picture"),
    change("data.label", "data.label=false"),
    change("data.labels", "data.labels=labels.csv"),
    beside(&["data.label=kind"], "data.names", "data.names={kind}-{number}"),
    beside(&["data.names={kind}-{number}", "data.label=kind"], "data.label", "data.label=number"),
    beside(
        &["data.names={kind}-{number}", "data.label=[\"kind\", \"number\"]"],
        "data.label",
        "data.label=[\"number\", \"kind\"]",
    ),
];

/// Of samples that are held out of one folder.
const OF_HELD_OUT: &[Change] = &[change("data.hold_out", "data.hold_out=6")];

/// Of activations that were made elsewhere.
const OF_ACTIVATIONS: &[Change] = &[
    change("data.activations.train", "data.activations.train=./train.safetensors"),
    change("data.activations.test", "data.activations.test=DIR/test.safetensors"),
    change("data.activations.column", "data.activations.column=other"),
    change("data.activations.labels", "data.activations.labels=kind"),
    change("data.activations.labels", "data.activations.labels=rows.csv"),
    beside(&["loss=supervised"], "view.kind", "view.kind=map"),
    beside(&["loss=supervised", "data.activations.column=flat"], "view.grid", "view.grid=[1,9]"),
];

/// Of sound.
const OF_SOUND: &[Change] = &[
    change("data.audio", "data.audio=other"),
    change("data.label", "data.label=[\"label\",\"digit\"]"),
    change("data.frames", "data.frames=phones"),
    change("data.alignments", "data.alignments=phones.txt"),
    change("view.rate", "view.rate=4000"),
    change("view.clip", "view.clip=150"),
    change("view.window", "view.window=100"),
    beside(&["view.short=skip"], "view.window", "view.window=100"),
    change("view.hop", "view.hop=10"),
    beside(&["data.frames=phones"], "view.hop", "view.hop=10"),
    change("view.short", "view.short=skip"),
    change("view.normalise", "view.normalise={mean=[0.0],std=[0.1]}"),
    // The test split is normalised as the training split has it.
    change("data.subset", "data.subset=16"),
    beside(&["view.normalise={mean=[0.0],std=[0.1]}"], "data.subset", "data.subset=16"),
    change(
        "modules.layers.conv1d.channels",
        "modules.a.layers=[{conv1d={channels=6,kernel=4,stride=2,padding=1}},{relu={}}]",
    ),
    change(
        "modules.layers.conv1d.kernel",
        "modules.a.layers=[{conv1d={channels=4,kernel=5,stride=2,padding=1}},{relu={}}]",
    ),
    change(
        "modules.layers.conv1d.stride",
        "modules.a.layers=[{conv1d={channels=4,kernel=4,stride=3,padding=1}},{relu={}}]",
    ),
    change(
        "modules.layers.conv1d.padding",
        "modules.a.layers=[{conv1d={channels=4,kernel=4,stride=2,padding=2}},{relu={}}]",
    ),
    change("modules.layers.gru.channels", "modules.b.layers=[{gru={channels=6}}]"),
    change("modules.layers.gru.bptt", "modules.b.layers=[{gru={channels=4,bptt=false}}]"),
    change("loss.infonce1d.prediction_steps", "loss.infonce1d.prediction_steps=3"),
    change("loss.infonce1d.negatives", "loss.infonce1d.negatives=3"),
    change("loss.infonce1d.subsample", "loss.infonce1d.subsample=16"),
    change("loss.infonce1d.sampling", "loss.infonce1d.sampling=offsets"),
    beside(
        &[
            "modules.b.layers=[{conv1d={channels=4,kernel=3}}]",
            "loss.infonce1d.context.gru={channels=4,bptt=true}",
        ],
        "loss.infonce1d.context.gru.channels",
        "loss.infonce1d.context.gru.channels=6",
    ),
    beside(
        &[
            "modules.b.layers=[{conv1d={channels=4,kernel=3}}]",
            "loss.infonce1d.context.gru={channels=4,bptt=true}",
        ],
        "loss.infonce1d.context.gru.bptt",
        "loss.infonce1d.context.gru.bptt=false",
    ),
];

/// Of a module in PyTorch. What answers for it tells nothing of its source.
const OF_PYTHON: &[Change] = &[
    change("modules.python", "modules.b.python=stages.py:Other"),
    change("modules.arguments", "modules.b.arguments={dim=8}"),
    change("modules.key", "modules.b.key=arguments"),
    change("python.interpreter", "python.interpreter=DIR/other-python"),
];

const OF_SEQUENTIAL: &[Change] = &[
    change("schedule.patience", "schedule.patience=2"),
    beside(&["schedule.patience=2"], "schedule.patience", "schedule.patience=3"),
    beside(&["schedule.patience=2"], "data.test_subset", "data.test_subset=20"),
    change("schedule.kind", "schedule.kind=simultaneous"),
];

const OF_ROUNDS: &[Change] = &[
    change("schedule.rounds", "schedule.rounds=3"),
    change("schedule.epochs_per_round", "schedule.epochs_per_round=2"),
    change("schedule.replay", "schedule.replay=0.5"),
    beside(&["schedule.replay=0.5"], "store.keep_generations", "store.keep_generations=3"),
    beside(
        &["schedule.replay=0.5", "schedule.rounds=3"],
        "store.keep_generations",
        "store.keep_generations=3",
    ),
    change("schedule.patience", "schedule.patience=2"),
    beside(&["schedule.patience=2"], "data.test_subset", "data.test_subset=20"),
    change("schedule.kind", "schedule={kind=\"sequential\"}"),
];

const OF_ASYNC: &[Change] = &[
    change("schedule.sync_every", "schedule.sync_every=2"),
    change("schedule.max_staleness", "schedule.max_staleness=2"),
    change("schedule.replay", "schedule.replay=0.5"),
    beside(&["schedule.replay=0.5"], "store.keep_generations", "store.keep_generations=3"),
    change("schedule.patience", "schedule.patience=2"),
    beside(&["schedule.patience=2"], "data.test_subset", "data.test_subset=20"),
    change("schedule.kind", "schedule={kind=\"sequential\"}"),
];

const OF_SLURM: &[Change] = &[
    change("slurm.partition", "slurm.partition=gpu"),
    change("slurm.account", "slurm.account=lab"),
    change("slurm.qos", "slurm.qos=high"),
    change("slurm.time", "slurm.time=\"1:00\""),
    change("slurm.gres", "slurm.gres=gpu:1"),
    change("slurm.cpus_per_task", "slurm.cpus_per_task=2"),
    change("slurm.mem", "slurm.mem=16G"),
    change("slurm.constraint", "slurm.constraint=a100"),
    change("slurm.extra", "slurm.extra=[\"--mail-type=END\"]"),
    change("slurm.setup", "slurm.setup=[\"module load cuda\"]"),
    change("slurm.grace_seconds", "slurm.grace_seconds=60"),
    change("slurm.ingest", "slurm.ingest.time=\"1:00\""),
    change("slurm.train", "slurm.train.time=\"1:00\""),
    change("slurm.encode", "slurm.encode.time=\"1:00\""),
    change("slurm.probe", "slurm.probe.time=\"1:00\""),
];

/// Settings that are tables of others, and how an override puts one into such a table that there is not.
const TABLES: &[(&str, &str)] = &[
    ("", "zzzzzzzz=1"),
    ("data", "data.zzzzzzzz=1"),
    ("data.textures", "data.textures.zzzzzzzz=1"),
    ("data.activations", "data.activations.zzzzzzzz=1"),
    ("view", "view.zzzzzzzz=1"),
    ("view.normalise", "view.normalise={zzzzzzzz=1}"),
    ("modules", "modules.a.zzzzzzzz=1"),
    ("modules.layers", "modules.a.layers=[{zzzzzzzz={}}]"),
    ("modules.layers.conv", "modules.a.layers=[{conv={zzzzzzzz=1}}]"),
    ("modules.layers.conv1d", "modules.a.layers=[{conv1d={zzzzzzzz=1}}]"),
    ("modules.layers.gru", "modules.a.layers=[{gru={zzzzzzzz=1}}]"),
    ("modules.layers.basic", "modules.a.layers=[{basic={zzzzzzzz=1}}]"),
    ("modules.layers.bottleneck", "modules.a.layers=[{bottleneck={zzzzzzzz=1}}]"),
    ("loss", "loss={zzzzzzzz={}}"),
    ("loss.infonce", "loss={infonce={zzzzzzzz=1}}"),
    ("loss.infonce1d", "loss={infonce1d={zzzzzzzz=1}}"),
    ("loss.infonce1d.context", "loss={infonce1d={context=\"zzzzzzzz\"}}"),
    ("loss.infonce1d.context.gru", "loss={infonce1d={context={gru={zzzzzzzz=1}}}}"),
    ("loss.clapp", "loss={clapp={zzzzzzzz=1}}"),
    ("loss.vicreg", "loss={vicreg={zzzzzzzz=1}}"),
    ("loss.supervised", "loss={supervised={zzzzzzzz=1}}"),
    ("training", "training.zzzzzzzz=1"),
    ("schedule", "schedule.zzzzzzzz=1"),
    ("store", "store.zzzzzzzz=1"),
    ("python", "python.zzzzzzzz=1"),
    ("probe", "probe.zzzzzzzz=1"),
    ("slurm", "slurm.zzzzzzzz=1"),
];

const IMAGES: &str = r#"
[view]
resize = 16
grayscale = true
flip = true
patch = 8
stride = 4

[[modules]]
name = "a"
layers = [{ conv = { channels = 4, kernel = 3 } }, { relu = {} }]

[[modules]]
name = "b"
layers = [{ basic = { channels = 8, stride = 2 } }]

[loss.infonce]
prediction_steps = 1
negatives = 4
"#;

/// A module in PyTorch after one with layers.
const PYTHON: &str = r#"
[view]
resize = 16
patch = 8
stride = 4

[[modules]]
name = "a"
layers = [{ conv = { channels = 4, kernel = 3 } }, { relu = {} }]

[[modules]]
name = "b"
python = "stages.py:Block"

[python]
interpreter = "DIR/python"

[loss.infonce]
prediction_steps = 1
negatives = 4
"#;

/// Answers for a module in PyTorch as far as keys and shapes ask.
const ANSWERS: &str = r#"#!/bin/sh
while IFS= read -r line; do
    case "$line" in
    *'"hello"'*)
        echo '{"protocol":1,"gimlet":"VERSION","torch":"2","torch_file":"'"$0"'","tensors":[]}' ;;
    *'"load"'*)
        echo '{"files":[],"tensors":[]}' ;;
    *)
        echo '{"output":[9,1,1,4],"weights":[],"parameters":0,"operations":0,"draws_negatives":false,"tensors":[]}' ;;
    esac
done
"#;

const SOUND: &str = r#"
[view]
rate = 8000
window = 80
hop = 20

[[modules]]
name = "a"
layers = [{ conv1d = { channels = 4, kernel = 4, stride = 2, padding = 1 } }, { relu = {} }]

[[modules]]
name = "b"
layers = [{ gru = { channels = 4 } }]

[loss.infonce1d]
prediction_steps = 2
negatives = 2
"#;

const ACTIVATIONS: &str = r#"
[data.activations]
train = "train.safetensors"
test = "test.safetensors"
column = "hidden"

[[modules]]
name = "a"
layers = [{ conv = { channels = 4, kernel = 1, padding = 0 } }, { relu = {} }]

[loss.infonce]
prediction_steps = 1
skip = 0
negatives = 4
"#;

const REST: &str = r#"
[training]
epochs = 2
batch = 8

[store]
rows_per_part = 16
"#;

const TEXTURES: &str = "[data.textures]\nclasses = 3\nsize = 24\ntrain = 48\ntest = 24\n";
const FOLDERS: &str = "[data]\ntrain = 'train'\ntest = 'test'\n";
const ONE_FOLDER: &str = "[data]\ntrain = 'train'\nhold_out = 4\n";
const PARQUET: &str = "[data]\ntrain = 'train.parquet'\ntest = 'test.parquet'\n";

/// A folder of data, and what a run of a pipeline on it would do.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines = (0..24).map(|row| format!("{}\n", ["x", "y"][row % 2]));
        let mut csv = "file_name,label\n".to_owned();
        for (row, line) in lines.enumerate() {
            let kind = ["cat", "dog"][row % 2];
            let name = format!("{kind}/{kind}-{row}.png");
            for split in ["train", "test"] {
                let path = folder.path().join(split).join(&name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                let bright = (row * 9) as u8;
                let image = image::GrayImage::from_fn(24, 24, |x, y| {
                    image::Luma([bright + (x * y) as u8 / 16])
                });
                image.save(path).unwrap();
            }
            write!(csv, "{name},{line}").unwrap();
        }
        for split in ["train", "test"] {
            std::fs::write(folder.path().join(split).join("labels.csv"), &csv).unwrap();
            recordings(&folder.path().join(format!("{split}.parquet")));
            activations(&folder.path().join(format!("{split}.safetensors")));
        }
        let lines: String = (0..24).map(|row| format!("{row},{}\n", row % 4)).collect();
        std::fs::write(folder.path().join("rows.csv"), format!("id,label\n{lines}")).unwrap();
        let lines: String = (0..24).map(|row| format!("{row} 0 1 2 1\n")).collect();
        std::fs::write(folder.path().join("phones.txt"), lines).unwrap();
        for name in ["python", "other-python"] {
            let path = folder.path().join(name);
            std::fs::write(&path, ANSWERS.replace("VERSION", env!("CARGO_PKG_VERSION"))).unwrap();
            #[cfg(unix)]
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .unwrap();
        }
        Self { folder }
    }

    /// A pipeline with these overrides.
    fn pipeline(&self, text: &str, overrides: &[&str]) -> gimlet::Result<Pipeline> {
        let dir = self.folder.path().to_str().unwrap();
        let overrides: Vec<String> = overrides.iter().map(|it| it.replace("DIR", dir)).collect();
        let data_root = Some(PathBuf::from(dir));
        let environment = Environment { data_root, ..Environment::default() };
        let text = &text.replace("DIR", dir);
        Pipeline::parse(text, Path::new("p.toml"), &overrides, &environment)
    }

    /// The titles of the steps of a run of it, and the keys of what they would write.
    fn keys(&self, pipeline: &Pipeline) -> gimlet::Result<Vec<(String, [String; 2])>> {
        let plan = Standing::new(pipeline, RunDir::at(self.folder.path().join("run")))?.plan;
        let keys = |step: Step| Split::ALL.map(|split| plan.key(step, split).hash.clone());
        Ok(plan.steps().into_iter().map(|step| (plan.full_title(step), keys(step))).collect())
    }

    /// What a run of the changed pipeline would have to do after one of the pipeline as it was; the error where
    /// one of them is refused.
    fn stale(&self, text: &str, change: &Change) -> gimlet::Result<String> {
        let before = self.pipeline(text, change.both)?;
        let after = self.pipeline(text, &[change.both, &[change.set]].concat())?;
        // It only checks what there is.
        if change.setting != "modules.in_channels" {
            let shown = [&before, &after].map(|it| format!("{it:?}"));
            assert_ne!(shown[0], shown[1], "`{}` changes nothing", change.set);
        }
        let done: BTreeSet<String> =
            self.keys(&before)?.into_iter().flat_map(|(_, keys)| keys).collect();
        let after = self.keys(&after)?;
        let is_stale = |key: &String| !done.contains(key);
        let all = after.iter().flat_map(|(_, keys)| keys).all(is_stale);
        let steps = after.into_iter().filter_map(|(title, keys)| {
            match [&keys[0], &keys[1]].map(is_stale) {
                [false, false] => None,
                [true, true] => Some(title),
                [true, false] => Some(format!("{title} (train)")),
                [false, true] => Some(format!("{title} (test)")),
            }
        });
        let steps: Vec<String> = steps.collect();
        Ok(match steps.as_slice() {
            [] => "nothing".to_owned(),
            _ if all => "everything".to_owned(),
            steps => steps.join(", "),
        })
    }
}

/// That a change is refused, without what changes from run to run.
fn refused(error: &gimlet::Error) -> String {
    let told = error.to_string();
    let lines = told.lines().filter(|line| !line.contains("DIR") && !line.contains("/tmp"));
    format!("(refused: {})", lines.take(1).collect::<String>())
}

/// Recordings in two columns, with labels and a label for every hop.
fn recordings(path: &Path) {
    let sounds: Vec<Vec<u8>> =
        (0..24).map(|row| wav(8_000, 1, Coding::I16, &scaled(&hum(160 + row)))).collect();
    let bytes = BinaryArray::from_iter_values(&sounds);
    let paths = StringArray::from_iter_values((0..24).map(|row| format!("{row}.wav")));
    let fields = Fields::from(vec![
        Field::new("bytes", DataType::Binary, true),
        Field::new("path", DataType::Utf8, true),
    ]);
    let audio: ArrayRef =
        Arc::new(StructArray::new(fields, vec![Arc::new(bytes), Arc::new(paths)], None));
    let label: ArrayRef = Arc::new(Int64Array::from_iter_values((0..24).map(|row| row % 3)));
    let digit: ArrayRef = Arc::new(Int64Array::from_iter_values((0..24).map(|row| row % 2)));
    let mut phones = ListBuilder::new(Int64Builder::new());
    for row in 0..24 {
        phones.append_value([Some(row % 4), Some(1), Some(2)]);
    }
    let phones: ArrayRef = Arc::new(phones.finish());
    let columns = vec![
        ("audio", audio.clone()),
        ("other", audio),
        ("label", label),
        ("digit", digit),
        ("phones", phones),
    ];
    parquet_file::write(path, columns, None, 8);
}

/// Activations in three tensors of 24 rows, and two labels.
fn activations(path: &Path) {
    let floats: Vec<u8> = (0..24 * 54).flat_map(|it| ((it % 7) as f32).to_le_bytes()).collect();
    let labels = |classes: i64| -> Vec<u8> {
        (0..24i64).flat_map(|row| (row % classes).to_le_bytes()).collect()
    };
    let (label, kind) = (labels(3), labels(2));
    let grid = |shape: &[usize]| TensorView::new(Dtype::F32, shape.to_vec(), &floats).unwrap();
    let of_rows = |values| TensorView::new(Dtype::I64, vec![24], values).unwrap();
    let tensors = [
        ("hidden", grid(&[24, 3, 3, 6])),
        ("other", grid(&[24, 3, 3, 6])),
        ("flat", grid(&[24, 9, 6])),
        ("label", of_rows(&label)),
        ("kind", of_rows(&kind)),
    ];
    std::fs::write(path, safetensors::serialize(tensors, None).unwrap()).unwrap();
}

/// A pipeline, and what is changed of it.
struct Case {
    title: &'static str,
    text: [&'static str; 4],
    changes: &'static [&'static [Change]],
}

const CASES: &[Case] = &[
    Case {
        title: "generated images, sequential",
        text: [TEXTURES, IMAGES, REST, "[schedule]\nkind = 'sequential'\n"],
        changes: &[OF_ALL, OF_TEXTURES, OF_IMAGES, OF_SEQUENTIAL, OF_SLURM],
    },
    Case {
        title: "generated images, a module in PyTorch",
        text: [TEXTURES, PYTHON, REST, ""],
        changes: &[OF_PYTHON],
    },
    Case {
        title: "generated images, rounds",
        text: [
            TEXTURES,
            IMAGES,
            REST,
            "[schedule]\nkind = 'rounds'\nrounds = 2\nepochs_per_round = 1\n",
        ],
        changes: &[OF_ALL, OF_ROUNDS],
    },
    Case {
        title: "generated images, simultaneous",
        text: [TEXTURES, IMAGES, REST, "[schedule]\nkind = 'simultaneous'\n"],
        changes: &[OF_ALL],
    },
    Case {
        title: "generated images, async",
        text: [TEXTURES, IMAGES, REST, "[schedule]\nkind = 'async'\n"],
        changes: &[OF_ALL, OF_ASYNC],
    },
    Case {
        title: "images in folders, sequential",
        text: [FOLDERS, IMAGES, REST, ""],
        changes: &[OF_FOLDERS, OF_ALL],
    },
    Case {
        title: "images in one folder, sequential",
        text: [ONE_FOLDER, IMAGES, REST, ""],
        changes: &[OF_HELD_OUT],
    },
    Case {
        title: "sound in Parquet, sequential",
        text: [PARQUET, SOUND, REST, ""],
        changes: &[OF_SOUND, OF_ALL],
    },
    Case {
        title: "activations in files, sequential",
        text: ["", ACTIVATIONS, REST, ""],
        changes: &[OF_ACTIVATIONS],
    },
];

#[test]
fn every_setting_makes_stale_what_reads_it() {
    let bench = Bench::new();
    let mut told = String::new();
    let mut kinds: BTreeMap<&str, Stale> = BTreeMap::new();
    for Case { title, text, changes } in CASES {
        writeln!(told, "\n# {title}\n").unwrap();
        let text = text.concat();
        for change in changes.iter().copied().flatten() {
            let both = change.both.iter().map(|it| format!("{it}; ")).collect::<String>();
            let stale = bench.stale(&text, change).unwrap_or_else(|error| refused(&error));
            let of_setting = kinds.entry(change.setting).or_insert(Stale::NOTHING);
            *of_setting = *of_setting | kinds_of(&stale);
            writeln!(told, "{both}{}\n    {stale}", change.set).unwrap();
        }
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_snapshot!("stale_steps", told));
    // What the reference says is what was found.
    let reference = gimlet::pipeline::reference(&Environment::default());
    let wrong: Vec<String> = kinds
        .into_iter()
        .filter_map(|(setting, found)| {
            let said = find(&reference, setting).map(|it| it.stale);
            (said != Some(found)).then(|| {
                let said = said.map_or("no setting".to_owned(), Stale::words);
                format!("`{setting}` makes stale: {}; the reference says: {said}", found.words())
            })
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The kinds of steps in a list of titles.
fn kinds_of(stale: &str) -> Stale {
    let kind = |title: &str| match title.split(' ').next().unwrap_or_default() {
        "nothing" => Stale::NOTHING,
        "everything" => Stale::EVERYTHING,
        _ if title.starts_with("encode untrained") => Stale::of("untrained").unwrap(),
        // What follows a comma within a title: "train a, b", "train a, round 1".
        word => Stale::of(word).unwrap_or(Stale::NOTHING),
    };
    stale.split(", ").fold(Stale::NOTHING, |all, title| all | kind(title))
}

#[test]
fn no_setting_is_left_out() {
    let bench = Bench::new();
    let changed: BTreeSet<&str> = CASES
        .iter()
        .flat_map(|case| case.changes.iter().copied().flatten())
        .map(|change| change.setting)
        .collect();
    let tables: BTreeMap<&str, &str> = TABLES.iter().copied().collect();
    let reference = gimlet::pipeline::reference(&Environment::default());
    let text = CASES[0].text.concat();
    for (table, set) in &tables {
        let error = bench.pipeline(&text, &[set]).expect_err(set);
        let hint = error.hint_text().unwrap_or_default();
        let known: Vec<&str> = hint.split('`').skip(1).step_by(2).collect();
        let has_keys = *table != "loss.supervised";
        assert_eq!(has_keys, hint.starts_with("known here: "), "{set}: {error}; {hint}");
        let described: BTreeSet<&str> = inside(&reference, table).map(Setting::key).collect();
        let described = described.into_iter().filter(|_| *table != "schedule");
        let keys: BTreeSet<&str> = known.iter().copied().filter(|_| *table != "schedule").collect();
        assert_eq!(described.collect::<BTreeSet<_>>(), keys, "the reference of [{table}]");
        for key in known {
            let setting = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
            assert!(
                changed.contains(setting.as_str()) || tables.contains_key(setting.as_str()),
                "`{setting}` is a setting: add a change of it to the lists above, and see which steps it makes \
                 stale"
            );
        }
    }
}
