//! Pipelines of sound, from WAV files to probes: what comes out, and what is refused.

use crate::notes;
use crate::sound_files;
use crate::tiny;
use std::f32::consts::TAU;

use gimlet_store::{Generation, Store};
use notes::{PIPELINE, notes};
use serde_json::Value;
use sound_files::save;
use tiny::{Tiny, walk};

/// The probes of a run, by module and kind.
fn probes(tiny: &Tiny, args: &[&str]) -> Vec<Value> {
    tiny.json("run", args)["probes"].as_array().unwrap().clone()
}

fn accuracies(probe: &Value) -> (f64, f64) {
    (probe["accuracy"].as_f64().unwrap(), probe["further"][0]["accuracy"].as_f64().unwrap())
}

#[test]
fn a_run_of_sound_ends_with_probes_of_every_label() {
    let tiny = notes();
    let (out, err) = tiny.ok("run", &[]);
    assert!(out.contains("accuracy") && out.contains("voice"), "{out}");
    assert!(err.contains("24 recordings, 6 shorter than a window, padded"), "{err}");
    let (again, err) = tiny.ok("run", &[]);
    assert_eq!(again, out);
    assert!(!err.contains("steps,"), "nothing is done twice: {err}");

    let all = probes(&tiny, &[]);
    assert_eq!(all.len(), 6);
    for probe in &all {
        let (tone, voice) = accuracies(probe);
        assert!((0.0..=1.0).contains(&tone) && (0.0..=1.0).contains(&voice), "{probe}");
        assert_eq!(probe["further"][0]["label"], "voice");
        let chance = probe["chance_loss"].as_f64().unwrap();
        assert!((chance - 5f64.ln()).abs() < 1e-9, "{chance}");
        assert!(probe["loss"].as_f64().unwrap().is_finite());
    }

    let inspected = tiny.json("inspect", &[]);
    let text = inspected.to_string();
    for shape in ["[900]", "[1,1,159,8]", "[1,1,16,8]", "[1,1,16,6]", "[16,1,8]", "[16,1,6]"] {
        let shape = if shape == "[900]" { "[1020]" } else { shape };
        assert!(text.contains(shape), "{shape}: {text}");
    }
    tiny.ok("verify", &[]);
    tiny.ok("plan", &[]);
    tiny.ok("plan", &["--measure"]);
    assert!(tiny.ok("status", &[]).0.contains("done"));
}

#[test]
fn in_rounds_each_has_windows_of_its_own() {
    let tiny = notes();
    let set = |it: &'static str| ["--set", it];
    let args = ["schedule=rounds", "training.epochs=2"].map(set).concat();
    assert_eq!(probes(&tiny, &args).len(), 6);
    let keys = |split: &str| -> Vec<Vec<Vec<i64>>> {
        let dataset = Store::new().dataset(tiny.path("runs/tiny/datasets/a").join(split));
        let of = |it: Generation| it.reader(&["pooled"]).unwrap().keys().unwrap().attributes;
        dataset.readable().unwrap().map(|it| of(it.unwrap())).collect()
    };
    let (train, test) = (keys("train"), keys("test"));
    assert_eq!((train.len(), test.len()), (2, 2));
    assert_ne!(train[0][1..], train[1][1..], "beside the number of the view, where it starts");
    assert_eq!(test[0], test[1]);
    let (_, err) = tiny.ok("run", &args);
    assert!(!err.contains("steps,"), "nothing is done twice: {err}");
}

#[test]
fn training_learns_what_predicts_the_next_steps() {
    let tiny = notes();
    let all = probes(&tiny, &["--set", "training.epochs=60"]);
    let loss = |kind: &str, module: &str| {
        let probe = all.iter().find(|it| it["kind"] == kind && it["module"] == module).unwrap();
        probe["loss"].as_f64().unwrap()
    };
    for module in ["a", "b", "context"] {
        let (trained, untrained) = (loss("trained", module), loss("untrained", module));
        assert!(trained < untrained - 0.1, "{module}: {trained} {untrained}");
    }
}

