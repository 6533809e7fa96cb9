//! What a user of the command line sees.

use crate::tiny;
use gimlet::pipeline::Pipeline;
use gimlet::stage::{At, RunDir, Standing, Step, lock};
use tiny::{PIPELINE, Tiny, gimlet, text};

#[test]
fn a_run_does_every_step_and_the_second_one_nothing() {
    let tiny = Tiny::new();
    let (out, err) = tiny.ok("run", &[]);
    for column in ["module", "accuracy", "loss", "chance", "seconds", "k-NN", "memory", "written"] {
        assert!(out.contains(column), "{out}");
    }
    let rows = out.lines().take_while(|line| !line.is_empty()).count();
    assert_eq!(rows, 1 + 4, "two modules, each with its twin: {out}");
    assert!(err.contains("train b "), "{err}");

    let (again, err) = tiny.ok("run", &[]);
    assert_eq!(out, again, "the table is the same");
    assert!(err.contains("all 8 steps are done"), "{err}");
}

#[test]
fn probe_json_is_an_array_with_the_fields_that_scripts_read() {
    let tiny = Tiny::new();
    tiny.ok("run", &["--quiet"]);
    let probes = tiny.json("probe", &[]);
    let probes = probes.as_array().unwrap();
    assert_eq!(probes.len(), 4);
    for (place, probe) in probes.iter().enumerate() {
        assert_eq!(probe["index"], place / 2);
        assert_eq!(probe["module"], ["a", "b"][place / 2]);
        assert_eq!(probe["kind"], ["trained", "untrained"][place % 2]);
        assert_eq!(probe["probe"], "linear");
        assert_eq!(probe["split"], "test");
        let accuracy = probe["accuracy"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&accuracy));
        assert!((probe["chance_loss"].as_f64().unwrap() - 5f64.ln()).abs() < 1e-9);
        let loss = probe["loss"].as_f64().unwrap();
        assert!(loss > 0.0 && loss < 5.0, "{loss}");
    }
    let run = tiny.json("run", &[]);
    assert_eq!(run["probes"].as_array().unwrap(), probes);
    assert_eq!(run["stages"].as_array().unwrap().len(), 8);
}

#[test]
fn status_tells_missing_done_and_stale_and_why() {
    let tiny = Tiny::new();
    let states = |args: &[&str]| -> Vec<(String, String, String)> {
        let status = tiny.json("status", args);
        let field = |it: &serde_json::Value, name: &str| it[name].as_str().unwrap().to_string();
        let stages = status["stages"].as_array().unwrap().iter();
        stages
            .map(|it| {
                let name = format!("{} {}", field(it, "stage"), field(it, "step"));
                (name, field(it, "state"), field(it, "why"))
            })
            .collect()
    };
    assert!(states(&[]).iter().all(|(_, state, _)| state == "missing"));
    assert!(!tiny.path("runs").exists(), "looking leaves nothing behind");

    tiny.ok("run", &[]);
    assert!(states(&[]).iter().all(|(_, state, why)| state == "done" && why.is_empty()));
    let status = tiny.json("status", &[]);
    let encode = &status["stages"][3];
    assert_eq!((encode["stage"].as_str(), encode["step"].as_str()), (Some("a"), Some("encode")));
    assert_eq!(encode["rows"], 72);
    assert_eq!(encode["generation"], 1);
    // Half of the values are zeros, and compression finds them.
    let uncompressed = 72 * 9 * 8 * 8 * 4 * 2;
    let bytes = encode["bytes"].as_u64().unwrap();
    assert!(bytes > uncompressed / 2 && bytes < 2 * uncompressed, "{bytes}");

    let changed = states(&["--set", "modules.b.epochs=3"]);
    let expected = ["done", "done", "done", "done", "done", "stale", "stale", "stale"];
    assert_eq!(changed.iter().map(|(_, state, _)| state.as_str()).collect::<Vec<_>>(), expected);
    assert_eq!(changed[5].2, "modules.b.epochs: 2 -> 3");
    assert_eq!(changed[6].2, "`train b` is not done");
}

