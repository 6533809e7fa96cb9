//! All modules at once: what each one trains on, what is stored, and what a stop leaves.

use crate::equivalence::{bits, weights};
use crate::tiny;
use std::path::Path;
use std::process::{Command, Stdio};

use gimlet::loss::Sizes;
use gimlet::module::Module;
use gimlet::parameters::Parameters;
use gimlet::pipeline::{Environment, Pipeline, SampleSize, Split, View};
use gimlet::random::generator;
use gimlet::stage::progress::Silent;
use gimlet::stage::{Run, RunDir, Session, Step};
use gimlet::train::feed::{Course, feed};
use gimlet::train::input::{Images, Input};
use gimlet::train::trainer::{Trainer, shapes};
use tiny::{Held, Tiny, killed, three_modules, walk};

const AT_ONCE: [&str; 2] = ["--set", "schedule=simultaneous"];

fn at_once<'a>(run_dir: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["--run-dir", run_dir], &AT_ONCE[..], more].concat()
}

#[test]
fn the_first_module_trains_as_it_would_alone_and_no_gradient_comes_to_it_from_above() {
    let tiny = Tiny::with(&three_modules());
    tiny.ok("run", &["--run-dir", "one-by-one", "--set", "store.dtype=f32"]);
    tiny.ok("run", &at_once("at-once", &[]));
    assert!(tiny.tensors("at-once", "a") == tiny.tensors("one-by-one", "a"));
    for module in ["b", "c"] {
        let (at_once, alone) =
            (tiny.tensors("at-once", module), tiny.tensors("one-by-one", module));
        assert_eq!(at_once.len(), alone.len());
        assert!(at_once != alone, "{module} has seen how the ones below it came to what they are");
    }

    let rate = ["--set", "modules.b.learning_rate=0.1"];
    tiny.ok("run", &at_once("rate", &rate));
    assert!(tiny.tensors("rate", "a") == tiny.tensors("at-once", "a"));
    for module in ["b", "c"] {
        assert!(tiny.tensors("rate", module) != tiny.tensors("at-once", module), "{module}");
    }
    let wide = ["--set", "modules.c.layers=[{basic={channels=20,stride=2}}]"];
    tiny.ok("run", &at_once("wide", &wide));
    for module in ["a", "b"] {
        assert!(tiny.tensors("wide", module) == tiny.tensors("at-once", module), "{module}");
    }
    assert!(tiny.tensors("wide", "c").len() > tiny.tensors("at-once", "c").len());
}

#[test]
fn every_module_trains_on_what_those_below_it_make_before_they_are_updated() {
    for settings in [&[][..], &["training.micro_batch=3", "training.recompute=true"]] {
        let folder = tempfile::tempdir().unwrap();
        let overrides: Vec<String> =
            ["schedule=simultaneous"].iter().chain(settings).map(|it| it.to_string()).collect();
        let text = three_modules();
        let pipeline =
            Pipeline::parse(&text, Path::new("tiny.toml"), &overrides, &Environment::default());
        let pipeline = pipeline.unwrap();
        let stop = gimlet::stop::Stop::new();
        let dir = RunDir::at(folder.path().join("run"));
        let run = Run::open(&pipeline, dir, Session::new(&stop, &Silent)).unwrap();
        run.step(Step::Ingest).unwrap();
        // Any module stands for all.
        run.step(Step::Train(run.standing.plan.last(1))).unwrap();

        let images = run.standing.generation(Step::Ingest, Split::Train).unwrap();
        let View::Images(view) = &pipeline.view else { panic!("it is of images") };
        let input = Images::new(&images, view, Split::Train, pipeline.seed).unwrap();
        let course = Course {
            seed: pipeline.seed,
            module: "a".into(),
            samples: input.layout().samples,
            views: input.layout().views,
            batch: pipeline.training.batch,
            epochs: pipeline.training.epochs,
        };
        let maps = pipeline.shapes(SampleSize::square(16)).unwrap();
        let mut trainers = Vec::new();
        for (module, (read, written)) in pipeline.modules.iter().zip(&maps) {
            let (channels, sizes) = (read.channels, Sizes::grid(written.channels, [3; 2]));
            let shapes = shapes(module.layers(), pipeline.loss.as_ref(), channels, sizes);
            let drawn = Parameters::draw(&shapes, pipeline.seed, &module.name).unwrap();
            let rate = module.learning_rate;
            let trainer = Trainer::new(
                module.layers(),
                pipeline.loss.as_ref(),
                channels,
                sizes,
                rate,
                &drawn,
            );
            let (micro_batch, recompute) =
                (pipeline.training.micro_batch, pipeline.training.recompute);
            trainers.push(trainer.unwrap().saving_memory(micro_batch, recompute));
        }
        std::thread::scope(|scope| {
            for batch in feed(scope, &input, &course, 0..course.steps(), 1 << 20) {
                let batch = batch.unwrap();
                let mut read = batch.input;
                for ((trainer, module), (map, _)) in
                    trainers.iter_mut().zip(&pipeline.modules).zip(&maps)
                {
                    let encoder = trainer.parameters().unwrap().under("encoder");
                    let now = Module::new(module.layers(), map.channels, &encoder).unwrap();
                    let purpose = format!("{}/negatives", module.name);
                    let mut draws = generator(pipeline.seed, &purpose, &[batch.step]);
                    let sizes = trainer.sizes();
                    let drawn = pipeline.loss.draw(course.batch, sizes, &mut draws);
                    trainer.step(&read, &drawn.into()).unwrap();
                    read = now.forward(&read).unwrap();
                }
            }
        });
        for (trainer, module) in trainers.iter().zip(&pipeline.modules) {
            let found = weights(&folder.path().join("run/modules").join(&module.name));
            let expected = trainer.parameters().unwrap();
            assert!(bits(&found) == bits(&expected), "{} with {settings:?}", module.name);
        }
    }
}

