//! Datasets that older versions of this crate wrote are still read.

#[allow(dead_code)]
mod support;

use gimlet_store::{DType, Dataset};
use support::*;

/// Written by version 1 of the format: 23 rows, parts of 10, row groups of 4.
#[test]
fn version_1_is_read() {
    let dataset = Dataset::at(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/v1"));
    let generation = dataset.newest().unwrap().unwrap();
    assert_eq!(generation.manifest().format_version, 1);
    generation.verify().unwrap();
    let reader = generation.reader(&["activation", "pooled", "image"]).unwrap();
    let keys = reader.keys().unwrap();
    assert_eq!(keys.ids, (0..23).map(id).collect::<Vec<_>>());
    assert_eq!(keys.labels, (0..23).map(label).collect::<Vec<_>>());
    assert_eq!(keys.sources, Some((0..23).map(source).collect()));
    assert!(keys.attributes.is_empty());
    let positions: Vec<u64> = (0..23).rev().collect();
    for column in schema().columns.iter().filter(|column| column.dtype != DType::I8) {
        let mut values = vec![-1.0; 23 * column.values()];
        reader.read_f32(&column.name, &positions, &mut values).unwrap();
        let expected: Vec<f32> = (0..23).rev().flat_map(|row| row_values(column, row)).collect();
        assert_eq!(values, expected, "{}", column.name);
    }
}
