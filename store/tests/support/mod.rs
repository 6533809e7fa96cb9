//! Rows that a test can make again to compare.

use gimlet_store::{
    Column, Compression, CompressionSetting, DType, Dataset, Generation, Result, Rows, Schema,
    Spec, Values, Writer,
};

pub const KEY: &str = "3f9ac2d1e0b4a7c83f9ac2d1e0b4a7c83f9ac2d1e0b4a7c83f9ac2d1e0b4a7c8";

pub fn column(name: &str, dtype: DType, shape: &[usize]) -> Column {
    let dims = (0..shape.len()).map(|dim| format!("d{dim}")).collect();
    let compression = Compression::None;
    Column { name: name.into(), dtype, shape: shape.to_vec(), dims, compression }
}

/// One column of each type, sources, attributes and class names.
pub fn schema() -> Schema {
    Schema {
        columns: vec![
            column("activation", DType::F16, &[3, 2, 5]),
            column("pooled", DType::F32, &[3, 5]),
            column("image", DType::U8, &[7]),
            column("small", DType::I8, &[2, 3]),
        ],
        source: true,
        label_names: Some(vec!["cat".into(), "dog".into()]),
        attributes: vec!["view".into(), "flip".into()],
    }
}

pub fn spec(schema: Schema, rows_per_part: usize, rows_per_group: usize) -> Spec {
    let settings = serde_json::json!({ "seed": 1 });
    Spec {
        schema,
        key: KEY.into(),
        settings,
        rows: None,
        rows_per_part,
        rows_per_group,
        compression: CompressionSetting::Fixed(Compression::None),
    }
}

pub fn id(row: usize) -> i64 {
    row as i64 * 3 - 7
}

pub fn label(row: usize) -> Option<i64> {
    (row % 5 != 3).then_some((row % 2) as i64)
}

pub fn source(row: usize) -> String {
    format!("bild-{row}.png · {}", "é".repeat(row % 3))
}

pub fn attribute(which: usize, row: usize) -> i64 {
    row as i64 * 5 - which as i64 * 1000
}

/// A value that every type holds exactly, a third of them zero. For `i8` its channel decides about
/// its scale: of three positions the first is the largest.
pub fn value(column: &Column, row: usize, at: usize) -> f32 {
    let number = (row * 31 + at * 7) % 251;
    match column.dtype {
        DType::I8 => {
            let channels = column.shape.last().unwrap();
            let step = 2f32.powi((row % 7) as i32 - (at % channels) as i32);
            let q = if at < *channels { 127.0 } else { (number as f32) - 124.0 };
            q.clamp(-127.0, 127.0) * step
        }
        _ if number.is_multiple_of(3) => 0.0,
        DType::U8 => number as f32,
        DType::F16 | DType::Bf16 => (number as f32 - 100.0) / 8.0,
        DType::F32 => (number as f32 - 100.0) * 1.000_123,
    }
}

pub fn row_values(column: &Column, row: usize) -> Vec<f32> {
    (0..column.values()).map(|at| value(column, row, at)).collect()
}

/// Writes rows `range`.
pub fn write(writer: &mut Writer, schema: &Schema, range: std::ops::Range<usize>) -> Result<()> {
    let ids: Vec<i64> = range.clone().map(id).collect();
    let labels: Vec<_> = range.clone().map(label).collect();
    let sources: Vec<_> = range.clone().map(source).collect();
    let singles: Vec<Vec<f32>> = schema
        .columns
        .iter()
        .map(|column| range.clone().flat_map(|row| row_values(column, row)).collect())
        .collect();
    let bytes: Vec<Vec<u8>> =
        singles.iter().map(|values| values.iter().map(|value| *value as u8).collect()).collect();
    let tensors: Vec<Values> = (0..schema.columns.len())
        .map(|at| match schema.columns[at].dtype {
            DType::U8 => Values::U8(&bytes[at]),
            _ => Values::F32(&singles[at]),
        })
        .collect();
    let sources = schema.source.then_some(&sources[..]);
    let attributes: Vec<Vec<i64>> = (0..schema.attributes.len())
        .map(|which| range.clone().map(|row| attribute(which, row)).collect())
        .collect();
    let attributes: Vec<&[i64]> = attributes.iter().map(|it| &it[..]).collect();
    let tensors = &tensors;
    writer.write(&Rows { ids: &ids, labels: &labels, sources, attributes: &attributes, tensors })
}

/// A committed generation of `rows` rows, written a few at a time.
pub fn generation(dataset: &Dataset, spec: Spec, rows: usize, at_once: usize) -> Generation {
    let schema = spec.schema.clone();
    let mut writer = dataset.begin(spec).unwrap();
    write_wanted(&mut writer, &schema, rows, at_once).unwrap();
    writer.commit(serde_json::json!({})).unwrap()
}

/// Writes those of `rows` rows that the writer wants, a few at a time; gives how many were made.
pub fn write_wanted(
    writer: &mut Writer,
    schema: &Schema,
    rows: usize,
    at_once: usize,
) -> Result<usize> {
    let (mut row, mut made) = (0, 0);
    while row < rows {
        let end = rows.min(row + at_once);
        if writer.wants(row as u64..end as u64) {
            write(writer, schema, row..end)?;
            made += end - row;
        } else {
            writer.skip((end - row) as u64)?;
        }
        row = end;
    }
    Ok(made)
}