/// A command on a run with a checkpoint after every step.
fn gimlet(tiny: &Tiny, command: &str, more: &[&str]) -> Command {
    let mut gimlet = Command::new(assert_cmd::cargo::cargo_bin!("gimlet"));
    let args = ["--threads", "2", command, "tiny.toml", "--set", "training.checkpoint_seconds=0"];
    gimlet.current_dir(tiny.path(".")).args(args).args(AT_ONCE).args(more);
    gimlet.stdout(Stdio::null()).stderr(Stdio::null());
    gimlet
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_bit_for_bit_as_one_that_is_not() {
    let tiny = Tiny::with(&three_modules());
    let args = |run_dir| ["--set", "training.epochs=12", "--run-dir", run_dir];
    assert!(gimlet(&tiny, "run", &args("whole")).status().unwrap().success());
    let whole = tiny.contents("whole");
    assert_eq!(whole.iter().filter(|(name, _)| name.ends_with("weights.safetensors")).count(), 3);
    walk(&tiny.path("whole"), &mut |path| {
        assert!(!path.ends_with("checkpoint.safetensors"), "{path:?} stays after the end");
    });

    let mut draws = generator(12, "kills", &[]);
    let (mut kills, mut attempts) = (0, 0);
    loop {
        attempts += 1;
        assert!(attempts < 200, "the run does not come to its end");
        if !killed(&mut gimlet(&tiny, "run", &args("killed")), kills, &mut draws) {
            break;
        }
        kills += 1;
    }
    assert!(kills >= 3, "only {kills} kills: the run is too short to show anything");
    assert_eq!(tiny.contents("killed"), whole, "after {kills} kills");
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_one_checkpoint_that_all_modules_go_on_from() {
    let tiny = Tiny::new();
    let long = ["--set", "training.epochs=2000"];
    tiny.ok("ingest", &AT_ONCE);
    let mut train = gimlet(&tiny, "train", &[&["b"], &long[..]].concat());
    let Some(mut held) = Held::begin(&mut train, "remove checkpoint") else { return };
    let checkpoints = || {
        let mut found = Vec::new();
        walk(&tiny.path("runs/tiny/modules"), &mut |path| {
            found.extend(path.ends_with("checkpoint.safetensors").then(|| path.to_path_buf()));
        });
        found
    };
    assert_eq!(checkpoints().len(), 1);
    let running = tiny.json("status", &[&AT_ONCE[..], &long].concat());
    for stage in [2, 3] {
        assert_eq!(running["stages"][stage]["state"], "running", "{running}");
    }
    let err = tiny.fails(1, "train", &[&["a"], &AT_ONCE[..], &long].concat());
    assert!(err.contains("process"), "{err}");
    held.signal(rustix::process::Signal::INT);
    assert_eq!(held.child.wait().unwrap().code(), Some(130));
    let found = checkpoints();
    assert_eq!(found.len(), 1, "{found:?}");
    let status = tiny.json("status", &[&AT_ONCE[..], &long].concat());
    for (stage, name) in [(2, "a"), (3, "b")] {
        let stage = &status["stages"][stage];
        assert_eq!((stage["stage"].as_str(), stage["step"].as_str()), (Some(name), Some("train")));
        assert_eq!(stage["state"], "partial");
        assert!(stage["why"].as_str().unwrap().starts_with("checkpoint at step "), "{stage}");
    }
    let bytes = std::fs::read(&found[0]).unwrap();
    let (state, _) = Parameters::from_safetensors(&bytes, &found[0]).unwrap();
    for name in ["a", "b"] {
        assert!(state.under(name).under("adam").iter().count() > 0, "{name}");
    }
}

#[test]
fn nothing_but_pooled_vectors_is_stored_and_every_command_knows_the_run() {
    let tiny = Tiny::with(&three_modules());
    let stored = [&AT_ONCE[..], &["--set", "store.activations=store"]].concat();
    let err = tiny.fails(5, "encode", &[&["b"], &stored[..]].concat());
    assert!(err.contains("`ingest` writes"), "{err}");
    tiny.ok("ingest", &stored);
    let err = tiny.fails(5, "encode", &[&["b"], &stored[..]].concat());
    assert!(err.contains("needs what `train a, b, c` writes"), "{err}");
    let plan = tiny.json("plan", &stored);
    let (_, err) = tiny.ok("train", &[&["b", "--profile"], &stored[..]].concat());
    assert!(err.contains("train a, b, c"), "{err}");
    let (_, err) = tiny.ok("train", &[&["c"], &stored[..]].concat());
    assert!(err.contains("train a, b, c") && err.contains("nothing changed"), "{err}");
    tiny.ok("encode", &[&["c"], &stored[..]].concat());
    tiny.ok("run", &stored);
    let (_, err) = tiny.ok("run", &stored);
    assert!(!err.contains("steps,"), "nothing is done twice: {err}");

    let mut tensors = Vec::new();
    for dataset in tiny.json("inspect", &stored)["datasets"].as_array().unwrap() {
        let path = dataset["path"].as_str().unwrap();
        let columns = dataset["columns"].as_array().unwrap();
        let names = columns.iter().map(|it| it["name"].as_str().unwrap().to_string());
        tensors.extend(names.filter(|_| !path.contains("ingest")));
    }
    assert_eq!(tensors, vec!["pooled"; tensors.len()]);
    assert_eq!(tensors.len(), 12, "of three modules, trained and not, two splits");
    let status = tiny.json("status", &stored);
    let stages = status["stages"].as_array().unwrap();
    assert_eq!(stages.len(), 2 + 3 * 3);
    assert!(stages.iter().all(|it| it["state"] == "done"), "{status}");
    for (forecast, found) in plan["steps"].as_array().unwrap().iter().zip(stages) {
        let key = |it: &serde_json::Value| (it["stage"].clone(), it["step"].clone());
        assert_eq!(key(forecast), key(found));
    }
    tiny.ok("verify", &[]);
    let (out, err) = tiny.ok("gc", &stored);
    assert!(out.contains("nothing") || err.contains("nothing"), "{out}{err}");
    let file = tiny.path("stack.safetensors").display().to_string();
    tiny.ok("export", &[&["--output", &file], &stored[..]].concat());
    let elsewhere = [&["--run-dir", "imported"], &stored[..]].concat();
    tiny.ok("ingest", &elsewhere);
    tiny.ok("import", &[&[file.as_str()], &elsewhere[..]].concat());
    for module in ["a", "b", "c"] {
        assert!(tiny.tensors("imported", module) == tiny.tensors("runs/tiny", module), "{module}");
    }
    let (_, err) = tiny.ok("train", &[&["a"], &elsewhere[..]].concat());
    assert!(err.contains("nothing changed"), "{err}");
}

#[test]
fn what_is_damaged_is_made_again_and_only_that() {
    let tiny = Tiny::new();
    tiny.ok("run", &AT_ONCE);
    let whole = tiny.contents("runs/tiny");
    std::fs::write(tiny.find("runs/tiny/modules/b", "weights.safetensors"), b"torn").unwrap();
    let mut parts = Vec::new();
    walk(&tiny.path("runs/tiny/datasets/b"), &mut |path| {
        parts
            .extend(path.extension().is_some_and(|it| it == "parquet").then(|| path.to_path_buf()));
    });
    std::fs::remove_file(&parts[0]).unwrap();
    let status = tiny.json("status", &AT_ONCE);
    let states: Vec<_> =
        status["stages"].as_array().unwrap().iter().map(|it| &it["state"]).collect();
    assert_eq!(states[2..6], ["done", "damaged", "done", "damaged"], "{status}");
    tiny.ok("run", &AT_ONCE);
    assert_eq!(tiny.contents("runs/tiny"), whole);

    // One training: what changes one module changes it.
    let rate = [&AT_ONCE[..], &["--set", "modules.b.learning_rate=0.1"]].concat();
    let status = tiny.json("status", &rate);
    for stage in [2, 3] {
        assert_eq!(status["stages"][stage]["state"], "stale");
        let why = status["stages"][stage]["why"].as_str().unwrap();
        assert_eq!(why, "modules.b.learning_rate: 0.001 -> 0.1");
    }
}

#[test]
fn other_devices_and_pieces_of_a_batch_end_as_ours_does() {
    let tiny = Tiny::with(&three_modules());
    let losses = |args: &[&str]| -> Vec<f64> {
        let run = tiny.json("run", &[&AT_ONCE[..], args].concat());
        let probes = run["probes"].as_array().unwrap();
        probes.iter().map(|it| it["loss"].as_f64().unwrap()).collect()
    };
    let ours = losses(&["--run-dir", "ours"]);
    for (run_dir, more) in
        [("candle", &["--device", "candle"][..]), ("pieces", &["--set", "training.micro_batch=3"])]
    {
        let theirs = losses(&[&["--run-dir", run_dir], more].concat());
        assert_eq!(theirs.len(), ours.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!((ours - theirs).abs() < 2e-3, "{run_dir}: {theirs}, not {ours}");
        }
        assert_ne!(tiny.tensors(run_dir, "c"), tiny.tensors("ours", "c"), "{run_dir}");
    }
}

#[test]
fn a_module_that_diverges_is_named_and_stops_all() {
    let tiny = Tiny::new();
    let err = tiny.fails(1, "run", &at_once("r", &["--set", "modules.b.learning_rate=1e30"]));
    assert!(err.contains("`train a, b` stopped at epoch 1, step 1: in `b`, the loss is"), "{err}");
    assert!(err.contains("hint: lower `training.learning_rate`"), "{err}");
    let mut files = Vec::new();
    walk(&tiny.path("r/modules"), &mut |path| files.push(path.display().to_string()));
    assert!(!files.iter().any(|it| it.ends_with("weights.safetensors")), "{files:?}");
}

#[test]
fn modules_with_other_epochs_are_refused_where_they_say_so() {
    let parse = |text: &str| {
        let text = format!("schedule = \"simultaneous\"\n{text}");
        Pipeline::parse(&text, Path::new("tiny.toml"), &[], &Environment::default())
    };
    let b = "name = \"b\"\n";
    let epochs =
        |text: &str, of: &str, epochs| text.replace(of, &format!("{of}epochs = {epochs}\n"));
    let error = parse(&epochs(tiny::PIPELINE, b, 3)).unwrap_err().to_string();
    assert!(error.contains("module `b` has 3 epochs, others have 2"), "{error}");
    assert!(error.contains("epochs = 3"), "{error}");
    let a = epochs(tiny::PIPELINE, "name = \"a\"\n", 3);
    let error = parse(&a).unwrap_err().to_string();
    assert!(error.contains("module `a` has 3 epochs, others have 2"), "{error}");
    let error = parse(&epochs(&a, b, 4)).unwrap_err().to_string();
    assert!(error.contains("module `b` has 4 epochs, others have 3"), "{error}");
    assert_eq!(parse(&epochs(&a, b, 3)).unwrap().modules[1].epochs, 3);
}
