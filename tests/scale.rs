//! Runs of thousands of parts: what planning reads of them, and that the document's arithmetic is the planner's.

#[path = "../benches/scale/arithmetic.rs"]
mod arithmetic;
#[path = "../benches/scale/planned.rs"]
mod planned;
mod tiny;
#[path = "../benches/scale/written.rs"]
mod written;

use std::path::Path;

use gimlet::pipeline::{Environment, Pipeline};
use gimlet::stage::Standing;
use gimlet::stage::forecast::Forecast;
use gimlet::stage::gc;
use gimlet::stage::status::State;
use gimlet_store::Limits;
use serde_json::Value;

#[test]
fn each_manifest_is_read_once_and_each_generation_looked_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let set = ["data.textures.train=200000", "store.rows_per_part=50"].map(String::from);
    let text = arithmetic::network(0);
    let run = planned::make(folder.path(), text, &set).unwrap();
    assert_eq!((run.generations, run.parts), (14, 7 * (4000 + 1000)));
    let pipeline = Pipeline::parse(text, &run.file, &set, &Environment::default()).unwrap();

    let looks = || run.dir.store().looks();
    let before = looks();
    let standing = Standing::new(&pipeline, run.dir.clone()).unwrap();
    let status = standing.status().unwrap();
    assert!(status.iter().all(|it| it.state == State::Done), "{status:?}");
    let after = looks();
    assert_eq!(after.generations - before.generations, run.generations);
    let read = after.record_bytes - before.record_bytes;
    assert!(read < run.manifest_bytes * 11 / 10, "{read} bytes of {}", run.manifest_bytes);

    // All that there is to know is known; the parts are looked at again.
    let before = looks();
    let forecast = Forecast::new(&pipeline, &standing, None).unwrap();
    assert_eq!((forecast.room.needed, forecast.room.parts), (0, 0));
    let after = looks();
    assert_eq!(after.generations - before.generations, run.generations);
    assert!(after.record_bytes - before.record_bytes < run.manifest_bytes / 10);

    run.leave_attempt("c", 100).unwrap();
    let limits = gc::Limits { keep: 2, grace: std::time::Duration::ZERO };
    let before = looks();
    let found = gc::sweep(&standing, &limits, true, &gimlet::stage::progress::Silent).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].kind, "attempt");
    assert_eq!(looks().generations - before.generations, run.generations);
}

#[test]
fn real_parts_are_written_gone_on_with_committed_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let measured = written::measure(folder.path(), 40, 100).unwrap();
    assert_eq!(measured.last().unwrap().2, "4000 rows");
}

#[test]
fn what_no_manifest_holds_is_refused_before_anything_is_written() {
    let tiny = tiny::Tiny::new();
    let rows = (Limits::default().parts() + 1) * 16;
    let rows = format!("data.textures.train={rows}");
    let set =
        ["--set", &rows, "--set", "data.textures.size=16", "--set", "store.activations=recompute"];
    for command in ["plan", "run"] {
        let err = tiny.fails(1, command, &set);
        assert!(err.contains("parts, of which a manifest holds"), "{err}");
        assert!(err.contains("set `store.rows_per_part` 2 times as high"), "{err}");
    }
    assert!(!tiny.path("runs/tiny/datasets").exists());
}

#[test]
fn the_document_has_the_planners_numbers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scale.md");
    let document = std::fs::read_to_string(path).unwrap();
    let tables = arithmetic::tables().unwrap();
    assert!(
        document.contains(tables.trim()),
        "`cargo bench --bench scale -- --write docs/scale.md` writes them again:\n{tables}"
    );
}

#[test]
fn what_plan_prints_is_what_the_arithmetic_says() {
    for network in [0, 1] {
        let tiny = tiny::Tiny::with(arithmetic::network(network));
        let output = tiny.output("plan", &["--json", "--set", "store.compression=none"]);
        let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
        let steps = plan["steps"].as_array().unwrap();
        let writes = |it: &&Value| {
            it["step"] == "ingest" || (it["step"] == "encode" && it["stage"] != "untrained")
        };
        let bytes: Vec<u64> =
            steps.iter().filter(writes).map(|it| it["bytes"].as_u64().unwrap()).collect();
        assert_eq!(bytes, arithmetic::of_imagenet(network, 50_000).unwrap());
    }
}
