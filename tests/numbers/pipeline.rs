//! Pipeline files, as a user meets them: what they say by default, and what is said about mistakes.

use std::path::{Path, PathBuf};

use gimlet::layer::{Basic, Bottleneck, Conv, Layer, Relu};
use gimlet::loss::{Recipe, infonce};
use gimlet::pipeline::{
    ActivationType, Activations, Compression, Environment, ImageView, Map, OnBadSample, Pipeline,
    SampleSize, Source, View,
};
use gimlet::{Error, Kind};
use insta::assert_snapshot;
use proptest::prelude::*;

/// The view of a pipeline of images.
fn images(pipeline: &Pipeline) -> &ImageView {
    match &pipeline.view {
        View::Images(view) => view,
        View::Sound(_) | View::Activations(_) => panic!("no view of images"),
    }
}

const FULL: &str = r#"name = "full"
seed = 7

[data]
subset = 500
test_subset = 200
on_bad_sample = "skip"

[data.textures]
classes = 4
size = 32
train = 600
test = 300
noise = 0.05

[view]
grayscale = false
crop = 28
flip = false
patch = 8
stride = 4
normalise = { mean = [0.4, 0.4, 0.4], std = [0.2, 0.2, 0.2] }
views = 3

[[modules]]
name = "a"
layers = [
    { conv = { channels = 16, kernel = 5 } },
    { relu = {} },
    { basic = { channels = 16, blocks = 2 } },
]

[[modules]]
name = "b"
in_channels = 16
layers = [{ bottleneck = { planes = 8, stride = 2, blocks = 3 } }]
epochs = 2
learning_rate = 1e-3

[loss.infonce]
prediction_steps = 3
negatives = 8
skip = 1

[training]
epochs = 5
batch = 16
learning_rate = 5e-4
checkpoint_seconds = 10

[store]
dtype = "f32"
rows_per_part = 100
compression = "zstd"
relu = false
activations = "auto"
max_bytes = "20GB"
read_memory = 1000000
keep_generations = 3

[probe]
epochs = 20
batch = 64
learning_rate = 1e-2
"#;

const SHORT: &str = r#"[data]
train = "train-*.parquet"
test = "test.parquet"

[view]
patch = 8
stride = 4

[[modules]]
name = "a"
layers = [{ conv = { channels = 16, kernel = 3 } }]
"#;

fn parse(text: &str, overrides: &[&str]) -> gimlet::Result<Pipeline> {
    let overrides: Vec<_> = overrides.iter().map(|text| text.to_string()).collect();
    Pipeline::parse(text, Path::new("recipes/p.toml"), &overrides, &Environment::default())
}

fn parsed(text: &str, overrides: &[&str]) -> Pipeline {
    parse(text, overrides).unwrap_or_else(|error| panic!("{error}"))
}

/// The error as the command line prints it.
fn shown(error: &Error) -> String {
    assert_eq!(error.kind(), Kind::Usage);
    match error.hint_text() {
        Some(hint) => format!("{error}\nhint: {hint}"),
        None => error.to_string(),
    }
}

fn refused(text: &str, overrides: &[&str]) -> String {
    shown(&parse(text, overrides).expect_err("a mistake was let through"))
}

/// What is said when `from` reads `to` in [`FULL`].
fn refused_with(from: &str, to: &str) -> String {
    assert_eq!(FULL.matches(from).count(), 1, "{from:?} is not unique");
    refused(&FULL.replace(from, to), &[])
}

fn files(pipeline: &Pipeline) -> &gimlet::pipeline::Files {
    match &pipeline.data.source {
        Source::Files(files) => files,
        _ => panic!("no files"),
    }
}

#[test]
fn every_key_is_read() {
    let pipeline = parsed(FULL, &[]);
    assert_eq!((pipeline.name.as_str(), pipeline.seed), ("full", 7));
    assert_eq!((pipeline.data.subset, pipeline.data.test_subset), (Some(500), Some(200)));
    assert_eq!(pipeline.data.on_bad_sample, OnBadSample::Skip);
    let Source::Textures(textures) = &pipeline.data.source else { panic!("no generator") };
    assert_eq!((textures.classes, textures.size), (4, 32));
    assert_eq!((textures.train, textures.test, textures.noise), (600, 300, 0.05));
    let view = images(&pipeline);
    assert_eq!((view.resize, view.grayscale, view.crop, view.flip), (None, false, Some(28), false));
    assert_eq!((view.patch, view.stride), (8, 4));
    assert_eq!((view.mean.as_slice(), view.std.as_slice()), (&[0.4; 3][..], &[0.2; 3][..]));
    let [a, b] = pipeline.modules.as_slice() else { panic!("not two modules") };
    assert_eq!((a.epochs, a.learning_rate), (5, 5e-4));
    assert_eq!((b.epochs, b.learning_rate), (2, 1e-3));
    assert_eq!(
        *a.layers(),
        [
            Conv { channels: 16, kernel: 5, stride: 1, padding: 2 }.shared(),
            Relu.shared(),
            Basic { channels: 16, stride: 1 }.shared(),
            Basic { channels: 16, stride: 1 }.shared(),
        ]
    );
    let strides = [2, 1, 1];
    assert_eq!(*b.layers(), strides.map(|stride| Bottleneck { planes: 8, stride }.shared()));
    let loss = infonce::Settings { prediction_steps: 3, negatives: 8, skip: 1, context: None };
    assert_eq!(&*pipeline.loss, &loss as &dyn Recipe);
    assert_eq!((pipeline.training.batch, pipeline.training.checkpoint_seconds), (16, 10.0));
    let store = &pipeline.store;
    assert_eq!((store.dtype, store.rows_per_part), (ActivationType::F32, 100));
    assert_eq!((store.compression, store.relu), (Compression::Zstd, false));
    assert_eq!((store.max_bytes, store.read_memory), (Some(20_000_000_000), 1_000_000));
    assert_eq!((store.activations, store.keep_generations), (Activations::Auto, 3));
    assert_eq!((a.activations, b.activations), (Activations::Auto, Activations::Auto));
    assert_eq!(images(&pipeline).views, 3);
    assert_eq!((pipeline.probe.epochs, pipeline.probe.batch), (20, 64));
    assert_eq!(pipeline.probe.learning_rate, 1e-2);
}

