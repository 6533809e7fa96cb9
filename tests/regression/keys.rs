//! 60 to 69: what a key holds.

use super::sound_files;
use super::tiny::{PIPELINE, Tiny};

/// The state of each step of a run, and why.
fn states(tiny: &Tiny, args: &[&str]) -> Vec<(String, String)> {
    let status = tiny.json("status", args);
    let stages = status["stages"].as_array().unwrap().iter();
    let of = |stage: &serde_json::Value, key: &str| stage[key].as_str().unwrap().to_owned();
    stages.map(|stage| (of(stage, "state"), of(stage, "why"))).collect()
}

/// 60: the classifier of the loss `supervised` has as many classes as both splits tell apart, but a training did
/// not notice when the test split was another.
#[test]
fn r60_weights_are_stale_where_the_test_split_says_how_many_classes_there_are() {
    let tiny = Tiny::new();
    let supervised = ["--set", "loss=supervised"];
    tiny.ok("ingest", &supervised);
    tiny.ok("train", &["a", "--set", "loss=supervised"]);
    let other = ["--set", "loss=supervised", "--set", "data.test_subset=12"];
    let found = states(&tiny, &other);
    assert_eq!((found[2].0.as_str(), found[2].1.as_str()), ("stale", "`ingest` is not done"));
    // Other losses have no part in it.
    tiny.ok("train", &["a"]);
    assert_eq!(states(&tiny, &["--set", "data.test_subset=12"])[2].0, "done");
}

/// 61: a stack that was drawn with its modules in another order counted as the same.
#[test]
fn r61_the_order_of_modules_is_part_of_the_untrained_stack() {
    let module =
        |name: &str| format!("{{name=\"{name}\",layers=[{{conv={{channels=1,kernel=3}}}}]}}");
    let [one, other] = [["a", "b"], ["b", "a"]].map(|names| {
        let modules: Vec<String> = names.into_iter().map(module).collect();
        format!("modules=[{}]", modules.join(","))
    });
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    tiny.ok("encode", &["untrained", "--set", &one]);
    let found = &states(&tiny, &["--set", &other])[1];
    let why = "modules.a.place: 0 -> 1; modules.b.place: 1 -> 0";
    assert_eq!((found.0.as_str(), found.1.as_str()), ("stale", why));
}

/// A pipeline of sound in folders, with two classes.
fn sound() -> Tiny {
    let text = "seed = 3\n[data]\ntrain = 'sounds'\ntest = 'sounds'\n[view]\nrate = 8000\nwindow = 160\n\
                hop = 40\n[[modules]]\nname = 'a'\nlayers = [{ conv1d = { channels = 4, kernel = 4, \
                stride = 2 } }]\n[loss.infonce1d]\nprediction_steps = 1\nnegatives = 2\n[training]\n\
                epochs = 1\nbatch = 4\n";
    let tiny = Tiny::with(text);
    for row in 0..12usize {
        let samples = sound_files::scaled(&sound_files::hum(200 + 10 * row));
        let louder = samples.iter().map(|it| it * (1.0 + row as f32 / 12.0));
        let class = ["one", "two"][row % 2];
        let path = tiny.path(&format!("sounds/{class}/{row}.wav"));
        sound_files::save(&path, 8_000, &louder.collect::<Vec<_>>());
    }
    tiny
}

/// 62: test samples are normalised as the training split has it, but those of the untrained stack stayed when that
/// was another.
#[test]
fn r62_what_normalises_the_test_split_is_part_of_the_untrained_stack() {
    let tiny = sound();
    tiny.ok("ingest", &[]);
    tiny.ok("encode", &["untrained"]);
    let less = ["--set", "data.subset=4"];
    tiny.ok("ingest", &less);
    tiny.ok("encode", &["untrained", "--set", "data.subset=4"]);
    let generations = |split: &str| {
        let files =
            std::fs::read_dir(tiny.path(&format!("runs/tiny/untrained/a/{split}"))).unwrap();
        let names = files.map(|it| it.unwrap().file_name().into_string().unwrap());
        names.filter(|it| it.ends_with(".json") && !it.starts_with('.')).count()
    };
    assert_eq!([generations("train"), generations("test")], [2, 2]);
}

/// 63: where a setting of the test split alone had changed, `status` told of an attempt that nobody had made.
#[test]
fn r63_a_changed_test_split_is_named() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    let found = states(&tiny, &["--set", "data.test_subset=12"]);
    let why = "data.test_subset: not set -> 12";
    assert_eq!((found[0].0.as_str(), found[0].1.as_str()), ("stale", why));
}

/// 64: a number of test images was part of the training images, which were ingested and trained on again.
#[test]
fn r64_what_is_made_of_the_training_split_stays_when_the_test_split_changes() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    tiny.ok("train", &["a"]);
    let found = states(&tiny, &["--set", "data.textures.test=16"]);
    let why = "data.textures.test: 24 -> 16";
    assert_eq!((found[0].0.as_str(), found[0].1.as_str()), ("stale", why));
    assert_eq!(found[2].0, "done");
}

/// 65: recordings without a label for every hop were ingested again when the hop was another.
#[test]
fn r65_a_hop_is_no_part_of_recordings_without_labels_of_hops() {
    let tiny = sound();
    tiny.ok("ingest", &[]);
    assert_eq!(states(&tiny, &["--set", "view.hop=20"])[0].0, "done");
}

/// 66: how many generations an `async` training replays was part of nothing.
#[test]
fn r66_generations_that_are_replayed_are_part_of_a_training() {
    let tiny = Tiny::with(&format!("{PIPELINE}\n[schedule]\nkind = \"async\"\nreplay = 0.5\n"));
    tiny.ok("run", &["--set", "training.epochs=1"]);
    let more = ["--set", "training.epochs=1", "--set", "store.keep_generations=3"];
    let found = states(&tiny, &more);
    let train_b = &found[5];
    let why = "store.keep_generations: 2 -> 3";
    assert_eq!((train_b.0.as_str(), train_b.1.as_str()), ("stale", why), "{found:?}");
}