#[test]
fn a_changed_setting_redoes_that_step_and_those_after_it_and_going_back_costs_nothing() {
    let tiny = Tiny::new();
    tiny.ok("run", &[]);
    let (_, err) = tiny.ok("run", &["-v", "--set", "modules.b.epochs=3"]);
    assert_eq!(err.matches("nothing changed").count(), 5, "{err}");
    let status = tiny.json("status", &["--set", "modules.b.epochs=3"]);
    assert_eq!(status["stages"][5]["generation"], 2, "train b");
    let (_, err) = tiny.ok("run", &[]);
    assert!(err.contains("all 8 steps are done"), "{err}");
}

#[test]
fn a_step_whose_input_is_not_there_names_the_step_to_run_first() {
    let tiny = Tiny::new();
    let err = tiny.fails(5, "train", &["a"]);
    assert!(err.contains("`train a` needs what `ingest` writes"), "{err}");
    assert!(err.contains("hint: run `gimlet ingest"), "{err}");
    tiny.ok("ingest", &[]);
    let err = tiny.fails(5, "train", &["b"]);
    assert!(err.contains("`encode a`"), "{err}");
    let err = tiny.fails(5, "encode", &["a"]);
    assert!(err.contains("`train a`"), "{err}");
    tiny.fails(5, "probe", &[]);
    tiny.ok("train", &["a"]);
    tiny.ok("encode", &["a"]);
    let output = tiny.output("probe", &["--json"]);
    assert_eq!(output.status.code(), Some(5), "module b is not encoded");
    let probes: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(probes.as_array().unwrap().len(), 2, "module a is judged all the same");
}

#[test]
fn wrong_usage_ends_with_2_and_touches_nothing() {
    let tiny = Tiny::new();
    let err = tiny.fails(2, "train", &["c"]);
    assert!(err.contains("no module `c`") && err.contains("hint: its modules are a, b"), "{err}");
    let err = tiny.fails(2, "run", &["--set", "training.epoch=3"]);
    assert!(err.contains("epochs"), "{err}");
    let output = gimlet(&tiny.path(".")).args(["run", "none.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("none.toml"));
    let output = gimlet(&tiny.path(".")).arg("fly").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_directory_of_another_pipeline_is_refused() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &["--run-dir", "shared"]);
    let err = tiny.fails(1, "run", &["--run-dir", "shared", "--set", "name=\"other\""]);
    assert!(err.contains("holds a run of pipeline `tiny`, not of `other`"), "{err}");

    std::fs::create_dir(tiny.path("papers")).unwrap();
    std::fs::write(tiny.path("papers/thesis.tex"), "mine").unwrap();
    let err = tiny.fails(1, "run", &["--run-dir", "papers"]);
    assert!(err.contains("thesis.tex"), "{err}");
}

#[test]
fn a_second_process_on_a_stage_is_refused_with_the_firsts_number() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    let pipeline = Pipeline::load(&tiny.path("tiny.toml"), &[]).unwrap();
    let dir = RunDir::at(tiny.path("runs/tiny"));
    let standing = Standing::new(&pipeline, dir).unwrap();
    let training = Step::Train(At { module: 0, round: 0 });
    let lock = lock::acquire(&standing, training, gimlet_store::Shard::WHOLE).unwrap();
    let err = tiny.fails(1, "train", &["a"]);
    assert!(err.contains(&format!("process {}", std::process::id())), "{err}");
    let status = tiny.json("status", &[]);
    assert_eq!(status["stages"][2]["state"], "running");
    drop(lock);
    tiny.ok("train", &["a"]);
}

#[test]
fn a_loss_that_is_not_a_number_stops_there_and_commits_nothing() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    let args = ["a", "--set", "training.learning_rate=1e30"];
    let err = tiny.fails(1, "train", &args);
    assert!(err.contains("`train a` stopped at epoch 1, step "), "{err}");
    assert!(err.contains("training.learning_rate"), "{err}");
    let status = tiny.json("status", &args[1..]);
    assert_ne!(status["stages"][2]["state"], "done");
    tiny.fails(5, "encode", &args);
}