#[test]
fn keys_that_are_left_out_have_the_documented_values() {
    let pipeline = parsed(SHORT, &[]);
    assert_eq!((pipeline.name.as_str(), pipeline.seed), ("p", 0));
    assert_eq!(pipeline.data.on_bad_sample, OnBadSample::Fail);
    let files = files(&pipeline);
    assert_eq!(files.train, ["train-*.parquet"]);
    assert_eq!((files.column.as_str(), files.label.as_deref()), ("image", Some("label")));
    assert!(images(&pipeline).grayscale && images(&pipeline).flip);
    assert_eq!(
        (images(&pipeline).mean.as_slice(), images(&pipeline).std.as_slice()),
        (&[0.412_f32][..], &[0.257_f32][..])
    );
    let rgb = parsed(SHORT, &["view.grayscale=false"]);
    let rgb = images(&rgb);
    assert_eq!((rgb.mean.len(), rgb.std.len()), (3, 3));
    let loss = infonce::Settings { prediction_steps: 5, negatives: 16, skip: 1, context: None };
    assert_eq!(&*pipeline.loss, &loss as &dyn Recipe);
    assert_eq!((pipeline.training.epochs, pipeline.training.batch), (10, 32));
    assert_eq!(pipeline.training.learning_rate, 2e-4);
    assert_eq!(pipeline.training.checkpoint_seconds, 30.0);
    let store = &pipeline.store;
    assert_eq!((store.dtype, store.rows_per_part), (ActivationType::F16, 2048));
    assert_eq!((store.compression, store.relu), (Compression::Auto, true));
    assert_eq!((store.max_bytes, store.read_memory), (None, 256_000_000));
    assert_eq!((store.activations, store.keep_generations), (Activations::Store, 2));
    assert_eq!(pipeline.modules[0].activations, Activations::Store);
    assert_eq!(images(&pipeline).views, 1);
    assert_eq!((pipeline.probe.epochs, pipeline.probe.batch), (100, 256));
    assert_eq!(pipeline.probe.learning_rate, 1e-3);
}

#[test]
fn data_is_looked_for_where_the_nearest_setting_says() {
    let data_root = Some(PathBuf::from("env"));
    let environment = Environment { data_root, ..Environment::default() };
    let root = |text: &str, overrides: &[&str], environment: &Environment| {
        let overrides: Vec<_> = overrides.iter().map(|text| text.to_string()).collect();
        let pipeline =
            Pipeline::parse(text, Path::new("recipes/p.toml"), &overrides, environment).unwrap();
        files(&pipeline).root.clone()
    };
    let rooted = SHORT.replace("[view]", "root = 'images'\n[view]");
    assert_eq!(root(SHORT, &[], &Environment::default()), Path::new("recipes"));
    assert_eq!(root(SHORT, &[], &environment), Path::new("env"));
    assert_eq!(root(&rooted, &[], &environment), Path::new("recipes/images"));
    assert_eq!(root(&rooted, &["data.root=../d"], &environment), Path::new("../d"));
}

#[test]
fn overrides_set_any_key() {
    let pipeline = parsed(
        FULL,
        &[
            "training.epochs=3",
            "modules.a.epochs = 4",
            "modules.1.learning_rate=0.5",
            "data.subset=10",
            "data.textures.train=100",
            "view.normalise={ mean = [0, 0, 0], std = [1, 1, 1] }",
            "store.dtype=int8",
            "store.max_bytes=1.5GiB",
            "modules.b.activations=recompute",
            "name=other",
        ],
    );
    assert_eq!((pipeline.training.epochs, pipeline.modules[0].epochs), (3, 4));
    assert_eq!(pipeline.modules[1].learning_rate, 0.5);
    assert_eq!(pipeline.data.subset, Some(10));
    let Source::Textures(textures) = &pipeline.data.source else { panic!("no generator") };
    assert_eq!(textures.train, 100);
    assert_eq!(images(&pipeline).std, [1.0; 3]);
    assert_eq!((pipeline.store.dtype, pipeline.name.as_str()), (ActivationType::Int8, "other"));
    assert_eq!(pipeline.store.max_bytes, Some(3 << 29));
    assert_eq!(pipeline.modules[1].activations, Activations::Recompute);

    let globs = parsed(SHORT, &["data.train=['a.parquet', 'b.parquet']", "data.label=false"]);
    assert_eq!(files(&globs).train, ["a.parquet", "b.parquet"]);
    assert_eq!(files(&globs).label, None);
    // Tables that the file lacks are made; the last of two overrides counts.
    let made = parsed(SHORT, &["loss.infonce.skip=2", "probe.batch=8", "probe.batch=9"]);
    let loss = infonce::Settings { prediction_steps: 5, negatives: 16, skip: 2, context: None };
    assert_eq!((&*made.loss, made.probe.batch), (&loss as &dyn Recipe, 9));
    let named = parsed(SHORT, &["loss=supervised"]);
    assert_eq!(named.loss.name(), "supervised");
    let defaults = parsed(SHORT, &["loss=clapp"]);
    assert_eq!(&*defaults.loss, &*parsed(SHORT, &["loss.clapp={}"]).loss);
}

