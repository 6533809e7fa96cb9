//! Parquet files as Hugging Face writes them.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

/// Writes columns, and the `features` of the data set if it has some; in row groups of so many rows, and
/// pages of at most half as many, so that a selection crosses them.
pub fn write(
    path: &Path,
    columns: Vec<(&str, ArrayRef)>,
    features: Option<serde_json::Value>,
    rows_per_group: usize,
) {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, values)| Field::new(*name, values.data_type().clone(), true))
        .collect();
    let features = features.map(|it| serde_json::json!({ "info": { "features": it } }));
    let metadata: HashMap<String, String> =
        features.into_iter().map(|it| ("huggingface".to_owned(), it.to_string())).collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
    let columns = columns.into_iter().map(|(_, values)| values).collect();
    let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(rows_per_group))
        .set_data_page_row_count_limit(rows_per_group.div_ceil(2))
        .set_write_batch_size(1)
        .build();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), schema, Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}
