//! What only a real torch shows.

use std::process::{Command, Stdio};

use crate::pythons::{Answers, Bench, LAYERS, STAGE, is_there};
use crate::tiny::text;

fn bench(what: &str, bodies: &[&str]) -> Option<Bench> {
    is_there(Answers::Torch, what).then(|| Bench::new(Answers::Torch, bodies))
}

#[test]
fn what_a_stage_prints_goes_to_stderr() {
    let Some(bench) = bench("what a stage prints", &["python = \"stages.py:Prints\""]) else {
        return;
    };
    let (out, err) = bench.ok("run", &[]);
    assert!(err.contains("printed by forward") && err.contains("written to stdout"), "{err}");
    assert!(!out.contains("printed by forward") && !out.contains("written to stdout"), "{out}");
}

#[test]
fn shapes_and_numbers_of_a_stage_are_checked() {
    for (class, said) in [
        (
            "LosesPatches",
            "`forward` returned the shape [2, 1, 1, 6], wanted [2, 9, height, width, channels]",
        ),
        (
            "OtherShape",
            "`forward` returned the shape [9, 1, 1, 5] for a sample, and [9, 1, 1, 6] in the dry run",
        ),
        ("NanMaps", "`forward` returned a number that is not finite"),
        ("NoLoss", "`NoLoss` has no `loss(self, x, batch)`"),
        ("NotAStage", "`NotAStage` in "),
        ("Missing", "has no `Missing`"),
    ] {
        let body = format!("python = \"stages.py:{class}\"");
        let Some(bench) = bench("the shape of what a stage returns", &[&body]) else { return };
        let err = bench.fails("run", &[]);
        assert!(err.contains(said), "{class}: {err}");
        assert!(err.contains("hint: "), "{class}: {err}");
    }
}

#[test]
fn arguments_reach_the_class_and_are_checked() {
    let body = format!("{STAGE}\narguments = {{ dim = 4 }}");
    let Some(bench) = bench("the arguments of a stage", &[LAYERS, &body]) else { return };
    let plan = bench.json("plan", &["--set", "store.dtype=f16"]);
    let encode = plan["steps"].as_array().unwrap().iter();
    let mut encode = encode.filter(|it| it["step"] == "encode" && it["stage"] == "b");
    let tensors = &encode.next().unwrap()["tensors"];
    assert_eq!(tensors[0]["shape"], serde_json::json!([9, 1, 1, 4]), "{tensors}");
    let err = bench.fails("plan", &["--set", "modules.b.arguments={width=4}"]);
    assert!(err.contains("the arguments do not fit `Scale`"), "{err}");
}

#[test]
fn a_device_that_only_stages_compute_on_is_theirs_to_open() {
    let Some(bench) = bench("the device of a stage", &[STAGE]) else { return };
    // No machine has so many.
    let err = bench.fails("run", &["--device", "cuda:77"]);
    assert!(err.contains("stages.py:Scale"), "{err}");
    let bench = Bench::new(Answers::Torch, &[LAYERS, STAGE]);
    let err = bench.fails("run", &["--device", "cuda:77"]);
    assert!(!err.contains("stages.py:Scale"), "{err}");
}

#[test]
fn the_process_of_a_stage_ends_with_its_stdin() {
    let Some(bench) = bench("the end of a process", &[STAGE]) else { return };
    let mut python = Command::new(bench.tiny.path("python"));
    python.args(["-m", "gimlet.stage"]);
    let mut child =
        python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "");
}
