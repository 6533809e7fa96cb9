//! What steps take: where the time of a training step went, and bytes read.

use crate::tiny;
use serde_json::Value;
use tiny::Tiny;

fn record(tiny: &Tiny, run_dir: &str, module: &str) -> Value {
    let path = tiny.path(&format!("{run_dir}/modules/{module}/00000001.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// That the breakdown is that of all steps, and no more than all of the time.
fn check_parts(record: &Value) {
    let breakdown = &record["breakdown"];
    assert_eq!(breakdown["steps"], record["steps"], "{breakdown}");
    let names = ["forward", "loss", "backward", "optimiser", "held_out"];
    let values = names.map(|name| breakdown[name].as_f64().unwrap());
    assert!(values[..4].iter().all(|it| *it > 0.0), "{breakdown}");
    let all: f64 = values.iter().sum::<f64>() + record["wait_seconds"].as_f64().unwrap();
    let seconds = record["seconds"].as_f64().unwrap();
    assert!(all <= seconds * 1.001, "{all} of {seconds}");
}

/// Bytes of the training split: 48 grey images of 16x16.
const IMAGES: u64 = 48 * 16 * 16;

#[test]
fn records_say_where_time_went_and_what_was_read_whatever_the_schedule() {
    let tiny = Tiny::new();
    for kind in ["sequential", "rounds", "simultaneous", "async"] {
        let set = format!("schedule.kind={kind}");
        let run_dir = format!("{kind}-run");
        let args = ["--set", &set, "--run-dir", &run_dir];
        tiny.ok("run", &args);
        for module in ["a", "b"] {
            let record = record(&tiny, &run_dir, module);
            check_parts(&record);
            let looks = kind != "async" || module == "a";
            assert_eq!(record["breakdown"]["held_out"].as_f64().unwrap() > 0.0, looks, "{kind}");
        }
        let status = tiny.json("status", &args);
        for it in status["stages"].as_array().unwrap() {
            let read = it["read_bytes"].as_u64();
            assert_eq!(read.is_none(), it["step"] == "ingest", "{kind}: {it}");
            // Two epochs of images, or of activations, which take more; each page with its header.
            let least = match (it["stage"].as_str().unwrap(), it["step"].as_str().unwrap()) {
                ("a", "train") => 2 * IMAGES,
                ("b", "train") if kind != "simultaneous" => 10 * IMAGES,
                ("a", "encode") | ("untrained", "encode") => IMAGES,
                _ => 0,
            };
            let read = read.unwrap_or(0);
            assert!(read >= least, "{kind}: {it} reads less than {least}");
            assert!(read < 200 * IMAGES, "{kind}: {it} reads more than there is");
        }
    }
}

#[test]
fn what_attempts_took_adds_up() {
    let tiny = Tiny::new();
    let args = [
        "--set",
        "training.epochs=40",
        "--set",
        "training.checkpoint_seconds=0",
        "--run-dir",
        "run",
    ];
    let kills = tiny.killed_until_done(5, "run", &args);
    assert!(kills >= 3, "only {kills} kills: the run is too short to show anything");
    for module in ["a", "b"] {
        let record = record(&tiny, "run", module);
        assert_eq!(record["steps"], 240);
        check_parts(&record);
    }
    assert!(record(&tiny, "run", "a")["read_bytes"].as_u64().unwrap() >= 40 * IMAGES);

    // All of it is on the page, also half done.
    tiny.ok("report", &args);
    let html = std::fs::read_to_string(tiny.path("run/report/index.html")).unwrap();
    let cost = html.split("id=\"cost\"").nth(1).unwrap();
    assert!(cost.contains("train a") && cost.contains("240 steps"), "{cost}");
    assert!(!cost.contains("Not here yet"), "{cost}");
    tiny.ok("ingest", &["--run-dir", "begun"]);
    tiny.ok("report", &["--run-dir", "begun"]);
    let html = std::fs::read_to_string(tiny.path("begun/report/index.html")).unwrap();
    assert!(html.contains("id=\"cost\""));
}
