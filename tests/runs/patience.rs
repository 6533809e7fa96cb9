//! Trainings that stop once their loss on the test split does not become smaller.

use crate::rounds::log;
use crate::tiny;
use serde_json::Value;
use tiny::Tiny;

/// Large steps on few samples: the held-out loss rises after some epochs.
const ARGS: [&str; 6] = [
    "--set",
    "training.epochs=40",
    "--set",
    "training.learning_rate=1e-2",
    "--set",
    "training.checkpoint_seconds=0",
];
const PATIENCE: [&str; 2] = ["--set", "schedule.patience=4"];

fn with<'a>(args: &[&[&'a str]], run_dir: &'a str) -> Vec<&'a str> {
    [&args.concat()[..], &["--run-dir", run_dir]].concat()
}

/// The record of a module's training.
fn record(tiny: &Tiny, run_dir: &str, module: &str) -> Value {
    let path = tiny.path(&format!("{run_dir}/modules/{module}/00000001.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_training_stops_and_keeps_the_weights_that_its_held_out_loss_was_smallest_with() {
    let tiny = Tiny::new();
    let (_, err) = tiny.ok("run", &with(&[&ARGS, &PATIENCE], "patient"));
    for module in ["a", "b"] {
        let record = record(&tiny, "patient", module);
        let stopped = &record["stopped"];
        let number = |key: &str| stopped[key].as_u64().unwrap() as usize;
        let (epoch, best) = (number("epoch"), number("best"));
        assert_eq!(epoch, best + 4, "{module}: {stopped}");
        assert!(epoch < 40, "{module} runs to its last epoch, which shows nothing");
        assert_eq!(record["steps"], 6 * epoch);
        let loss = stopped["held_out_loss"].as_f64().unwrap();
        let said = format!(
            "stopped after epoch {epoch} of 40: held-out loss smallest at epoch {best} ({loss:.3})"
        );
        assert!(err.contains(&said), "{said}\n{err}");

        // The loss is in the log, after the last step of every epoch, and smallest where it is said.
        let log = log(&tiny, "patient", module);
        assert_eq!(log.len(), 6 * epoch);
        let held_out: Vec<Option<f64>> = log.iter().map(|it| it["held_out"].as_f64()).collect();
        for (step, held_out) in held_out.iter().enumerate() {
            assert_eq!(held_out.is_some(), step % 6 == 5, "{module}, step {step}");
        }
        let at_ends: Vec<f64> = held_out.into_iter().flatten().collect();
        let least = at_ends.iter().copied().fold(f64::INFINITY, f64::min);
        assert_eq!(at_ends[best - 1], least);
        assert_eq!(loss, least);
        let of_best = log[6 * (best - 1)..6 * best].iter().map(|it| it["loss"].as_f64().unwrap());
        let mean = of_best.sum::<f64>() / 6.0;
        assert!((record["loss"].as_f64().unwrap() - mean).abs() < 1e-9);
    }

    // The weights are those of a training of so many epochs.
    let best = |module| record(&tiny, "patient", module)["stopped"]["best"].as_u64().unwrap();
    let epochs = ["a", "b"].map(|it| format!("modules.{it}.epochs={}", best(it)));
    let epochs = ["--set", &epochs[0], "--set", &epochs[1]];
    tiny.ok("run", &with(&[&ARGS, &epochs], "counted"));
    for module in ["a", "b"] {
        assert!(tiny.tensors("patient", module) == tiny.tensors("counted", module), "{module}");
        assert_eq!(record(&tiny, "counted", module)["stopped"], Value::Null);
    }

    // It is the loss that probes report, of the whole split, for that is small.
    for probe in tiny.json("probe", &with(&[&ARGS, &PATIENCE], "patient")).as_array().unwrap() {
        if probe["kind"] == "trained" {
            let module = probe["module"].as_str().unwrap();
            let stopped = record(&tiny, "patient", module)["stopped"]["held_out_loss"].clone();
            let difference = probe["loss"].as_f64().unwrap() - stopped.as_f64().unwrap();
            assert!(difference.abs() < 1e-5, "{module}: {difference}");
        }
    }
}

#[test]
fn a_patient_training_that_is_killed_again_and_again_ends_as_one_that_is_not() {
    let tiny = Tiny::new();
    let long = ["--set", "schedule.patience=12"];
    tiny.ok("run", &with(&[&ARGS, &long], "whole"));
    let kills = tiny.killed_until_done(17, "run", &with(&[&ARGS, &long], "killed"));
    assert!(kills >= 3, "only {kills} kills: the run is too short to show anything");
    assert_eq!(tiny.contents("killed"), tiny.contents("whole"), "after {kills} kills");
    for module in ["a", "b"] {
        let stopped = |run_dir| record(&tiny, run_dir, module)["stopped"].clone();
        assert_eq!(stopped("killed"), stopped("whole"));
        let held_out = |run_dir| -> Vec<Value> {
            log(&tiny, run_dir, module).iter().map(|it| it["held_out"].clone()).collect()
        };
        assert_eq!(held_out("killed"), held_out("whole"));
    }
}

#[test]
fn weights_that_stay_the_best_are_those_of_the_last_epoch() {
    let tiny = Tiny::new();
    let args = ["--set", "training.epochs=4", "--set", "training.learning_rate=1e-2"];
    let (_, err) = tiny.ok("run", &with(&[&args, &["--set", "schedule.patience=4"]], "patient"));
    tiny.ok("run", &with(&[&args], "plain"));
    let stopped = &record(&tiny, "patient", "a")["stopped"];
    assert_eq!((&stopped["epoch"], &stopped["best"]), (&4.into(), &4.into()));
    assert!(tiny.tensors("patient", "a") == tiny.tensors("plain", "a"));
    assert!(err.contains("stopped after epoch 4 of 4: held-out loss smallest at epoch 4"), "{err}");
}

#[test]
fn a_test_split_that_fills_no_batch_is_refused_and_another_test_split_is_another_training() {
    let tiny = Tiny::new();
    let few = ["--set", "data.textures.test=6"];
    tiny.ok("ingest", &few);
    let err = tiny.fails(1, "train", &[&["a"][..], &few, &PATIENCE].concat());
    assert!(err.contains("6 test samples do not fill one batch of 8"), "{err}");
    assert!(err.contains("leave out `schedule.patience`"), "{err}");

    let ends_with = |args: &[&str]| -> String {
        let status = tiny.json("status", args);
        status["stages"][2]["state"].as_str().unwrap().to_string()
    };
    // Of the training split nothing changes.
    let other = ["--set", "data.test_subset=16"];
    for (patience, state) in [(&PATIENCE[..], "stale"), (&[], "done")] {
        tiny.ok("ingest", patience);
        tiny.ok("train", &[&["a"][..], patience].concat());
        tiny.ok("ingest", &[&other[..], patience].concat());
        assert_eq!(ends_with(&[&other[..], patience].concat()), state, "{patience:?}");
    }
}

const ROUNDS: [&str; 6] = [
    "--set",
    "schedule.kind=rounds",
    "--set",
    "schedule.rounds=3",
    "--set",
    "schedule.epochs_per_round=20",
];

/// The held-out losses at the ends of epochs, each with what was trained on: a round, or a generation.
fn held_out(log: &[Value], of: &str) -> Vec<(u64, f64)> {
    let ends = log.iter().filter(|it| it["held_out"].is_number());
    ends.map(|it| (it[of].as_u64().unwrap_or(0), it["held_out"].as_f64().unwrap())).collect()
}

#[test]
fn rounds_are_patient_each_by_itself() {
    let tiny = Tiny::new();
    let args = [&ARGS[..], &ROUNDS, &PATIENCE].concat();
    tiny.ok("run", &with(&[&args], "patient"));
    for module in ["a", "b"] {
        let log = log(&tiny, "patient", module);
        let ends = held_out(&log, "round");
        assert_eq!(ends.len() * 6, log.len());
        let mut epochs = 0;
        for round in 0..3 {
            let losses: Vec<f64> = ends.iter().filter(|it| it.0 == round).map(|it| it.1).collect();
            let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
            let best = losses.iter().position(|it| *it == least).unwrap() + 1;
            assert!(losses.len() == best + 4 || losses.len() == 20 && best > 16, "{losses:?}");
            epochs += losses.len();
            let path = tiny.path(&format!("patient/modules/{module}/{:08}.json", round + 1));
            let Ok(text) = std::fs::read_to_string(path) else { continue };
            let record: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(record["stopped"]["epoch"], epochs, "{module}, round {round}");
            assert_eq!(record["stopped"]["best"], epochs - losses.len() + best);
        }
        assert!(epochs < 60, "{module} runs to its last epoch, which shows nothing");
    }
    // A round is told by what it ended with, not by its epochs.
    let curves = tiny.json("curves", &with(&[&args], "patient"));
    let rounds: Vec<&Value> =
        curves["epochs"].as_array().unwrap().iter().map(|it| &it["round"]).collect();
    assert!(rounds.contains(&&Value::from(3)), "{rounds:?}");

    let kills = tiny.killed_until_done(23, "run", &with(&[&args], "killed"));
    assert!(kills >= 3, "only {kills} kills: the run is too short to show anything");
    assert_eq!(tiny.contents("killed"), tiny.contents("patient"), "after {kills} kills");
}

#[test]
fn workers_are_patient_with_one_generation() {
    let tiny = Tiny::new();
    let args = [&ARGS[..], &PATIENCE, &["--set", "schedule.kind=async"]].concat();
    let (_, err) = tiny.ok("run", &with(&[&args], "workers"));
    tiny.ok("run", &with(&[&ARGS, &PATIENCE], "in-turn"));
    assert!(tiny.tensors("workers", "a") == tiny.tensors("in-turn", "a"), "its input stays");
    for module in ["a", "b"] {
        let stopped = record(&tiny, "workers", module)["stopped"].clone();
        let ends = held_out(&log(&tiny, "workers", module), "generation");
        assert_eq!(stopped["epoch"], ends.len(), "{module}: {stopped}, {err}");
        // Only losses on the newest generation count.
        let newest = ends.last().unwrap().0;
        let before = ends.iter().take_while(|it| it.0 != newest).count();
        let last: Vec<f64> = ends[before..].iter().map(|it| it.1).collect();
        let least = last.iter().copied().fold(f64::INFINITY, f64::min);
        assert_eq!(stopped["held_out_loss"].as_f64(), Some(least), "{module}");
        let best = last.iter().position(|it| *it == least).unwrap() + 1;
        assert_eq!(stopped["best"], before + best, "{module}");
        assert!(last.len() == best + 4 || ends.len() == 40, "{module}: {last:?}");
    }
    tiny.ok("verify", &with(&[&args], "workers"));
    let (_, err) = tiny.ok("run", &with(&[&args], "workers"));
    assert!(!err.contains("steps,"), "nothing is done twice: {err}");
}

#[test]
fn a_patient_worker_that_is_killed_again_and_again_ends_as_one_that_is_not() {
    let tiny = Tiny::new();
    let args = [&ARGS[..], &["--set", "schedule={kind=\"async\",patience=12}"]].concat();
    for run_dir in ["whole", "killed"] {
        tiny.ok("ingest", &with(&[&args], run_dir));
        tiny.ok("worker", &with(&[&["--module", "a"], &args], run_dir));
    }
    tiny.ok("worker", &with(&[&["--module", "b"], &args], "whole"));
    let kills = tiny.killed_until_done(29, "worker", &with(&[&["--module", "b"], &args], "killed"));
    assert!(kills >= 2, "only {kills} kills: it is too short to show anything");
    assert!(tiny.tensors("killed", "b") == tiny.tensors("whole", "b"), "after {kills} kills");
    let stopped = |run_dir| record(&tiny, run_dir, "b")["stopped"].clone();
    assert_eq!(stopped("killed"), stopped("whole"));
}