#[test]
fn little_memory_to_read_ahead_is_said_and_changes_no_weight() {
    let tiny = Tiny::new();
    let run = |run_dir: &str, memory: &str| {
        let memory = format!("store.read_memory={memory}");
        let args = ["--run-dir", run_dir, "--set", memory.as_str()];
        tiny.ok("ingest", &args);
        tiny.ok("train", &[&["a"], &args[..]].concat()).1
    };
    let err = run("little", "1kB");
    let said = "one batch of `a` takes 18.43 kB, more than `store.read_memory` (1.00 kB)";
    assert!(err.contains(said), "{err}");
    assert!(!run("much", "1GB").contains("store.read_memory"));
    assert!(tiny.weights("little", "a") == tiny.weights("much", "a"));
}

#[test]
fn the_wait_for_data_is_reported_of_every_training() {
    let tiny = Tiny::new();
    let (out, _) = tiny.ok("run", &[]);
    assert!(out.contains("waited"), "{out}");
    let status = tiny.json("status", &[]);
    for stage in status["stages"].as_array().unwrap() {
        let share = stage["wait_share"].as_f64();
        assert_eq!(share.is_some(), stage["step"] == "train");
        assert!(share.is_none_or(|share| (0.0..=1.0).contains(&share)), "{stage}");
        assert_eq!(stage["wait_seconds"].is_f64(), share.is_some());
    }
    let (text, _) = tiny.ok("status", &[]);
    assert!(text.contains("waited") && text.contains(" %"), "{text}");
}

#[test]
fn damage_to_what_was_committed_ends_with_4_and_names_the_file() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    tiny.ok("train", &["a"]);
    tiny.ok("encode", &["a"]);
    let folder = tiny.path("runs/tiny/datasets/a/train");
    let mut parts = Vec::new();
    tiny::walk(&folder, &mut |path| {
        if path.extension().is_some_and(|it| it == "parquet") {
            parts.push(path.to_path_buf());
        }
    });
    parts.sort();
    let whole = std::fs::read(&parts[1]).unwrap();
    let mut broken = whole.clone();
    broken[whole.len() / 3] ^= 1;
    std::fs::write(&parts[1], &broken).unwrap();
    let err = tiny.fails(4, "train", &["b"]);
    assert!(err.contains(parts[1].file_name().unwrap().to_str().unwrap()), "{err}");

    std::fs::write(&parts[1], &whole[..whole.len() / 2]).unwrap();
    tiny.fails(4, "train", &["b"]);
    std::fs::write(&parts[1], &whole).unwrap();
    // It was noted as damaged, and is looked at again by the step that made it.
    tiny.ok("encode", &["a"]);
    tiny.ok("train", &["b"]);

    let weights = tiny.find("runs/tiny/modules/b", "weights.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, &bytes).unwrap();
    tiny.fails(4, "encode", &["b"]);
}

#[test]
fn inspect_shows_shape_statistics_and_first_rows() {
    let tiny = Tiny::new();
    tiny.ok("run", &[]);
    let (out, _) = tiny.ok("inspect", &[]);
    assert!(out.contains("[patch 9, height 8, width 8, channel 4]"), "{out}");
    assert!(out.contains("datasets/ingest/train") && out.contains("untrained/b/test"), "{out}");

    let folder = tiny.path("runs/tiny/datasets/a/test");
    let output = gimlet(&tiny.path(".")).args(["inspect", "--json"]).arg(&folder).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let dataset = &document["datasets"][0];
    assert_eq!(dataset["rows"], 24);
    let column = &dataset["columns"][0];
    assert_eq!(column["name"], "activation");
    assert_eq!(column["dtype"], "f16");
    assert_eq!(column["shape"], serde_json::json!([9, 8, 8, 4]));
    for statistic in ["mean", "std", "zero_fraction"] {
        assert!(column[statistic].is_f64(), "{column}");
    }
    assert_eq!(dataset["first_rows"].as_array().unwrap().len(), 3);

    let output = gimlet(&tiny.path(".")).args(["inspect", "nowhere"]).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
}

