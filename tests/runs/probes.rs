//! What a report and `gimlet health` say of modules, through the binary.

use crate::tiny;
use gimlet::pipeline::{Pipeline, Split};
use gimlet::probe::pooled::Pooled;
use gimlet::report::twin::Twin;
use gimlet::report::{Options, RunView};
use gimlet::stage::progress::Silent;
use gimlet::stage::{RunDir, Standing, Step};
use tiny::{Tiny, text};

fn page(tiny: &Tiny, args: &[&str]) -> String {
    tiny.ok("report", args);
    std::fs::read_to_string(tiny.path("runs/tiny/report/index.html")).unwrap()
}

#[test]
fn probes_record_neighbours_and_confusion() {
    let tiny = Tiny::new();
    tiny.ok("run", &[]);
    let probes = tiny.json("probe", &[]);
    for probe in probes.as_array().unwrap() {
        let knn = probe["knn"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&knn));
        let trained = probe["kind"] == "trained";
        assert_eq!(probe["confusion"].is_array(), trained);
        if trained {
            let counts = probe["confusion"].as_array().unwrap();
            let of = |row: usize, column: usize| counts[row][column].as_u64().unwrap();
            assert_eq!(counts.len(), 3);
            let all: u64 = (0..9).map(|it| of(it / 3, it % 3)).sum();
            let right: u64 = (0..3).map(|it| of(it, it)).sum();
            assert_eq!(all, 24);
            assert_eq!(probe["accuracy"].as_f64().unwrap(), right as f64 / 24.0);
        }
    }
    let page = page(&tiny, &[]);
    assert!(page.contains("Accuracy after each module"), "{page}");
}

#[test]
fn health_says_the_same_everywhere() {
    let tiny = Tiny::new();
    tiny.fails(5, "health", &[]);
    tiny.ok("ingest", &[]);
    tiny.fails(5, "health", &[]);
    tiny.ok("run", &[]);
    let rows = tiny.json("health", &[]);
    let all = rows.as_array().unwrap();
    assert_eq!(all.len(), 4);
    for (place, row) in all.iter().enumerate() {
        assert_eq!(row["module"], ["a", "b"][place / 2]);
        assert_eq!(row["kind"], ["trained", "untrained"][place % 2]);
        assert_eq!(
            (row["rows"].as_u64(), row["channels"].as_u64()),
            (Some(24), Some([4, 8][place / 2]))
        );
        let rank = row["rank_me"].as_f64().unwrap();
        assert!((1.0..=8.01).contains(&rank));
        for measure in ["feature_std", "dead_share", "alignment", "uniformity"] {
            assert!(row[measure].is_f64(), "{row}");
        }
    }
    let page = page(&tiny, &[]);
    let file = std::fs::read(tiny.path("runs/tiny/report/health.json")).unwrap();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&file).unwrap(), rows);
    let (table, _) = tiny.ok("health", &[]);
    let rank = format!("{:.1}", all[0]["rank_me"].as_f64().unwrap());
    assert!(table.starts_with("module  kind") && table.contains(&rank), "{table}");
    assert!(page.contains(&format!("<td>{rank}</td>")));
}

