//! Rows so large that they are read straight to where they are wanted.

#[allow(dead_code)]
mod read_back;
#[allow(dead_code)]
mod support;

use std::fs;

use gimlet_store::{Column, DType, Dataset, ErrorKind, Schema, Store};
use half::f16;
use read_back::assert_reads_back;
use support::*;
use tempfile::TempDir;

const ROWS: usize = 7;

fn dataset() -> (TempDir, Dataset) {
    dataset_of(vec![
        column("single", DType::F32, &[3, 3001]),
        column("half", DType::F16, &[3, 6007]),
        column("brain", DType::Bf16, &[3, 6007]),
        column("byte", DType::U8, &[40_001]),
        column("small", DType::I8, &[10, 4001]),
    ])
}

fn dataset_of(columns: Vec<Column>) -> (TempDir, Dataset) {
    let schema = Schema { columns, source: false, label_names: None, attributes: vec![] };
    let folder = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(folder.path());
    generation(&dataset, spec(schema, 4, 3), ROWS, 2);
    (folder, dataset)
}

fn read(dataset: &Dataset, column: &Column) -> gimlet_store::Result<Vec<f32>> {
    let reader = dataset.newest()?.unwrap().reader(&[&column.name])?;
    let mut values = vec![0.0; column.values()];
    reader.read_f32(&column.name, &[2], &mut values)?;
    if column.dtype == DType::U8 {
        let mut bytes = vec![0; column.values()];
        reader.read_u8(&column.name, &[2], &mut bytes)?;
        assert!(bytes.iter().map(|byte| f32::from(*byte)).eq(values.iter().copied()));
    }
    if column.dtype == DType::F16 {
        let mut halves = vec![f16::ZERO; column.values()];
        reader.read_f16(&column.name, &[2], &mut halves)?;
        assert!(halves.iter().map(|half| half.to_f32()).eq(values.iter().copied()));
    }
    Ok(values)
}

#[test]
fn they_come_back() {
    let (_folder, dataset) = dataset();
    let generation = dataset.newest().unwrap().unwrap();
    assert_reads_back(&generation, ROWS);
    for column in &generation.manifest().schema.columns {
        assert_eq!(read(&dataset, column).unwrap(), row_values(column, 2));
    }
    let reader = generation.reader(&["single"]).unwrap();
    reader.will_need("single", &[3, 1, 2]).unwrap();
    let wrong_type = reader.read_f16("single", &[0], &mut vec![f16::ZERO; 9003]);
    assert_eq!(wrong_type.unwrap_err().kind(), ErrorKind::Failed);
}

#[test]
fn those_that_come_in_several_blocks_come_back_too() {
    let (_folder, dataset) = dataset_of(vec![
        column("single", DType::F32, &[2, 50_021]),
        column("half", DType::F16, &[2, 90_001]),
        column("byte", DType::U8, &[131_072 + 1]),
    ]);
    let generation = dataset.newest().unwrap().unwrap();
    assert_reads_back(&generation, ROWS);
    for column in &generation.manifest().schema.columns {
        assert_eq!(read(&dataset, column).unwrap(), row_values(column, 2));
    }
    // So many rows that they are written past the cache.
    let half = generation.manifest().schema.column("half").unwrap();
    let positions: Vec<u64> = (0..100).map(|turn| turn % ROWS as u64).collect();
    let mut all = vec![0.0; positions.len() * half.values()];
    assert!(size_of_val(&all[..]) > 64 << 20);
    generation.reader(&["half"]).unwrap().read_f32("half", &positions, &mut all).unwrap();
    let rows: Vec<Vec<f32>> = (0..ROWS).map(|row| row_values(half, row)).collect();
    for (position, row) in positions.iter().zip(all.chunks(half.values())) {
        assert!(row == rows[*position as usize], "row {position}");
    }
    // Damage in any of the blocks is found.
    let part = generation.dir().path().join("part-00000.parquet");
    let whole = fs::read(&part).unwrap();
    let pages = whole.len() / 4;
    for at in (0..4).map(|quarter| quarter * pages + pages / 3) {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        fs::write(&part, &bytes).unwrap();
        let error = dataset.newest().unwrap().unwrap().verify().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "byte {at}: {error}");
        let mut found = 0;
        for column in &generation.manifest().schema.columns {
            let reader = generation.reader(&[&column.name]).unwrap();
            let mut out = vec![0.0; 4 * column.values()];
            let result = reader.read_f32(&column.name, &[0, 1, 2, 3], &mut out);
            found += usize::from(result.is_err_and(|it| it.kind() == ErrorKind::Damaged));
        }
        assert_eq!(found, 1, "byte {at}");
    }
}

#[test]
fn damage_is_found() {
    let (_folder, dataset) = dataset();
    let generation = dataset.newest().unwrap().unwrap();
    let part = generation.dir().path().join("part-00000.parquet");
    let whole = fs::read(&part).unwrap();
    let mut found = 0;
    for at in (0..whole.len()).step_by(997) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&part, &bytes).unwrap();
        for column in &generation.manifest().schema.columns {
            match read(&dataset, column) {
                Ok(values) => assert_eq!(values, row_values(column, 2), "byte {at}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Damaged, "byte {at}: {error}");
                    found += 1;
                }
            }
        }
    }
    assert!(found > 100, "row 2 is a quarter of the part, but only {found} flips were found");
}
