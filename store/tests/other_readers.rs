//! Plain pyarrow, DuckDB and Polars read a generation by a glob: values, shapes and class names.
//!
//! Needs a Python with those packages: `GIMLET_PYTHON` names it, else `python3` is tried. What is
//! missing is skipped, and said.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::Command;

use gimlet_store::{Compression, CompressionSetting, DType, Spec, Store};
use serde_json::json;
use support::*;

const ROWS: usize = 23;

/// Has `package` read our files, where Python can import `modules`.
fn check(package: &str, modules: &str) {
    let python = std::env::var("GIMLET_PYTHON").unwrap_or_else(|_| "python3".into());
    let import = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    if !import.is_ok_and(|import| import.status.success()) {
        // Past the test harness, which swallows what a test prints that passes.
        let skipped =
            format!("skipped: {python} cannot import {modules}: {package} is not tested\n");
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    }
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        check_compressed(package, &python, compression);
    }
}

fn check_compressed(package: &str, python: &str, compression: Compression) {
    let folder = tempfile::tempdir().unwrap();
    let compression = CompressionSetting::Fixed(compression);
    let spec = Spec { compression, ..spec(schema(), 10, 4) };
    let generation = generation(&Store::new().dataset(folder.path()), spec, ROWS, 7);
    let columns: Vec<_> = schema()
        .columns
        .iter()
        .map(|column| {
            let rows: Vec<_> = (0..ROWS).map(|row| row_values(column, row)).collect();
            let scaled = column.dtype == DType::I8;
            json!({ "name": column.name, "shape": column.shape, "rows": rows, "scaled": scaled })
        })
        .collect();
    let attributes: BTreeMap<_, Vec<i64>> = (0..)
        .zip(schema().attributes)
        .map(|(which, name)| (name, (0..ROWS).map(|row| attribute(which, row)).collect()))
        .collect();
    let expected = json!({
        "attributes": attributes,
        "glob": generation.glob(),
        "ids": (0..ROWS).map(id).collect::<Vec<_>>(),
        "labels": (0..ROWS).map(label).collect::<Vec<_>>(),
        "sources": (0..ROWS).map(source).collect::<Vec<_>>(),
        "columns": columns,
        "names": schema().label_names,
    });
    let expected_path = folder.path().join("expected");
    fs::write(&expected_path, expected.to_string()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/other_readers.py");
    let run = Command::new(python).args([script, package]).arg(&expected_path).output().unwrap();
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{package}:\n{errors}");
}

#[test]
fn pyarrow() {
    check("pyarrow", "pyarrow, numpy");
}

#[test]
fn duckdb() {
    check("duckdb", "duckdb");
}

#[test]
fn polars() {
    check("polars", "polars");
}