/// What is stored in f32 and read is what would have been computed again, and threads, kernels and pieces
/// of a batch change no more than last digits.
#[test]
fn recomputed_boundaries_end_with_the_same_weights() {
    let tiny = notes();
    tiny.ok("run", &["--run-dir", "stored", "--set", "store.dtype=f32"]);
    let recompute = ["--set", "store.dtype=f32", "--set", "store.activations=recompute"];
    tiny.ok("run", &[&["--run-dir", "recomputed"], &recompute[..]].concat());
    for module in ["a", "b", "context"] {
        assert_eq!(tiny.tensors("stored", module), tiny.tensors("recomputed", module), "{module}");
    }
    let losses = |args: &[&str]| -> Vec<f64> {
        probes(&tiny, args).iter().map(|it| it["loss"].as_f64().unwrap()).collect()
    };
    let ours = losses(&["--run-dir", "stored", "--set", "store.dtype=f32"]);
    let f32 = ["--set", "store.dtype=f32"];
    for (dir, args) in [
        ("candle", vec!["--device", "candle"]),
        ("pieces", vec!["--set", "training.micro_batch=3"]),
    ] {
        let theirs = losses(&[&["--run-dir", dir], &f32[..], &args[..]].concat());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!((ours - theirs).abs() < 1e-3, "{dir}: {ours} {theirs}");
        }
    }
}

#[test]
fn every_kind_of_module_and_loss_runs() {
    let tiny = notes();
    for (dir, args) in [
        ("end-to-end", vec!["--set", "split=end-to-end"]),
        ("last-two", vec!["--set", "split=[1,2]"]),
        ("own-gru", vec!["--set", "loss.infonce1d.context={gru={channels=5}}"]),
        ("no-bptt", vec!["--set", "modules.context.layers=[{gru={channels=6,bptt=false}}]"]),
        ("offsets", vec!["--set", "loss.infonce1d.sampling=offsets"]),
        ("sequence", vec!["--set", "loss.infonce1d.sampling=sequence"]),
        ("greedy-supervised", vec!["--set", "loss=supervised"]),
        ("supervised", vec!["--set", "loss=supervised", "--set", "split=end-to-end"]),
        ("windows", vec!["--set", "view.views=2", "--set", "store.dtype=int8"]),
    ] {
        let all = probes(&tiny, &[&["--run-dir", dir], &args[..]].concat());
        assert!(all.iter().all(|probe| probe["loss"].as_f64().unwrap().is_finite()), "{dir}");
    }
}

/// A run with a checkpoint after each step that is killed three times, and then comes to its end.
fn killed(tiny: &Tiny, run_dir: &str) {
    tiny.ok("ingest", &["--run-dir", run_dir]);
    let every_step = ["--run-dir", run_dir, "--set", "training.checkpoint_seconds=0"];
    // After a checkpoint of each of the modules, and before that of the next one.
    for module in ["a", "b", "context"] {
        let at = format!("remove modules/{module}/");
        if let Some(held) = tiny.held(&at, "run", &every_step) {
            held.kill();
        }
    }
    tiny.ok("run", &every_step);
}

#[test]
fn a_killed_training_of_sound_goes_on_to_the_same_weights() {
    let tiny = notes();
    tiny.ok("run", &["--run-dir", "whole"]);
    killed(&tiny, "parts");
    for module in ["a", "b", "context"] {
        assert_eq!(tiny.tensors("whole", module), tiny.tensors("parts", module), "{module}");
    }
}

/// A GRU hands on what it makes to the module above it; a stop, a device and pieces change nothing of it.
#[test]
fn modules_of_sound_train_at_once() {
    let tiny = notes();
    let layers = |channels: usize| format!("layers = [{{ gru = {{ channels = {channels} }} }}]\n");
    let above =
        "[[modules]]\nname = \"above\"\nlayers = [{ conv1d = { channels = 7, kernel = 3 } }]\n";
    let text = PIPELINE.replace(&layers(6), &format!("{}\n{above}", layers(6)));
    std::fs::write(tiny.path("tiny.toml"), format!("schedule = \"simultaneous\"\n{text}")).unwrap();
    let losses = |args: &[&str]| -> Vec<f64> {
        probes(&tiny, args).iter().map(|it| it["loss"].as_f64().unwrap()).collect()
    };
    let ours = losses(&["--run-dir", "whole"]);
    assert_eq!(ours.len(), 8);
    let new = ["--run-dir", "whole", "--input", "test", "--output", "new.parquet"];
    tiny.ok("embed", &new);
    tiny.ok("verify", &["--run-dir", "whole"]);
    for (dir, args) in [
        ("candle", vec!["--device", "candle"]),
        ("pieces", vec!["--set", "training.micro_batch=3"]),
    ] {
        let theirs = losses(&[&["--run-dir", dir], &args[..]].concat());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!((ours - theirs).abs() < 1e-3, "{dir}: {ours} {theirs}");
        }
    }
    killed(&tiny, "parts");
    let sequential = ["--run-dir", "sequential", "--set", "schedule=sequential"];
    tiny.ok("run", &sequential);
    assert_eq!(tiny.tensors("whole", "a"), tiny.tensors("sequential", "a"));
    for module in ["a", "b", "context", "above"] {
        assert_eq!(tiny.tensors("whole", module), tiny.tensors("parts", module), "{module}");
        let same = tiny.tensors("whole", module) == tiny.tensors("sequential", module);
        assert_eq!(same, module == "a", "{module}");
    }
}

