//! Files of activations of every kind, with the same rows.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float16Array, Int64Array};
use arrow::datatypes::{DataType, Field};
use gimlet::pipeline::Split;
use gimlet_store::{Column, CompressionSetting, DType, Rows, Schema, Spec, Store, Values};
use half::f16;
use safetensors::tensor::{Dtype, TensorView};

/// Rows of each split.
pub const TRAIN: usize = 24;
pub const TEST: usize = 12;
/// The shape of a row: a grid of 3x3 vectors.
pub const SHAPE: [usize; 2] = [9, 6];

/// The value at a place of a row, the same in f16.
pub fn value(split: Split, row: usize, place: usize) -> f32 {
    let seed = if split == Split::Train { 3 } else { 8 };
    let label = (row % 3) as f32;
    f16::from_f32(((row * 7 + place * 5 + seed) % 17) as f32 / 8.0 - 1.0 + label).to_f32()
}

pub fn rows_of(split: Split) -> usize {
    if split == Split::Train { TRAIN } else { TEST }
}

pub fn values(split: Split) -> Vec<f32> {
    let length: usize = SHAPE.iter().product();
    (0..rows_of(split)).flat_map(|row| (0..length).map(move |it| value(split, row, it))).collect()
}

pub fn labels(split: Split) -> Vec<i64> {
    (0..rows_of(split)).map(|row| (row % 3) as i64).collect()
}

/// A `.npy` file of these bytes.
pub fn npy(descr: &str, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let sides: Vec<String> = shape.iter().map(|side| format!("{side},")).collect();
    let shape = sides.concat();
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", length.as_slice(), header.as_bytes(), bytes].concat()
}

pub fn of_floats(split: Split) -> Vec<u8> {
    let shape = [rows_of(split), SHAPE[0], SHAPE[1]];
    let bytes: Vec<u8> =
        values(split).iter().flat_map(|it| f16::from_f32(*it).to_le_bytes()).collect();
    npy("<f2", &shape, &bytes)
}

pub fn of_labels(split: Split) -> Vec<u8> {
    let bytes: Vec<u8> = labels(split).iter().flat_map(|it| it.to_le_bytes()).collect();
    npy("<i8", &[rows_of(split)], &bytes)
}

/// A zip archive of these files, as `numpy.savez` and, where `packed`, `numpy.savez_compressed` write it.
pub fn zip(files: &[(&str, Vec<u8>)], packed: bool) -> Vec<u8> {
    let (mut all, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let inside = match packed {
            false => bytes.clone(),
            true => {
                let mut encoder =
                    flate2::write::DeflateEncoder::new(Vec::new(), Default::default());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
        };
        let (offset, method) = (all.len() as u32, if packed { 8u16 } else { 0 });
        let mut common = vec![20, 0, 0, 0];
        common.extend(method.to_le_bytes());
        common.extend([0; 4]);
        common.extend(crc.sum().to_le_bytes());
        common.extend((inside.len() as u32).to_le_bytes());
        common.extend((bytes.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        all.extend(b"PK\x03\x04");
        all.extend(&common);
        all.extend(name.as_bytes());
        all.extend(inside);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = all.len() as u32;
    all.extend(&directory);
    all.extend(b"PK\x05\x06\x00\x00\x00\x00");
    let count = (files.len() as u16).to_le_bytes();
    all.extend([count, count].concat());
    all.extend((directory.len() as u32).to_le_bytes());
    all.extend(start.to_le_bytes());
    all.extend([0, 0]);
    all
}

pub fn safetensors(split: Split) -> Vec<u8> {
    let rows = rows_of(split);
    let floats: Vec<u8> =
        values(split).iter().flat_map(|it| f16::from_f32(*it).to_le_bytes()).collect();
    let labels: Vec<u8> = labels(split).iter().flat_map(|it| it.to_le_bytes()).collect();
    let shape = vec![rows, SHAPE[0], SHAPE[1]];
    let tensors = [
        ("hidden", TensorView::new(Dtype::F16, shape, &floats).unwrap()),
        ("label", TensorView::new(Dtype::I64, vec![rows], &labels).unwrap()),
    ];
    safetensors::serialize(tensors, None).unwrap()
}

/// Writes Parquet with a column of tensors: `arrow.fixed_shape_tensor`.
pub fn tensors(path: &Path, split: Split) {
    let length = SHAPE.iter().product::<usize>();
    let floats = Float16Array::from_iter_values(values(split).into_iter().map(f16::from_f32));
    let element = Arc::new(Field::new("element", DataType::Float16, true));
    let lists = FixedSizeListArray::new(element, length as i32, Arc::new(floats), None);
    let metadata = [
        ("ARROW:extension:name", "arrow.fixed_shape_tensor".to_owned()),
        ("ARROW:extension:metadata", format!("{{\"shape\":{SHAPE:?}}}")),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value));
    let field = Field::new("activation", arrow::array::Array::data_type(&lists).clone(), false)
        .with_metadata(HashMap::from(metadata));
    let label: ArrayRef = Arc::new(Int64Array::from(labels(split)));
    let fields = vec![field, Field::new("label", DataType::Int64, true)];
    let schema = Arc::new(arrow::datatypes::Schema::new(fields));
    let columns: Vec<ArrayRef> = vec![Arc::new(lists), label];
    let batch = arrow::array::RecordBatch::try_new(schema.clone(), columns).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Writes a dataset of ours.
pub fn dataset(folder: &Path, split: Split, key: char) {
    let column = Column::new("activation", DType::F16, SHAPE);
    let dataset = Store::new().dataset(folder);
    let mut writer = dataset
        .begin(Spec {
            key: key.to_string().repeat(64),
            settings: serde_json::json!({ "model": "vit", "layer": 8 }),
            rows: Some(rows_of(split) as u64),
            rows_per_part: 8,
            rows_per_group: 4,
            compression: CompressionSetting::Fixed(gimlet_store::Compression::None),
            schema: Schema::of([column]),
        })
        .unwrap();
    let ids: Vec<i64> = (0..rows_of(split) as i64).collect();
    let labels: Vec<Option<i64>> = labels(split).into_iter().map(Some).collect();
    let values = values(split);
    let rows = Rows {
        ids: &ids,
        labels: &labels,
        sources: None,
        attributes: &[],
        tensors: &[Values::F32(&values)],
    };
    writer.write(&rows).unwrap();
    writer.finish(|_| serde_json::Value::Null).unwrap();
}