#[test]
fn the_end_to_end_twin_is_compared_where_it_is_and_asked_for_where_not() {
    let tiny = Tiny::new();
    tiny.ok("run", &["--set", "loss.infonce.negatives=4"]);
    let without = page(&tiny, &["--set", "loss.infonce.negatives=4"]);
    let how = "gimlet run tiny.toml --set loss.infonce.negatives=4 --set split=end-to-end --run-dir \
               runs/tiny-end-to-end";
    assert!(without.contains(how), "{without}");
    assert!(!without.contains(">a end-to-end<"));
    let twin = [
        "--set",
        "loss.infonce.negatives=4",
        "--set",
        "split=end-to-end",
        "--run-dir",
        "runs/tiny-end-to-end",
    ];
    tiny.ok("run", &twin);
    let args = ["--set", "loss.infonce.negatives=4", "--twin", "runs/tiny-end-to-end"];
    let with = page(&tiny, &args);
    assert!(with.contains(">a end-to-end<") && with.contains(">b end-to-end<"));
    assert!(with.contains("2 epochs, 12 steps, batch 8, seed 5"), "{with}");
    assert!(!with.contains("not the run"), "nothing differs");
    assert!(with.contains("Similar abstractions as end to end?"));

    // One with other settings, in the run's own directory, as a sweep leaves it.
    tiny.ok("run", &["--set", "split=end-to-end", "--set", "training.epochs=1"]);
    let own = page(&tiny, &["--set", "loss.infonce.negatives=4"]);
    assert!(own.contains("not the run&#39;s epochs"), "{own}");

    // Damaged weights are no reason to show nothing else.
    let path = tiny.find("runs/tiny-end-to-end/modules", "weights.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let damaged = page(&tiny, &args);
    assert!(damaged.contains("Linear CKA between modules") && !damaged.contains(">a end-to-end<"));
}

/// Cut where the run's modules end, the twin's last module gives what the twin itself has stored.
#[test]
fn the_twin_at_the_last_depth_is_what_the_twin_has_made() {
    let tiny = Tiny::new();
    tiny.ok("run", &["--set", "split=end-to-end", "--run-dir", "runs/twin"]);
    tiny.ok("run", &[]);
    let load = |overrides: &[&str], dir: &str| {
        let overrides: Vec<String> = overrides.iter().map(|it| (*it).to_string()).collect();
        let pipeline = Pipeline::load(&tiny.path("tiny.toml"), &overrides).unwrap();
        let dir = RunDir::at(tiny.path(dir));
        let standing = Standing::new(&pipeline, dir).unwrap();
        (pipeline, standing)
    };
    let (pipeline, standing) = load(&[], "runs/tiny");
    let seen = RunView {
        pipeline: &pipeline,
        standing: &standing,
        stages: standing.status().unwrap(),
        progress: &Silent,
        stop: &gimlet::stop::Stop::new(),
        arguments: String::new(),
        elsewhere: String::new(),
        options: Options { twin: Some(tiny.path("runs/twin")), ..Options::default() },
    };
    let rows: Vec<u64> = (0..24).rev().collect();
    let twin = Twin::find(&seen).unwrap().unwrap();
    assert!(twin.differs.is_empty(), "{:?}", twin.differs);
    let means = twin.means(&seen, &rows).unwrap();
    assert_eq!(means.iter().map(|it| it.1).collect::<Vec<_>>(), [4, 8]);
    let (_, of_twin) = load(&["split=end-to-end"], "runs/twin");
    let encode = Step::Encode(of_twin.plan.last(0));
    let stored = of_twin.generation(encode, Split::Test).unwrap();
    let stored = Pooled::open(&stored).unwrap().means_of(&rows).unwrap();
    assert_eq!(stored.len(), means[1].0.len());
    for (one, other) in stored.iter().zip(&means[1].0) {
        assert!((one - other).abs() < 1e-5, "{one}, not {other}");
    }
}

#[test]
fn a_run_half_done_or_of_one_module_has_a_page() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    let ingested = page(&tiny, &[]);
    assert!(ingested.contains("what probes read of module a"), "{ingested}");
    tiny.ok("train", &["a"]);
    tiny.ok("encode", &["a"]);
    tiny.fails(5, "probe", &[]);
    let half = page(&tiny, &[]);
    assert!(half.contains("what probes read of module b"), "{half}");
    assert!(half.contains("what the trained module b makes of the test split"));
    assert!(half.contains("Accuracy after each module") && !half.contains("NaN"));
    tiny.ok("run", &["--set", "split=end-to-end"]);
    let one = page(&tiny, &["--set", "split=end-to-end"]);
    assert!(one.contains("trained end to end itself"), "{one}");
    let output = tiny.output("health", &["--set", "training.epochs=9"]);
    assert_eq!(output.status.code(), Some(0), "the untrained stack is there");
    assert!(text(&output.stderr).contains("what the trained module a makes"));
}