#[test]
fn presets_are_the_modules_of_the_paper() {
    let preset = |family: &str, width: &str| {
        let modules: String = (0..3)
            .map(|i| format!("[[modules]]\nname = 'm{i}'\npreset = '{family}-{i}'\n{width}\n"))
            .collect();
        let head = &SHORT[..SHORT.find("[[modules]]").unwrap()];
        parsed(&format!("{head}{modules}"), &["view.patch=16", "view.stride=8", "view.crop=64"])
    };
    let outputs = |pipeline: &Pipeline| -> Vec<[usize; 3]> {
        let shapes = pipeline.shapes(SampleSize::square(96)).unwrap();
        let first = Map { height: 16, width: 16, channels: 1 };
        assert_eq!(shapes[0].0, first);
        assert!(shapes.windows(2).all(|pair| pair[0].1 == pair[1].0));
        shapes.iter().map(|(_, out)| [out.height, out.width, out.channels]).collect()
    };
    let resnet50 = preset("resnet50", "");
    assert_eq!(outputs(&resnet50), [[16, 16, 256], [8, 8, 512], [4, 4, 1024]]);
    let layers: Vec<_> = resnet50.modules.iter().map(|module| module.layers().len()).collect();
    assert_eq!(layers, [4, 4, 6]);
    assert_eq!(outputs(&preset("resnet34", "")), [[16, 16, 64], [8, 8, 128], [4, 4, 256]]);
    assert_eq!(outputs(&preset("resnet50", "width = 8")), [[16, 16, 32], [8, 8, 64], [4, 4, 128]]);
}

