//! Stages train, encode, are probed, go on where they were killed, and stand among modules with layers.

use crate::pythons::{Answers, Bench, LAYERS, STAGE, each};
use crate::tiny;

#[test]
fn modules_of_both_kinds_stand_in_any_order() {
    each("a stack with modules of both kinds", |answers| {
        let stacks = [[STAGE, LAYERS, STAGE], [LAYERS, STAGE, LAYERS], [STAGE, STAGE, LAYERS]];
        // Torch takes seconds to begin.
        let stacks = if answers == Answers::Torch { &stacks[..1] } else { &stacks[..] };
        for bodies in stacks {
            let bench = Bench::new(answers, bodies);
            let plan = bench.json("plan", &[]);
            let encoded =
                plan["steps"].as_array().unwrap().iter().filter(|it| it["step"] == "encode");
            let encoded: Vec<_> = encoded.collect();
            // Those of three modules, and the one for the untrained stack.
            assert_eq!(encoded.len(), 4, "{bodies:?}");
            bench.ok("run", &[]);
            assert_eq!(bench.open_steps(&[]), [""; 0], "{bodies:?}");
            let done = bench.json("plan", &[]);
            let after =
                done["steps"].as_array().unwrap().iter().filter(|it| it["step"] == "encode");
            for (before, after) in encoded.iter().zip(after) {
                assert_eq!(before["tensors"], after["tensors"], "{bodies:?}");
            }
            if answers == Answers::Torch {
                continue;
            }
            // The same again, in another directory.
            bench.ok("run", &["--run-dir", "again"]);
            let [first, again] = ["runs/tiny", "again"].map(|dir| bench.tiny.contents(dir));
            assert_eq!(first, again, "{answers:?} {bodies:?}");
        }
    });
}

#[test]
fn every_schedule_but_async_trains_stages() {
    each("the schedules of stages", |answers| {
        let bench = Bench::new(answers, &[STAGE, LAYERS]);
        let schedules = [
            ("together", "schedule=simultaneous"),
            ("rounds", "schedule={kind=\"rounds\",rounds=2,epochs_per_round=1}"),
            ("patient", "schedule={kind=\"sequential\",patience=1}"),
            ("recomputed", "store.activations=recompute"),
        ];
        let schedules = if answers == Answers::Torch { &schedules[..2] } else { &schedules[..] };
        for (dir, set) in schedules {
            let args = ["--run-dir", *dir, "--set", *set];
            bench.ok("run", &args);
            // What earlier rounds wrote is gone.
            if *dir != "rounds" {
                assert_eq!(bench.open_steps(&args), [""; 0], "{set}");
            }
        }
        let refused = bench.fails("run", &["--set", "schedule=async"]);
        assert!(refused.contains("`a` is written in PyTorch"), "{refused}");
        assert!(refused.contains("hint: take `sequential`"), "{refused}");
    });
}

#[test]
fn killed_again_and_again_it_ends_bit_for_bit_as_left_alone() {
    each("a stage that is killed", |answers| {
        let bench = Bench::new(answers, &[LAYERS, STAGE]);
        let args = ["--set", "training.epochs=6", "--set", "training.checkpoint_seconds=0"];
        bench.ok("run", &[&args[..], &["--run-dir", "whole"]].concat());
        let whole = bench.tiny.contents("whole");
        let killed = [&args[..], &["--run-dir", "killed"]].concat();
        let mut draws = gimlet::random::generator(7, "kills", &[]);
        // Torch takes seconds to begin: so long it has to live, and so few times it is killed.
        let most = if answers == Answers::Torch { 6 } else { 40 };
        let mut kills = 0;
        while kills < most {
            let mut run = bench.process("run", &killed);
            run.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            // Those of this number are killed at operations that change the disk.
            if !tiny::killed(&mut run, 4 * kills, &mut draws) {
                break;
            }
            kills += 1;
        }
        assert!(kills >= 3, "only {kills} kills");
        bench.ok("run", &killed);
        assert_eq!(bench.tiny.contents("killed"), whole, "{answers:?} after {kills} kills");
    });
}

#[test]
fn what_is_shown_of_a_module_is_shown_of_a_stage() {
    each("what is shown of a stage", |answers| {
        let bench = Bench::new(answers, &[LAYERS, STAGE]);
        bench.ok("run", &[]);
        let log = bench.tiny.find("runs/tiny/modules/b", "log.jsonl");
        let log = std::fs::read_to_string(log).unwrap();
        assert_eq!(log.lines().count(), 12, "{log}");
        assert!(log.contains("held_out"), "{log}");
        bench.ok("report", &[]);
        bench.ok("verify", &[]);
        bench.ok("export", &["--output", "stack.safetensors"]);
        // The same weights come back from the file, and what follows from them is the same.
        bench.ok("import", &["stack.safetensors", "--run-dir", "imported"]);
        bench.ok("run", &["--run-dir", "imported"]);
        let weights = |dir: &str| bench.tiny.tensors(dir, "b");
        assert_eq!(weights("imported"), weights("runs/tiny"));
    });
}

#[test]
fn a_plan_measures_stages() {
    each("the pace of a stage", |answers| {
        let bench = Bench::new(answers, &[STAGE]);
        let plan = bench.json("plan", &["--measure"]);
        let train =
            plan["steps"].as_array().unwrap().iter().find(|it| it["step"] == "train").unwrap();
        assert_eq!(train["seconds_are"], "measured", "{train}");
        assert!(train["seconds"].as_f64().unwrap() > 0.0, "{train}");
    });
}
