//! Which device computes, and on how many threads, changes no more than last digits; the same one
//! changes nothing.

mod tiny;

use tiny::Tiny;

/// Held-out losses of all probes, in order.
fn losses(tiny: &Tiny, args: &[&str]) -> Vec<f64> {
    let run = tiny.json("run", args);
    run["probes"].as_array().unwrap().iter().map(|it| it["loss"].as_f64().unwrap()).collect()
}

#[test]
fn a_run_on_candles_operations_ends_as_one_on_our_kernels_does() {
    let tiny = Tiny::with(&tiny::three_modules());
    let ours = losses(&tiny, &["--run-dir", "ours"]);
    // Recomputed, frozen modules run on the device too.
    let recompute = ["--set", "store.activations=\"recompute\""];
    for (run_dir, more) in [("stored", &[][..]), ("recomputed", &recompute[..])] {
        let device = ["--run-dir", run_dir, "--device", "candle"];
        let theirs = losses(&tiny, &[&device, more].concat());
        assert_eq!(theirs.len(), ours.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!((ours - theirs).abs() < 2e-3, "{run_dir}: {theirs}, not {ours}");
        }
    }
    assert_ne!(tiny.contents("ours"), tiny.contents("stored"), "it was not our kernels");
}

#[test]
fn a_stopped_run_may_go_on_elsewhere_and_lost_weights_may_not() {
    let tiny = Tiny::new();
    let args = ["--run-dir", "r", "--device", "candle"];
    tiny.ok("ingest", &["--run-dir", "r"]);
    tiny.ok("train", &[&["a"], &args[..]].concat());
    tiny.ok("run", &["--run-dir", "r"]);
    std::fs::remove_file(tiny.find("r/modules/a", "weights.safetensors")).unwrap();
    let err = tiny.fails(4, "run", &["--run-dir", "r"]);
    assert!(err.contains("on `candle`, and with 2 on `cpu` would come out different"), "{err}");
    assert!(err.contains("hint: run with `--threads 2 --device candle`"), "{err}");
    tiny.ok("run", &["--run-dir", "r", "--device", "candle"]);
}

#[test]
fn a_device_that_is_not_there_is_refused_before_anything_is_written() {
    let tiny = Tiny::new();
    let err = tiny.fails(2, "run", &["--device", "gpu"]);
    assert!(err.contains("one of `cpu`, `cuda`, `cuda:N`, `metal`, `candle`"), "{err}");
    for device in ["cuda", "cuda:3", "metal"] {
        let kind = device.split(':').next().unwrap();
        // A build that has it goes on to look for a driver.
        if (kind == "cuda" && cfg!(feature = "cuda"))
            || (kind == "metal" && cfg!(feature = "metal"))
        {
            continue;
        }
        let err = tiny.fails(2, "run", &["--device", device]);
        assert!(err.contains(&format!("this gimlet was built without `{kind}`")), "{err}");
        assert!(err.contains(&format!("--features {kind}")), "{err}");
    }
    assert!(!tiny.path("runs").exists());
}

#[test]
fn two_runs_agree_in_every_bit_and_threads_change_only_what_is_summed_over_a_batch() {
    let tiny = Tiny::new();
    tiny.ok("run", &["--run-dir", "first"]);
    tiny.ok("run", &["--run-dir", "second"]);
    assert_eq!(tiny.contents("first"), tiny.contents("second"));

    // Without training, nothing is summed over a batch.
    let untrained = |run_dir: &str, threads: &str| {
        let args = ["--run-dir", run_dir, "--threads", threads];
        tiny.ok("ingest", &args);
        tiny.ok("encode", &[&["untrained"], &args[..]].concat());
        tiny.contents(run_dir)
    };
    assert_eq!(untrained("one", "1"), untrained("three", "3"));
    let more = losses(&tiny, &["--run-dir", "three", "--threads", "3"]);
    for (two, three) in losses(&tiny, &["--run-dir", "first"]).iter().zip(&more) {
        assert!((two - three).abs() < 2e-3, "{three} with 3 threads, {two} with 2");
    }
}