#[test]
fn split_cuts_the_same_layers_elsewhere() {
    // Units: conv + relu + basic, basic, bottleneck, bottleneck, bottleneck.
    let text = FULL.replace("epochs = 2\nlearning_rate = 1e-3\n", "");
    let whole: Vec<_> =
        parsed(&text, &[]).modules.iter().flat_map(|m| m.layers().to_vec()).collect();
    let cut = |split: &str| -> Vec<usize> {
        let modules = parsed(&text, &[&format!("split={split}")]).modules;
        for (index, module) in modules.iter().enumerate() {
            assert_eq!(module.name, format!("m{index}"));
        }
        let layers: Vec<_> = modules.iter().flat_map(|module| module.layers().to_vec()).collect();
        assert_eq!(layers, whole);
        modules.iter().map(|module| module.layers().len()).collect()
    };
    assert_eq!(cut("each"), [3, 1, 1, 1, 1]);
    assert_eq!(cut("end-to-end"), [7]);
    assert_eq!(cut("1"), [7]);
    assert_eq!(cut("2"), [5, 2]);
    assert_eq!(cut("3"), [4, 2, 1]);
    assert_eq!(cut("[1, 4]"), [3, 4]);

    assert_snapshot!(refused(&text, &["split=6"]), @"`--set split=6`: `split` asks for 6 modules of 5 units");
    assert_snapshot!(refused(&text, &["split=[1, 3]"]), @"`--set split=[1, 3]`: `split` adds up to 4 units, the modules have 5");
    assert_snapshot!(refused(&text, &["split=[0, 5]"]), @"`--set split=[0, 5]`: `split` leaves a module without a unit");
    assert_snapshot!(refused(&text, &["split=eahc"]), @r#"`--set split=eahc`: `split` must be "each", "end-to-end", a number of modules or a list of units for each module, not the string "eahc""#);
    assert_snapshot!(refused(FULL, &["split=2"]), @r#"
    module `b` is cut up by `split`: it has no `epochs`
      --> recipes/p.toml:37:10
       |
    37 | epochs = 2
       |          ^
    hint: set `training.epochs`
    "#);
}

#[test]
fn shapes_wait_for_the_image_when_the_file_does_not_say_its_size() {
    let pipeline = parsed(SHORT, &[]);
    let size = |pipeline: &Pipeline| pipeline.view.settings().size(&pipeline.data.source);
    assert_eq!(size(&pipeline), None);
    let out = Map { height: 8, width: 8, channels: 16 };
    assert_eq!(pipeline.shapes(SampleSize::of_image(32, 40)).unwrap()[0].1, out);
    assert_snapshot!(shown(&pipeline.shapes(SampleSize::of_image(32, 6)).unwrap_err()), @"recipes/p.toml: a patch of 8x8 does not fit in an image of 32x6");
    assert_snapshot!(shown(&pipeline.shapes(SampleSize::of_image(16, 64)).unwrap_err()), @r#"
    recipes/p.toml: 5 prediction steps and 1 skipped row need a grid of at least 7 rows of patches, this view gives 3x15
    hint: lower `loss.infonce.prediction_steps`, or take a smaller patch or stride
    "#);
    assert_eq!(size(&parsed(SHORT, &["view.crop=32"])), Some(SampleSize::square(32)));
    let both = parsed(SHORT, &["view.resize=40", "view.crop=32"]);
    assert_eq!(size(&both), Some(SampleSize::square(40)));
}

#[test]
fn wrong_keys_are_shown_with_a_suggestion() {
    assert_snapshot!(refused_with("epochs = 5", "epoch = 5"), @r#"
    unknown key `epoch` in [training]
      --> recipes/p.toml:46:1
       |
    46 | epoch = 5
       | ^^^^^
    hint: did you mean `epochs`?
    "#);
    assert_snapshot!(refused_with("[training]", "[trainig]"), @r#"
    unknown key `trainig`
      --> recipes/p.toml:45:2
       |
    45 | [trainig]
       |  ^^^^^^^
    hint: did you mean `training`?
    "#);
    assert_snapshot!(refused_with("size = 32", "colour = 32"), @r#"
    unknown key `colour` in [data.textures]
      --> recipes/p.toml:11:1
       |
    11 | colour = 32
       | ^^^^^^
    hint: known here: `classes`, `size`, `train`, `test`, `noise`
    "#);
    assert_snapshot!(refused_with("channels = 16, kernel = 5", "channels = 16, kernal = 5"), @r#"
    unknown key `kernal` in `conv` of module `a`
      --> recipes/p.toml:28:31
       |
    28 |     { conv = { channels = 16, kernal = 5 } },
       |                               ^^^^^^
    hint: did you mean `kernel`?
    "#);
    assert_snapshot!(refused_with("in_channels", "in_chanels"), @r#"
    unknown key `in_chanels` in module `b`
      --> recipes/p.toml:35:1
       |
    35 | in_chanels = 16
       | ^^^^^^^^^^
    hint: did you mean `in_channels`?
    "#);
    assert_snapshot!(refused_with("{ conv =", "{ convolution ="), @r#"
    unknown layer `convolution` in module `a`
      --> recipes/p.toml:28:7
       |
    28 |     { convolution = { channels = 16, kernel = 5 } },
       |       ^^^^^^^^^^^
    hint: did you mean `conv`?
    "#);
    assert_snapshot!(refused_with("[loss.infonce]", "[loss.info]"), @r#"
    unknown loss `info`
      --> recipes/p.toml:40:7
       |
    40 | [loss.info]
       |       ^^^^
    hint: did you mean `infonce`?
    "#);
    assert_snapshot!(refused_with("{ relu = {} }", "{ relu = { slope = 0.1 } }"), @r#"
    unknown key `slope` in `relu` of module `a`
      --> recipes/p.toml:29:16
       |
    29 |     { relu = { slope = 0.1 } },
       |                ^^^^^
    "#);
    assert_snapshot!(refused_with("patch = 8\n", ""), @r#"
    missing key `patch` in [view]
      --> recipes/p.toml:16:1
       |
    16 | [view]
       | ^^^^^^
    "#);
    assert_snapshot!(refused_with(", kernel = 5", ""), @r#"
    missing key `kernel` in `conv` of module `a`
      --> recipes/p.toml:28:14
       |
    28 |     { conv = { channels = 16 } },
       |              ^^^^^^^^^^^^^^^^^
    hint: `modules.layers.conv.kernel`: The side of the kernel.
    "#);
    assert_snapshot!(refused("seed = 1", &[]), @r"
    recipes/p.toml: missing key `data`
    hint: `data`: Where samples come from: files in `train` and `test`, activations made elsewhere in `[data.activations]`, or the generator `[data.textures]`.
    ");
}

#[test]
fn wrong_values_are_shown_with_what_is_wanted() {
    assert_snapshot!(refused_with("batch = 16", "batch = \"sixteen\""), @r#"
    `batch` in [training] must be a whole number of 1 or more, not the string "sixteen"
      --> recipes/p.toml:47:9
       |
    47 | batch = "sixteen"
       |         ^^^^^^^^^
    "#);
    assert_snapshot!(refused_with("batch = 16", "batch = 1.5"), @r#"
    `batch` in [training] must be a whole number of 1 or more, not 1.5
      --> recipes/p.toml:47:9
       |
    47 | batch = 1.5
       |         ^^^
    "#);
    assert_snapshot!(refused_with("batch = 16", "batch = -16"), @r#"
    `batch` in [training] must be a whole number of 1 or more, not -16
      --> recipes/p.toml:47:9
       |
    47 | batch = -16
       |         ^^^
    "#);
    assert_snapshot!(refused_with("batch = 16", "batch = 0"), @r#"
    `batch` must be at least 1, not 0
      --> recipes/p.toml:47:9
       |
    47 | batch = 0
       |         ^
    "#);
    assert_snapshot!(refused_with("flip = false", "flip = 0"), @r#"
    `flip` in [view] must be true or false, not 0
      --> recipes/p.toml:19:8
       |
    19 | flip = 0
       |        ^
    "#);
    assert_snapshot!(refused_with("\"f32\"", "\"f61\""), @r#"
    unknown value `f61` for `dtype` in [store]
      --> recipes/p.toml:52:9
       |
    52 | dtype = "f61"
       |         ^^^^^
    hint: did you mean `f16`?
    "#);
    assert_snapshot!(refused_with("\"skip\"", "[1]"), @r#"
    `on_bad_sample` in [data] must be a string
     --> recipes/p.toml:7:17
      |
    7 | on_bad_sample = [1]
      |                 ^^^
    "#);
    assert_snapshot!(refused_with("\"f32\"", "{ f61 = 1 }"), @r#"
    `dtype` in [store] must be a string
      --> recipes/p.toml:52:11
       |
    52 | dtype = { f61 = 1 }
       |           ^^^
    "#);
    assert_snapshot!(refused(SHORT, &["loss=[1]"]), @"`--set loss=[1]`: `loss` must be the name of a loss, or a table with one key, not a list");
    assert_snapshot!(refused(SHORT, &["loss=clap"]), @r#"
    `--set loss=clap`: unknown value `clap` for `loss`
    hint: did you mean `clapp`?
    "#);
    assert_snapshot!(refused(FULL, &["loss.clapp.skip=0"]), @r#"
    `loss` names both `clapp` and `infonce`
      --> recipes/p.toml:40:2
       |
    40 | [loss.infonce]
       |  ^^^^
    hint: to take another than the file does: `--set loss=NAME`, or `--set loss={NAME={KEY=VALUE}}`
    "#);
    assert_snapshot!(refused(SHORT, &["loss.infonce1d.context.gru.channels=0"]), @"`--set loss.infonce1d.context.gru.channels=0`: `context.gru.channels` must be at least 1, not 0");
    assert_snapshot!(refused(SHORT, &["loss.vicreg.variance=-1"]), @"`--set loss.vicreg.variance=-1`: `variance` must be at least 0, not -1");
    assert_snapshot!(refused_with("{ relu = {} }", "\"relu\""), @r#"
    a layer in module `a` must be a table with one key
      --> recipes/p.toml:29:5
       |
    29 |     "relu",
       |     ^^^^^^
    hint: write `{ conv = { channels = 32, kernel = 3 } }` or `{ relu = {} }`
    "#);
    assert_snapshot!(refused_with("{ relu = {} }", "{ relu = {}, conv = {} }"), @r#"
    a layer in module `a` must be a table with one key
      --> recipes/p.toml:29:5
       |
    29 |     { relu = {}, conv = {} },
       |     ^^^^^^^^^^^^^^^^^^^^^^^^
    hint: write `{ conv = { channels = 32, kernel = 3 } }` or `{ relu = {} }`
    "#);
    assert_snapshot!(refused_with("learning_rate = 5e-4", "learning_rate = nan"), @r#"
    `learning_rate` must be a finite number above 0, not NaN
      --> recipes/p.toml:48:17
       |
    48 | learning_rate = nan
       |                 ^^^
    "#);
    assert_snapshot!(refused_with("learning_rate = 5e-4", "learning_rate = -1"), @r#"
    `learning_rate` must be a finite number above 0, not -1
      --> recipes/p.toml:48:17
       |
    48 | learning_rate = -1
       |                 ^^
    "#);
    assert_snapshot!(refused_with("checkpoint_seconds = 10", "checkpoint_seconds = inf"), @r#"
    `checkpoint_seconds` must be a number from 0 to 31536000 (seconds), not inf
      --> recipes/p.toml:49:22
       |
    49 | checkpoint_seconds = inf
       |                      ^^^
    "#);
    assert_snapshot!(refused_with("mean = [0.4, 0.4, 0.4]", "mean = [0.4]"), @r#"
    `mean` must have 3 values for RGB images, not 1
      --> recipes/p.toml:22:22
       |
    22 | normalise = { mean = [0.4], std = [0.2, 0.2, 0.2] }
       |                      ^^^^^
    hint: `view.grayscale` says which of them the modules see
    "#);
    assert_snapshot!(refused_with("std = [0.2, 0.2, 0.2]", "std = [0.2, 0, 0.2]"), @r#"
    `std` must hold finite numbers above 0, not 0
      --> recipes/p.toml:22:51
       |
    22 | normalise = { mean = [0.4, 0.4, 0.4], std = [0.2, 0, 0.2] }
       |                                                   ^
    "#);
    assert_snapshot!(refused_with("name = \"full\"", "name = \"../full\""), @r#"
    `name` names a folder: it is not empty, does not begin with `.`, and has no `/`, `\` or `:`
     --> recipes/p.toml:1:8
      |
    1 | name = "../full"
      |        ^^^^^^^^^
    "#);
    assert_snapshot!(refused_with("seed = 7", "seed = 7 8"), @r#"
    this is not TOML: string values must be quoted, expected literal string
     --> recipes/p.toml:2:8
      |
    2 | seed = 7 8
      |        ^^^
    "#);
    assert_snapshot!(refused_with("seed = 7", "seed = 7\nseed = 8"), @r#"
    this is not TOML: duplicate key
     --> recipes/p.toml:3:1
      |
    3 | seed = 8
      | ^^^^
    "#);
}

#[test]
fn wrong_settings_of_the_store_are_shown() {
    assert_snapshot!(refused_with("\"20GB\"", "\"20gb\""), @r#"
    `max_bytes` has the unknown unit `gb`
      --> recipes/p.toml:57:13
       |
    57 | max_bytes = "20gb"
       |             ^^^^^^
    hint: did you mean `GB`?
    "#);
    assert_snapshot!(refused_with("\"20GB\"", "\"20 Gigs\""), @r#"
    `max_bytes` has the unknown unit `Gigs`
      --> recipes/p.toml:57:13
       |
    57 | max_bytes = "20 Gigs"
       |             ^^^^^^^^^
    hint: known here: `B`, `kB`, `MB`, `GB`, `TB`, `KiB`, `MiB`, `GiB`, `TiB`
    "#);
    assert_snapshot!(refused_with("\"20GB\"", "\"much\""), @r#"
    `max_bytes` must be a number of bytes, such as "20GB"
      --> recipes/p.toml:57:13
       |
    57 | max_bytes = "much"
       |             ^^^^^^
    "#);
    assert_snapshot!(refused_with("\"20GB\"", "1.5"), @r#"
    `max_bytes` in [store] must be a number of bytes, such as 20000000000 or "20GB", not 1.5
      --> recipes/p.toml:57:13
       |
    57 | max_bytes = 1.5
       |             ^^^
    "#);
    assert_snapshot!(refused_with("\"20GB\"", "-1"), @r#"
    `max_bytes` in [store] must be a number of bytes, such as 20000000000 or "20GB", not -1
      --> recipes/p.toml:57:13
       |
    57 | max_bytes = -1
       |             ^^
    "#);
    assert_snapshot!(refused_with("read_memory = 1000000", "read_memory = 0"), @r#"
    `read_memory` must be at least 1 byte
      --> recipes/p.toml:58:15
       |
    58 | read_memory = 0
       |               ^
    "#);
    assert_snapshot!(refused_with("keep_generations = 3", "keep_generations = 0"), @r#"
    `keep_generations` must be at least 1, not 0
      --> recipes/p.toml:59:20
       |
    59 | keep_generations = 0
       |                    ^
    "#);
    assert_snapshot!(refused_with("\"zstd\"", "\"std\""), @r#"
    unknown value `std` for `compression` in [store]
      --> recipes/p.toml:54:15
       |
    54 | compression = "std"
       |               ^^^^^
    hint: did you mean `zstd`?
    "#);
    assert_snapshot!(refused_with("relu = false", "relu = \"no\""), @r#"
    `relu` in [store] must be true or false, not the string "no"
      --> recipes/p.toml:55:8
       |
    55 | relu = "no"
       |        ^^^^
    "#);
    assert_snapshot!(refused_with("activations = \"auto\"", "activations = \"recompile\""), @r#"
    unknown value `recompile` for `activations` in [store]
      --> recipes/p.toml:56:15
       |
    56 | activations = "recompile"
       |               ^^^^^^^^^^^
    hint: did you mean `recompute`?
    "#);
    assert_snapshot!(refused_with("views = 3", "views = 0"), @r#"
    `views` must be at least 1, not 0
      --> recipes/p.toml:23:9
       |
    23 | views = 0
       |         ^
    "#);
    assert_snapshot!(refused_with("views = 3", "veiws = 3"), @r#"
    unknown key `veiws` in [view]
      --> recipes/p.toml:23:1
       |
    23 | veiws = 3
       | ^^^^^
    hint: did you mean `views`?
    "#);
    assert_snapshot!(refused(FULL, &["modules.b.activations=stored"]), @r#"
    `--set modules.b.activations=stored`: unknown value `stored` for `activations` in module `b`
    hint: did you mean `store`?
    "#);
    assert_snapshot!(refused(FULL, &["modules.b.activations=[1]"]), @"`--set modules.b.activations=[1]`: `activations` in module `b` must be a string");
    let cut = ["split=2", "modules.a.activations=store"];
    let own = FULL.replace("epochs = 2\nlearning_rate = 1e-3\n", "");
    assert_snapshot!(refused(&own, &cut), @r#"
    `--set modules.a.activations=store`: module `a` is cut up by `split`: it has no `activations`
    hint: set `store.activations`
    "#);
}

#[test]
fn wrong_data_is_shown() {
    assert_snapshot!(refused(&SHORT.replace("test =", "subset = 9\n#"), &[]), @r#"
    missing key `test` in [data]
     --> recipes/p.toml:1:1
      |
    1 | [data]
      | ^^^^^^
    hint: [data] has paths in `train` and `test`, or a table [data.textures] that makes images
    "#);
    assert_snapshot!(refused(&SHORT.replace("\"test.parquet\"", "[]"), &[]), @r#"
    `test` names no file
     --> recipes/p.toml:3:8
      |
    3 | test = []
      |        ^^
    "#);
    assert_snapshot!(refused(&SHORT.replace("\"test.parquet\"", "[1]"), &[]), @r#"
    an item of `test` in [data] must be a string, not 1
     --> recipes/p.toml:3:9
      |
    3 | test = [1]
      |         ^
    "#);
    assert_snapshot!(refused_with("subset = 500", "label = false"), @r#"
    `label` is about files, but [data.textures] makes the images
     --> recipes/p.toml:5:9
      |
    5 | label = false
      |         ^^^^^
    hint: leave out `data.label` or the table [data.textures]
    "#);
    assert_snapshot!(refused(SHORT, &["data.label=true"]), @"`--set data.label=true`: `label` in [data] must be the name of a column, a list of them, or false when the data has no labels, not true");
}

#[test]
fn wrong_modules_are_shown() {
    assert_snapshot!(refused_with("name = \"b\"", "name = \"a\""), @r#"
    two modules are called `a`
      --> recipes/p.toml:34:8
       |
    34 | name = "a"
       |        ^^^
    "#);
    assert_snapshot!(refused_with("name = \"b\"", "name = \"probe\""), @r#"
    a module cannot be called `probe`: the name has another meaning
      --> recipes/p.toml:34:8
       |
    34 | name = "probe"
       |        ^^^^^^^
    "#);
    assert_snapshot!(refused_with("name = \"b\"", "name = \"b/c\""), @r#"
    a module's name has letters, digits, `-` and `_`, which `b/c` does not
      --> recipes/p.toml:34:8
       |
    34 | name = "b/c"
       |        ^^^^^
    "#);
    assert_snapshot!(refused_with("in_channels = 16", "in_channels = 64"), @r#"
    module `b` expects 64 channels, `a` gives 16
      --> recipes/p.toml:35:15
       |
    35 | in_channels = 64
       |               ^^
    "#);
    let layers = "layers = [{ bottleneck = { planes = 8, stride = 2, blocks = 3 } }]";
    assert_snapshot!(refused_with(layers, ""), @r#"
    module `b` has neither `layers` nor a `preset` nor `python`
      --> recipes/p.toml:34:8
       |
    34 | name = "b"
       |        ^^^
    "#);
    assert_snapshot!(refused_with(layers, "layers = []"), @r#"
    module `b` has no layer
      --> recipes/p.toml:36:10
       |
    36 | layers = []
       |          ^^
    "#);
    assert_snapshot!(refused_with(layers, "preset = \"resnet50-01\""), @r#"
    unknown preset `resnet50-01`
      --> recipes/p.toml:36:10
       |
    36 | preset = "resnet50-01"
       |          ^^^^^^^^^^^^^
    hint: did you mean `resnet50-0`?
    "#);
    assert_snapshot!(refused_with(&format!("in_channels = 16\n{layers}"), "preset = \"resnet50-1\""), @r#"
    module `b` expects 256 channels, `a` gives 16
      --> recipes/p.toml:35:10
       |
    35 | preset = "resnet50-1"
       |          ^^^^^^^^^^^^
    "#);
    assert_snapshot!(refused_with("blocks = 2", "blocks = 1000000"), @r#"
    `blocks` must be at most 1024, not 1000000
      --> recipes/p.toml:30:41
       |
    30 |     { basic = { channels = 16, blocks = 1000000 } },
       |                                         ^^^^^^^
    "#);
    assert_snapshot!(refused(SHORT, &["modules=[]"]), @"`--set modules=[]`: a pipeline needs at least one module");
}

#[test]
fn shapes_that_do_not_fit_are_shown() {
    assert_snapshot!(refused_with("crop = 28", "crop = 40"), @r#"
    a crop of 40x40 does not fit in an image of 32x32
      --> recipes/p.toml:18:8
       |
    18 | crop = 40
       |        ^^
    "#);
    assert_snapshot!(refused_with("patch = 8", "patch = 30"), @r#"
    a patch of 30x30 does not fit in a crop of 28x28
      --> recipes/p.toml:20:9
       |
    20 | patch = 30
       |         ^^
    "#);
    assert_snapshot!(refused_with("prediction_steps = 3", "prediction_steps = 5"), @r#"
    5 prediction steps and 1 skipped row need a grid of at least 7 rows of patches, this view gives 6x6
      --> recipes/p.toml:41:20
       |
    41 | prediction_steps = 5
       |                    ^
    hint: lower `loss.infonce.prediction_steps`, or take a smaller patch or stride
    "#);
    assert_snapshot!(refused_with("kernel = 5", "kernel = 11, padding = 1"), @r#"
    a kernel of 11x11 in module `a` is larger than its map of 8x8 with 1 of padding
      --> recipes/p.toml:28:5
       |
    28 |     { conv = { channels = 16, kernel = 11, padding = 1 } },
       |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
    assert_snapshot!(refused_with("kernel = 5", "kernel = 5, padding = 10000"), @r#"
    36 patches of 20004x20004x16 are 230492169216 values for one image, at most 2147483647 can be stored
      --> recipes/p.toml:28:5
       |
    28 |     { conv = { channels = 16, kernel = 5, padding = 10000 } },
       |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
    let default = refused(FULL, &["view.crop=16", "loss.infonce={}"]);
    assert_snapshot!(default, @r#"
    5 prediction steps and 1 skipped row need a grid of at least 7 rows of patches, this view gives 3x3
      --> recipes/p.toml:20:9
       |
    20 | patch = 8
       |         ^
    hint: lower `loss.infonce.prediction_steps`, or take a smaller patch or stride
    "#);
}

#[test]
fn mistakes_in_overrides_name_the_override() {
    assert_snapshot!(refused(FULL, &["training.epochs"]), @r#"
    `--set training.epochs`: an override needs a key and a value
    hint: write it as `--set training.epochs=3`
    "#);
    assert_snapshot!(refused(FULL, &["training..epochs=1"]), @r#"
    `--set training..epochs=1`: an override needs a key with a name between its dots
    hint: write it as `--set training.epochs=3`
    "#);
    assert_snapshot!(refused(FULL, &["seed=1", "training.epoch=3"]), @r#"
    `--set training.epoch=3`: unknown key `epoch` in [training]
    hint: did you mean `epochs`?
    "#);
    assert_snapshot!(refused(FULL, &["trainig.epochs=3"]), @r#"
    `--set trainig.epochs=3`: unknown key `trainig`
    hint: did you mean `training`?
    "#);
    assert_snapshot!(refused(FULL, &["training.epochs=many"]), @r#"`--set training.epochs=many`: `epochs` in [training] must be a whole number of 1 or more, not the string "many""#);
    assert_snapshot!(refused(FULL, &["training.epochs=0"]), @"`--set training.epochs=0`: `epochs` must be at least 1, not 0");
    assert_snapshot!(refused(FULL, &["store.dtype=f61"]), @r#"
    `--set store.dtype=f61`: unknown value `f61` for `dtype` in [store]
    hint: did you mean `f16`?
    "#);
    assert_snapshot!(refused(FULL, &["modules.c.epochs=2"]), @r#"
    `--set modules.c.epochs=2`: there is no `c` in `modules`
    hint: known here: `a`, `b`
    "#);
    assert_snapshot!(refused(FULL, &["modules.2.epochs=2"]), @r#"
    `--set modules.2.epochs=2`: there is no `2` in `modules`
    hint: known here: `a`, `b`
    "#);
    assert_snapshot!(refused(FULL, &["modules.b.in_channels=64"]), @"`--set modules.b.in_channels=64`: module `b` expects 64 channels, `a` gives 16");
    assert_snapshot!(refused(FULL, &["seed.x=1"]), @"`--set seed.x=1`: `seed` is a single value: there is no `x` in it");
    assert_snapshot!(refused(FULL, &["view.crop=64"]), @"`--set view.crop=64`: a crop of 64x64 does not fit in an image of 32x32");
    // The mistake is in the file, not in the override beside it.
    assert_snapshot!(refused(&FULL.replace("batch = 16", "batsh = 16"), &["training.epochs=3"]), @r#"
    unknown key `batsh` in [training]
      --> recipes/p.toml:47:1
       |
    47 | batsh = 16
       | ^^^^^
    hint: did you mean `batch`?
    "#);
}

#[test]
fn a_missing_file_is_a_wrong_pipeline() {
    let error = Pipeline::load(Path::new("no/such/pipeline.toml"), &[]).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().contains("no/such/pipeline.toml"), "{error}");
}

proptest! {
    /// No text makes the parser panic, and every error names the file.
    #[test]
    fn mutated_text_is_read_or_refused(
        at in 0..FULL.len(),
        removed in 0..12_usize,
        added in "[-a-z0-9é\"'.,={}\\[\\]#\n ]{0,6}",
    ) {
        let end = (at + removed).min(FULL.len());
        let text = format!("{}{added}{}", &FULL[..at], &FULL[end..]);
        if let Err(error) = parse(&text, &[]) {
            prop_assert!(error.to_string().contains("recipes/p.toml:"), "{}", error);
        }
    }

    /// No number overflows, wherever it stands.
    #[test]
    fn extreme_numbers_are_read_or_refused(
        key in 0..FULL.matches(" = ").count(),
        number in prop_oneof![Just(0), Just(1), Just(i64::MAX), Just(16384), any::<i64>()],
    ) {
        let (at, _) = FULL.match_indices(" = ").nth(key).unwrap();
        let value = at + 3;
        let length = FULL[value..].find([',', ' ', '\n']).unwrap();
        let text = format!("{}{number}{}", &FULL[..value], &FULL[value + length..]);
        if let Err(error) = parse(&text, &[]) {
            prop_assert!(error.to_string().contains("recipes/p.toml:"), "{}", error);
        }
    }

    #[test]
    fn any_override_is_read_or_refused(text in "[a-z0-9._é=\\[{\" ]{0,24}") {
        if let Err(error) = parse(FULL, &[&text]) {
            prop_assert_eq!(error.kind(), Kind::Usage);
        }
    }
}

#[test]
fn what_a_cluster_is_asked_for_is_of_all_jobs_or_of_one_kind() {
    let table = "[slurm]\npartition = \"gpu\"\ncpus_per_task = 4\nextra = [\"--mail-type=END\"]\n\
                 [slurm.train]\ntime = \"1-00:00:00\"\n";
    let pipeline = parsed(&format!("{FULL}\n{table}"), &["slurm.encode.mem=16G"]);
    let all = &pipeline.slurm.all;
    assert_eq!((all.partition.as_deref(), all.cpus_per_task), (Some("gpu"), Some(4)));
    assert_eq!(all.extra, ["--mail-type=END"]);
    assert_eq!(pipeline.slurm.train.time.as_deref(), Some("1-00:00:00"));
    assert_eq!(pipeline.slurm.train.partition, None);
    assert_eq!(pipeline.slurm.encode.mem.as_deref(), Some("16G"));
    for time in ["90", "1:30", "4:00:00", "2-12", "1-00:30", "unlimited"] {
        parsed(FULL, &[&format!("slurm.time=\"{time}\"")]);
    }
}

#[test]
fn mistakes_in_what_a_cluster_is_asked_for_are_told() {
    let mistakes = [
        ("slurm.partitoin=\"gpu\"", "unknown key `partitoin` in [slurm]"),
        ("slurm.train.tmie=\"1\"", "unknown key `tmie` in [slurm.train]"),
        ("slurm.time=60", "`time` in [slurm] must be a string"),
        ("slurm.time=\"1h\"", "`time` must be a time limit of Slurm, not \"1h\""),
        ("slurm.mem=\"16 GB\"", "`mem` must be an amount of memory of Slurm"),
        ("slurm.cpus_per_task=0", "`cpus_per_task` must be at least 1, not 0"),
        ("slurm.partition=\"\"", "`partition` must be a word that `sbatch --partition` takes"),
        ("slurm.extra=[\"mail\"]", "\"mail\" in `extra` is no option of `sbatch`"),
        ("slurm.extra=[\"--array=0-3\"]", "`--array` is for the script to set"),
        ("slurm.train.setup=[\"true\"]", "`setup` holds for all kinds of jobs"),
        ("slurm.train.encode.time=\"1\"", "`encode` holds for all kinds of jobs"),
        ("slurm.grace_seconds=0", "`grace_seconds` must be at least 1, not 0"),
        ("slurm=\"gpu\"", "`slurm` must be a table"),
    ];
    for (setting, message) in mistakes {
        let told = refused(FULL, &[setting]);
        assert!(told.contains(message), "{setting}: {told}");
        assert!(told.contains("--set"), "{told}");
    }
}

#[test]
fn where_a_step_runs_is_in_no_key() {
    use gimlet::stage::{RunDir, Standing};
    let dir = RunDir::at("nowhere");
    let keys = |overrides: &[&str]| {
        Standing::new(&parsed(FULL, overrides), dir.clone()).unwrap().plan.all_keys()
    };
    assert_eq!(keys(&[]), keys(&["slurm.partition=\"gpu\"", "slurm.train.time=\"9\""]));
    assert_ne!(keys(&[]), keys(&["training.batch=7"]));
}
