//! Runs that a program starts by itself: the examples.

use crate::tiny::{self, Tiny};
use crate::{custom_loss, run_pipeline};

#[test]
fn a_loss_from_outside_is_planned_trained_resumed_probed_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let told = custom_loss::run(&folder.path().join("run")).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with("8 steps, "), "{told}");
    assert!(lines[1].starts_with("stopped: "), "{told}");
    for (line, start) in
        lines[2..6].iter().zip(["a        trained", "a        untrained", "b ", "b "])
    {
        assert!(line.starts_with(start) && !line.contains("NaN"), "{told}");
    }
    let page = std::fs::read_to_string(folder.path().join("run/report/index.html")).unwrap();
    assert!(lines[6].starts_with("report: ") && page.contains("neighbours"), "{told}");
    assert_eq!(lines[7], "of the file there was nothing to do");
}

#[test]
fn a_pipeline_file_is_run_in_code_as_by_the_command() {
    let tiny = Tiny::new();
    let (file, run) = (tiny.path("tiny.toml"), tiny.path("runs/tiny"));
    assert!(run_pipeline::run(&file, &run).unwrap());
    assert!(!run_pipeline::run(&file, &run).unwrap());
    let (_, told) = tiny.ok("run", &[]);
    assert!(told.contains("all 8 steps are done"), "{told}");
}

#[test]
fn modules_of_an_async_schedule_train_on_threads() {
    let tiny = Tiny::new();
    let file = tiny.path("async.toml");
    std::fs::write(&file, format!("{}\n[schedule]\nkind = \"async\"\n", tiny::PIPELINE)).unwrap();
    let run = tiny.path("runs/async");
    assert!(run_pipeline::run(&file, &run).unwrap());
    assert!(!run_pipeline::run(&file, &run).unwrap());
    for module in ["a", "b"] {
        assert!(!tiny.weights("runs/async", module).is_empty());
    }
}