#[test]
fn hops_are_judged_by_their_own_labels() {
    let tiny = notes();
    // The first half of every recording is 0, the rest 1, and the last hops have none.
    let mut lines = String::new();
    for split in ["train", "test"] {
        walk(&tiny.path(split), &mut |path| {
            let stem = path.file_stem().unwrap().to_str().unwrap().to_string();
            let hops = (std::fs::metadata(path).unwrap().len() as usize - 44) / 100 - 2;
            let labels: Vec<&str> =
                (0..hops).map(|hop| if hop < hops / 2 { "0" } else { "1" }).collect();
            lines += &format!("{stem} {}\n", labels.join(" "));
        });
    }
    std::fs::write(tiny.path("hops.txt"), lines).unwrap();
    let all = probes(&tiny, &["--set", "data.alignments=hops.txt"]);
    for probe in &all {
        let frames = &probe["further"][1];
        assert_eq!(frames["label"], "frames");
        let accuracy = frames["accuracy"].as_f64().unwrap();
        assert!((0.3..=1.0).contains(&accuracy), "{probe}");
    }
}

#[test]
fn recordings_that_do_not_fill_a_window_are_left_out_when_the_pipeline_says_so() {
    let tiny = notes();
    let (_, err) = tiny.ok("ingest", &["--set", "view.short=skip"]);
    assert!(err.contains("18 recordings, 6 skipped"), "{err}");
    let status = tiny.json("status", &["--set", "view.short=skip"]);
    assert!(status.to_string().contains("\"rows\":30"), "{status}");
}

#[test]
fn broken_recordings_are_named_or_skipped_and_counted() {
    let tiny = notes();
    let whole = std::fs::read(tiny.path("train/0_v0_1.wav")).unwrap();
    std::fs::write(tiny.path("train/0_v0_8.wav"), &whole[..whole.len() / 2]).unwrap();
    save(&tiny.path("train/0_v0_9.wav"), 8000, &[]);
    let err = tiny.fails(1, "ingest", &[]);
    assert!(err.contains("0_v0_8.wav") || err.contains("0_v0_9.wav"), "{err}");
    assert!(err.contains("hint: ") && err.contains("on_bad_sample"), "{err}");
    let (_, err) = tiny.ok("ingest", &["--set", "data.on_bad_sample=skip"]);
    assert!(err.contains("0_v0_8.wav") && err.contains("0_v0_9.wav"), "{err}");
    assert!(err.contains("2 skipped"), "{err}");
}

#[test]
fn rates_may_differ_and_become_the_view_s() {
    let tiny = notes();
    let mut other = Vec::new();
    for tone in 0..3 {
        // The same note at twice the rate.
        let phase = |at: usize| TAU * 300.0 * (1 + tone) as f32 * at as f32 / 16000.0;
        let samples: Vec<f32> = (0..1900).map(|at| 0.5 * phase(at).sin()).collect();
        other.push(tiny.path(&format!("train/{tone}_v0_7.wav")));
        save(&other[tone], 16000, &samples);
    }
    let (_, err) = tiny.ok("run", &[]);
    assert!(err.contains("27 recordings"), "{err}");
}

