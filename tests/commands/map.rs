//! Maps: what is written, that it is the same every time, and few points.

use crate::tiny;
use std::fs::File;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tiny::Tiny;

fn read(tiny: &Tiny, file: &str) -> RecordBatch {
    let file = File::open(tiny.path(file)).unwrap();
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    reader.next().unwrap().unwrap()
}

#[test]
fn a_map_has_a_point_a_sample_and_module_and_is_the_same_again() {
    let tiny = Tiny::new();
    tiny.ok("run", &["--quiet"]);
    let (out, _) = tiny.ok("map", &[]);
    assert_eq!(out.trim(), "runs/tiny/report/map.parquet");
    let all = read(&tiny, "runs/tiny/report/map.parquet");
    let names: Vec<String> = all.schema().fields().iter().map(|it| it.name().clone()).collect();
    assert_eq!(names, ["module", "id", "label", "label_name", "x", "y"]);
    assert_eq!(all.num_rows(), 2 * 24);
    let ids = all["id"].as_primitive::<Int64Type>();
    let mut of_one: Vec<i64> = ids.values()[..24].to_vec();
    of_one.sort_unstable();
    assert_eq!(of_one, (0..24).collect::<Vec<i64>>());
    assert_eq!(all["module"].as_string::<i32>().value(24), "b");
    assert_eq!(all["label"].null_count(), 0);
    let x = all["x"].as_primitive::<Float32Type>();
    assert!(x.values().iter().all(|it| it.is_finite()));
    assert!(x.values().iter().any(|it| *it != x.value(0)));

    tiny.ok("report", &[]);
    assert_eq!(read(&tiny, "runs/tiny/report/map.parquet"), all);
    let one = tiny.json("map", &["--module", "b", "--output", "b.parquet", "--points", "10"]);
    assert_eq!(one["maps"][0]["points"], 10);
    assert_eq!(one["maps"][0]["method"], "t-SNE");
    assert_eq!(one["maps"][0]["perplexity"], 3);
    let err = tiny.fails(2, "map", &["--output", "b.parquet"]);
    assert!(err.contains("--force"), "{err}");
    tiny.ok("map", &["--output", "b.parquet", "--force"]);
    assert_eq!(read(&tiny, "b.parquet"), all);
}

#[test]
fn a_drawing_has_a_dot_a_point_and_one_a_label() {
    let tiny = Tiny::new();
    tiny.ok("run", &["--quiet"]);
    tiny.ok("map", &["--output", "map.svg"]);
    let text = std::fs::read_to_string(tiny.path("map.svg")).unwrap();
    assert!(text.starts_with("<svg") && text.contains("Module b"), "{text}");
    assert_eq!(text.matches("<circle").count(), 24 + 3);
    let err = tiny.fails(2, "map", &["--output", "map.png"]);
    assert!(err.contains(".parquet nor .svg"), "{err}");
    let err = tiny.fails(2, "map", &["--module", "q"]);
    assert!(err.contains("its modules are a, b"), "{err}");
}

#[test]
fn few_points_are_placed_by_their_components_and_none_at_all_is_no_error() {
    let tiny = Tiny::new();
    tiny.ok("run", &["--quiet"]);
    for points in [0, 1, 2, 3, 6] {
        let file = format!("{points}.parquet");
        let count = points.to_string();
        let made = tiny.json("map", &["--points", &count, "--output", &file]);
        assert_eq!(made["maps"][0]["points"], points);
        assert_eq!(made["maps"][0]["method"], "principal components");
    }
    let page = |points: &str| {
        tiny.ok("report", &["--points", points]);
        std::fs::read_to_string(tiny.path("runs/tiny/report/index.html")).unwrap()
    };
    assert!(page("3").contains("data-points=\"3\""));
    assert_eq!(page("0").matches("data-points=\"0\"").count(), 2);
    let text = page("24");
    assert_eq!(text.matches("data-points=\"24\"").count(), 2);
    assert_eq!(text.matches("aria-pressed=\"false\" data-label").count(), 3);
}

#[test]
fn what_is_not_there_is_named() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &["--quiet"]);
    let err = tiny.fails(5, "map", &[]);
    assert!(err.contains("module `a`") && err.contains("gimlet run tiny.toml"), "{err}");
}
