//! Compares a generation with what [`super::support`] wrote.

use gimlet_store::{DType, Generation};

use super::support::{attribute, id, label, row_values, source};

/// Every row of every column, compared with what was written.
pub fn assert_reads_back(generation: &Generation, rows: usize) {
    let positions: Vec<u64> = (0..rows as u64).collect();
    assert_reads(generation, &positions);
    let schema = &generation.manifest().schema;
    let keys = generation.reader(&[]).unwrap().keys().unwrap();
    assert_eq!(keys.ids, (0..rows).map(id).collect::<Vec<_>>());
    assert_eq!(keys.labels, (0..rows).map(label).collect::<Vec<_>>());
    let sources = schema.source.then(|| (0..rows).map(source).collect::<Vec<_>>());
    assert_eq!(keys.sources, sources);
    for (which, values) in keys.attributes.iter().enumerate() {
        assert_eq!(*values, (0..rows).map(|row| attribute(which, row)).collect::<Vec<_>>());
    }
    assert_eq!(keys.attributes.len(), schema.attributes.len());
}

/// The rows at `positions` of every column, compared with what was written.
pub fn assert_reads(generation: &Generation, positions: &[u64]) {
    let columns = &generation.manifest().schema.columns;
    let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    let reader = generation.reader(&names).unwrap();
    for column in columns {
        let expected: Vec<f32> =
            positions.iter().flat_map(|row| row_values(column, *row as usize)).collect();
        let mut singles = vec![-1.0; expected.len()];
        reader.read_f32(&column.name, positions, &mut singles).unwrap();
        assert_eq!(singles, expected, "{}", column.name);
        let mut bytes = vec![0; expected.len()];
        let read = reader.read_u8(&column.name, positions, &mut bytes);
        if column.dtype == DType::U8 {
            read.unwrap();
            assert_eq!(bytes.iter().map(|byte| f32::from(*byte)).collect::<Vec<_>>(), expected);
        } else {
            assert!(read.is_err());
        }
    }
}