#[test]
fn weights_go_out_and_in_and_embed_new_recordings() {
    let tiny = notes();
    tiny.ok("run", &[]);
    tiny.ok("export", &["--output", "stack.safetensors"]);
    tiny.ok("ingest", &["--run-dir", "other"]);
    tiny.ok("import", &["stack.safetensors", "--run-dir", "other"]);
    for module in ["a", "b", "context"] {
        assert_eq!(tiny.tensors("runs/tiny", module), tiny.tensors("other", module), "{module}");
    }
    let (_, err) = tiny.ok("embed", &["--input", "test", "--output", "new.parquet"]);
    assert!(err.contains("12 rows"), "{err}");
    tiny.ok("embed", &["--input", "test", "--output", "a.parquet", "--module", "a"]);
    // The view says all sizes.
    tiny.ok("import", &["stack.safetensors", "--run-dir", "third"]);
    tiny.ok(
        "ingest",
        &["--run-dir", "wider", "--set", "modules.context.layers=[{gru={channels=7}}]"],
    );
    let wider = [
        "stack.safetensors",
        "--run-dir",
        "wider",
        "--set",
        "modules.context.layers=[{gru={channels=7}}]",
    ];
    let err = tiny.fails(1, "import", &wider);
    assert!(err.contains("weight_ih_l0") && err.contains("21"), "{err}");
}

#[test]
fn what_does_not_go_together_is_refused_with_its_place() {
    let tiny = notes();
    for (set, told) in [
        ("view.patch=8", "`view.patch` is about images"),
        ("modules.a.layers=[{conv={channels=4,kernel=3}}]", "`conv` is a layer for images"),
        (
            "modules.a.layers=[{gru={channels=4}},{relu={}}]",
            "a gru is the last layer of its module",
        ),
        ("modules.b.layers=[{conv1d={channels=4,kernel=300,padding=0}}]", "is longer than its"),
        ("view.clip=10", "shorter than a window"),
        ("loss.infonce1d.prediction_steps=16", "prediction"),
        ("loss.infonce1d.negatives=0", "`negatives` must be at least 1"),
        ("data.image=x", "`image` is about images"),
    ] {
        let err = tiny.fails(2, "status", &["--set", set]);
        assert!(err.contains(told), "{set}: {err}");
    }
    // What a pipeline of sound trains with where it does not say.
    let (head, rest) = PIPELINE.split_once("[loss.infonce1d]").unwrap();
    let (_, rest) = rest.split_once("[training]").unwrap();
    let without = Tiny::with(&format!("{head}[training]{rest}"));
    let err = without.fails(2, "status", &["--set", "view.window=600"]);
    assert!(err.contains("12 prediction steps"), "{err}");
    let images = Tiny::new();
    let err = images.fails(2, "status", &["--set", "modules.a.layers=[{gru={channels=4}}]"]);
    assert!(err.contains("`gru` is a layer for sound"), "{err}");
    let err = images.fails(2, "status", &["--set", "view.hop=4"]);
    assert!(err.contains("also needs `rate`"), "{err}");
    let err = images.fails(2, "status", &["--set", "loss=infonce1d"]);
    assert!(err.contains("infonce1d"), "{err}");
}

#[test]
fn a_training_stops_by_the_loss_on_test_recordings_and_keeps_its_best_epoch() {
    let tiny = notes();
    let long = ["--set", "training.epochs=30", "--set", "training.learning_rate=3e-2"];
    let patient = [&long[..], &["--set", "schedule.patience=2", "--run-dir", "patient"]].concat();
    let (_, err) = tiny.ok("run", &patient);
    assert!(err.contains("of 30: held-out loss smallest at epoch "), "{err}");
    let modules = ["a", "b", "context"];
    let stopped = modules.map(|module| {
        let path = tiny.path(&format!("patient/modules/{module}/00000001.json"));
        let record: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        record["stopped"].clone()
    });
    assert!(stopped.iter().any(|it| it["epoch"].as_u64() < Some(30)), "{stopped:?}");

    let epochs = modules.map(|it| {
        let place = modules.iter().position(|other| *other == it).unwrap();
        format!("modules.{it}.epochs={}", stopped[place]["best"])
    });
    let mut counted = [&long[..], &["--run-dir", "counted"]].concat();
    epochs.iter().for_each(|it| counted.extend(["--set", it]));
    tiny.ok("run", &counted);
    for module in modules {
        assert!(tiny.tensors("patient", module) == tiny.tensors("counted", module), "{module}");
    }
    let probes = tiny.json("probe", &patient);
    let trained = probes.as_array().unwrap().iter().filter(|it| it["kind"] == "trained");
    for (probe, stopped) in trained.zip(&stopped) {
        let losses = [&probe["loss"], &stopped["held_out_loss"]].map(|it| it.as_f64().unwrap());
        assert!((losses[0] - losses[1]).abs() < 1e-5, "{losses:?}");
    }
}