#[test]
fn wrong_data_says_what_and_where() {
    let files = |data: &str| {
        let (head, rest) = PIPELINE.split_once("[data.textures]").unwrap();
        let (_, rest) = rest.split_once("[view]").unwrap();
        Tiny::with(&format!("{head}[data]\n{data}\n[view]\nresize = 16\n{rest}"))
    };
    let tiny = files("train = \"none-*.parquet\"\ntest = \"none.parquet\"");
    let err = tiny.fails(5, "run", &[]);
    assert!(err.contains("none-*.parquet"), "{err}");

    let tiny = files("train = \"train\"\ntest = \"test\"");
    for split in ["train", "test"] {
        for class in ["cat", "dog"] {
            let folder = tiny.path(split).join(class);
            std::fs::create_dir_all(&folder).unwrap();
            for n in 0..10u8 {
                let image = image::RgbImage::from_fn(20, 16, |x, y| {
                    image::Rgb([n * 20, (x * 12) as u8, (y * 15) as u8])
                });
                image.save(folder.join(format!("{n}.png"))).unwrap();
            }
        }
    }
    let broken = tiny.path("train/dog/7.png");
    let whole = std::fs::read(&broken).unwrap();
    std::fs::write(&broken, &whole[..whole.len() / 2]).unwrap();
    let err = tiny.fails(1, "run", &[]);
    assert!(err.contains("dog/7.png") && err.contains("data.on_bad_sample"), "{err}");

    let skip = ["--set", "data.on_bad_sample=skip"];
    let (_, err) = tiny.ok("run", &skip);
    assert!(err.contains("skipped") && err.contains("19 images, 1 skipped"), "{err}");
    let status = tiny.json("status", &skip);
    assert_eq!(status["stages"][0]["rows"], 39);

    let err = tiny.fails(2, "run", &[skip[0], skip[1], "--set", "view.patch=32"]);
    assert!(err.contains("patch"), "{err}");
}

#[test]
fn help_names_every_command() {
    let output = gimlet(std::path::Path::new(".")).arg("--help").output().unwrap();
    let help = text(&output.stdout);
    let first = ["run", "ingest", "train", "encode", "probe", "plan", "status", "inspect"];
    for command in first.into_iter().chain(["export", "import", "embed"]) {
        assert!(help.contains(&format!("  {command} ")), "{help}");
    }
}

#[test]
fn images_without_labels_train_and_the_probe_leaves_them_out() {
    let textures = "[data.textures]\nclasses = 3\nsize = 16\ntrain = 48\ntest = 24";
    let stl = "[data]\ntrain = [\"train_X.bin\", \"unlabeled_X.bin\"]\ntest = \"test_X.bin\"";
    let tiny =
        Tiny::with(&tiny::PIPELINE.replace(textures, stl).replace("[view]", "[view]\nresize = 16"));
    // Dark images are of class 1, bright ones of class 2.
    let images = |count: usize| -> Vec<u8> {
        let pixel = |at: usize| 200 * (at / (3 * 96 * 96) % 2) + at % 50;
        (0..count * 3 * 96 * 96).map(|at| pixel(at) as u8).collect()
    };
    let labels = |count: usize| (0..count).map(|at| 1 + at as u8 % 2).collect::<Vec<u8>>();
    for (split, count) in [("train", 24), ("unlabeled", 24), ("test", 16)] {
        std::fs::write(tiny.path(&format!("{split}_X.bin")), images(count)).unwrap();
        if split != "unlabeled" {
            std::fs::write(tiny.path(&format!("{split}_y.bin")), labels(count)).unwrap();
        }
    }
    let run = tiny.json("run", &["--set", "probe.epochs=60", "--set", "probe.learning_rate=0.05"]);
    assert_eq!(run["stages"][0]["rows"], 48 + 16);
    let accuracy = run["probes"][0]["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.9, "{accuracy}");
}
