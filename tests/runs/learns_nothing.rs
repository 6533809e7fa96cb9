//! Trainings that learn nothing are told of, once, under every schedule and loss.

use crate::tiny::{PIPELINE, Tiny};

const TOLD: &str = "learns nothing";

/// The small pipeline on images that are all black.
fn black() -> Tiny {
    let textures = "[data.textures]\nclasses = 3\nsize = 16\ntrain = 48\ntest = 24\n";
    let files = "[data]\ntrain = \"train\"\ntest = \"test\"\n";
    let tiny = Tiny::with(&PIPELINE.replace(textures, files));
    for (split, count) in [("train", 24), ("test", 8)] {
        for class in ["cat", "dog"] {
            let folder = tiny.path(split).join(class);
            std::fs::create_dir_all(&folder).unwrap();
            for n in 0..count {
                image::RgbImage::new(16, 16).save(folder.join(format!("{n}.png"))).unwrap();
            }
        }
    }
    tiny
}

#[test]
fn images_that_are_all_alike_teach_nothing_and_it_is_told_once() {
    let tiny = black();
    let (_, err) = tiny.ok("run", &[]);
    assert_eq!(err.matches(TOLD).count(), 2, "{err}");
    for (module, reads) in [("a", "ingest"), ("b", "a")] {
        let told = err.lines().find(|it| it.contains(&format!("`train {module}` {TOLD}"))).unwrap();
        assert!(told.contains("warning"), "{told}");
        assert!(told.contains("all channels are dead: the same for every sample"), "{told}");
        assert!(told.contains("after epoch 1 all"), "{told}");
        assert!(told.contains("`training.learning_rate` (0.001)"), "{told}");
        // What it says to look at is there, and shows it.
        let (_, rest) = told.split_once("`gimlet inspect ").unwrap();
        let folder = rest.split_once(" --stats`").unwrap().0;
        assert!(folder.contains(reads), "{folder}");
        let mut inspect = crate::tiny::gimlet(&tiny.path("."));
        inspect.args(["inspect", folder, "--stats"]).assert().success();
    }
    let status = tiny.json("status", &[]);
    let of = |module: &str| {
        let stages = status["stages"].as_array().unwrap();
        stages.iter().find(|it| it["stage"] == module && it["step"] == "train").unwrap().clone()
    };
    for module in ["a", "b"] {
        assert_eq!(of(module)["state"], "done");
        let why = of(module)["why"].to_string();
        assert!(why.contains("has learnt nothing: all channels are dead"), "{why}");
    }
    tiny.ok("report", &[]);
    let page = std::fs::read_to_string(tiny.find("runs/tiny/report", "index.html")).unwrap();
    assert!(page.contains("a has learnt nothing: all channels are dead"));
}

#[test]
fn every_schedule_tells_it_of_every_module() {
    let rounds = ["kind=rounds", "rounds=2", "epochs_per_round=1"];
    let rounds = rounds.map(|it| format!("schedule.{it}")).to_vec();
    for schedule in [vec!["schedule=simultaneous".into()], rounds, vec!["schedule=async".into()]] {
        let tiny = black();
        let sets = schedule.iter().flat_map(|set| ["--set", set.as_str()]);
        let (_, err) = tiny.ok("run", &sets.collect::<Vec<_>>());
        for module in ["a", "b"] {
            let told = err.matches(&format!("`train {module}` {TOLD}")).count();
            assert_eq!(told, 1, "{schedule:?}, {module}: {err}");
        }
    }
}

#[test]
fn every_loss_tells_it() {
    let tiny = black();
    for loss in ["clapp={prediction_steps=1}", "vicreg={prediction_steps=1}", "supervised"] {
        let set = match loss.contains('=') {
            true => format!("loss={{{loss}}}"),
            false => format!("loss={loss}"),
        };
        let run_dir = loss.split('=').next().unwrap();
        tiny.ok("ingest", &["--run-dir", run_dir]);
        let (_, err) = tiny.ok("train", &["a", "--run-dir", run_dir, "--set", &set]);
        assert_eq!(err.matches(TOLD).count(), 1, "{loss}: {err}");
    }
}

#[test]
fn a_loss_that_stays_at_a_guess_is_told_and_one_that_falls_or_is_new_is_not() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    let train = |set: &[&str]| {
        let sets = set.iter().flat_map(|it| ["--set", *it]);
        tiny.ok("train", &[&["a"], &sets.collect::<Vec<_>>()[..]].concat()).1
    };
    let long = "training.epochs=40";
    let err = train(&[long, "training.learning_rate=1e-12"]);
    assert_eq!(err.matches(TOLD).count(), 1, "{err}");
    assert!(err.contains("its loss is no smaller than that of a guess (the loss is 1.6"), "{err}");
    assert!(err.contains("(1e-12), `loss.infonce.negatives` (4)"), "{err}");
    for set in [&[][..], &[long, "training.learning_rate=1e-2"]] {
        let err = train(set);
        assert!(!err.contains(TOLD), "{set:?}: {err}");
    }
}
