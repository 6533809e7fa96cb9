//! Small images with labels of any kind, and a pipeline that reads them.

// Every test target uses its own part of this.
#![allow(dead_code)]

use std::fs::File;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields, Int64Type};
use image::{GrayImage, ImageFormat, Luma};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::parquet_file;
use crate::tiny::{PIPELINE, Tiny};

/// The tiny pipeline, with these lines in its table of data.
pub fn tiny(data: &str) -> Tiny {
    let (head, rest) = PIPELINE.split_once("[data.textures]").unwrap();
    let (_, rest) = rest.split_once("[view]").unwrap();
    Tiny::with(&format!("{head}[data]\n{data}\n[view]\n{rest}"))
}

/// One that reads `train.parquet` and `test.parquet`.
pub fn parquet() -> Tiny {
    tiny("train = \"train.parquet\"\ntest = \"test.parquet\"")
}

/// A PNG of 16x16 pixels.
pub fn png(number: usize) -> Vec<u8> {
    let at = |x: u32, y: u32| Luma([(number as u32 * 37 + x * y * (1 + number as u32 % 3)) as u8]);
    let mut bytes = Cursor::new(Vec::new());
    GrayImage::from_fn(16, 16, at).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A column as Hugging Face has images and sounds: what is in a file, and its path.
pub fn media(rows: &[(Option<Vec<u8>>, String)]) -> ArrayRef {
    let bytes = BinaryArray::from_iter(rows.iter().map(|it| it.0.as_deref()));
    let paths = StringArray::from_iter_values(rows.iter().map(|it| &it.1));
    let fields = Fields::from(vec![
        Field::new("bytes", DataType::Binary, true),
        Field::new("path", DataType::Utf8, true),
    ]);
    Arc::new(StructArray::new(fields, vec![Arc::new(bytes), Arc::new(paths)], None))
}

/// So many images.
pub fn images(rows: usize) -> ArrayRef {
    let rows: Vec<_> = (0..rows).map(|row| (Some(png(row)), format!("{row}.png"))).collect();
    media(&rows)
}

/// Writes a Parquet file of images with these labels, and the names of their classes if they have some.
pub fn write(path: &Path, labels: ArrayRef, names: Option<&[&str]>) {
    let features = names.map(|names| {
        serde_json::json!({ "label": { "names": names, "_type": "ClassLabel" } })
    });
    let columns = vec![("image", images(labels.len())), ("label", labels)];
    parquet_file::write(path, columns, features, 7);
}

/// The columns `id` and `label` of a dataset, or of embeddings.
pub fn ids_and_labels(path: &Path) -> Vec<(i64, Option<i64>)> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let mut rows = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let [ids, labels] = ["id", "label"].map(|name| batch.column_by_name(name).unwrap().clone());
        let labels = labels.as_primitive::<Int64Type>().iter();
        rows.extend(ids.as_primitive::<Int64Type>().values().iter().copied().zip(labels));
    }
    rows
}
