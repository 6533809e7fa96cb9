//! Real rows in thousands of real parts: what writing, going on, opening and reading take.

use std::path::Path;
use std::time::Instant;

use gimlet::stage::memory;
use gimlet_store::{
    Column, Compression, CompressionSetting, DType, Rows, Schema, Spec, Store, Values,
};
use serde_json::Value;

use crate::planned::Result;

/// Values of a row.
const VALUES: usize = 4;
const ROWS_PER_GROUP: usize = 64;

/// What was done, seconds, and what there is to say of it.
pub type Measured = (String, f64, String);

/// Writes `parts` of `per_part` rows into `folder`, leaves the writer, goes on, commits, and reads.
pub fn measure(folder: &Path, parts: usize, per_part: usize) -> Result<Vec<Measured>> {
    let dataset = Store::new().dataset(folder);
    let total = parts * per_part;
    let mut all = Vec::new();
    let mut add = |what: &str, started: Instant, more: String| {
        all.push((what.to_owned(), started.elapsed().as_secs_f64(), more));
    };
    let started = Instant::now();
    let mut writer = dataset.begin(spec(total, per_part))?;
    for part in 0..parts {
        let ids: Vec<i64> = (0..per_part).map(|row| (part * per_part + row) as i64).collect();
        let values = vec![1.0f32; per_part * VALUES];
        writer.write(&Rows {
            ids: &ids,
            labels: &vec![None; per_part],
            sources: None,
            attributes: &[],
            tensors: &[Values::F32(&values)],
        })?;
    }
    let bytes = writer.bytes_written();
    add("write, every part synced", started, format!("{} MB", bytes / 1_000_000));
    drop(writer);

    let started = Instant::now();
    let mut writer = dataset.begin(spec(total, per_part))?;
    add("go on with a writer: every part hashed", started, format!("{} MB", bytes / 1_000_000));
    writer.skip(total as u64)?;
    let started = Instant::now();
    writer.commit(Value::Null)?;
    add("commit", started, String::new());

    let started = Instant::now();
    let generation = dataset.find(&KEY.repeat(64))?.ok_or("it was committed")?;
    add("find by key", started, String::new());
    memory::reset_peak();
    let before = memory::peak().unwrap_or(0);
    let started = Instant::now();
    let reader = generation.reader(&["x"])?;
    let more = memory::peak().unwrap_or(0).saturating_sub(before);
    add("open a reader", started, format!("{} MB of memory", more / 1_000_000));
    let positions: Vec<u64> = (0..64).map(|it| it * 7919 % total as u64).collect();
    let mut out = vec![0.0; positions.len() * VALUES];
    let started = Instant::now();
    reader.read_f32("x", &positions, &mut out)?;
    add("first batch of 64 rows at random", started, String::new());
    let started = Instant::now();
    let keys = reader.keys()?;
    add("ids and labels of all rows", started, format!("{} rows", keys.ids.len()));
    Ok(all)
}

const KEY: &str = "5";

fn spec(rows: usize, rows_per_part: usize) -> Spec {
    let column = Column {
        name: "x".to_owned(),
        dtype: DType::F16,
        shape: vec![VALUES],
        dims: vec![],
        compression: Compression::None,
    };
    Spec {
        schema: Schema {
            columns: vec![column],
            source: false,
            label_names: None,
            attributes: vec![],
        },
        key: KEY.repeat(64),
        settings: Value::Null,
        rows: Some(rows as u64),
        rows_per_part,
        rows_per_group: ROWS_PER_GROUP,
        compression: CompressionSetting::Fixed(Compression::None),
    }
}
