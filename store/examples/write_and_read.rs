//! Writes a dataset, stops half way, goes on, and reads rows back:
//!
//! ```sh
//! cargo run -p gimlet-store --example write_and_read           # in a folder that goes at the end
//! cargo run -p gimlet-store --example write_and_read s3://bucket/digits
//! ```

use gimlet_store::{Column, DType, Rows, Schema, Spec, Store, Values, key_of};
use serde_json::json;

const ROWS: u64 = 1000;
const VALUES: usize = 16;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let place = std::env::args().nth(1);
    let store = Store::new();
    let dataset = store.dataset(place.unwrap_or(folder.path().display().to_string()));

    // What the rows depend on. A generation of the same key is found, and not written again.
    let settings = json!({ "of": "an example", "version": 1 });
    let spec = Spec {
        rows: Some(ROWS),
        rows_per_part: 256,
        settings: settings.clone(),
        ..Spec::new(
            Schema::of([Column::new("vector", DType::F16, [VALUES])]),
            key_of(settings.to_string()),
        )
    };

    // As if it had been killed: two parts are complete, the third is not.
    let mut writer = dataset.begin(spec.clone())?;
    write(&mut writer, 0..600)?;
    drop(writer);

    let mut writer = dataset.begin(spec)?;
    println!("{} of {ROWS} rows are there", writer.rows_done());
    for start in (0..ROWS).step_by(100) {
        match writer.wants(start..start + 100) {
            true => write(&mut writer, start..start + 100)?,
            false => writer.skip(100)?,
        }
    }
    let generation = writer.commit(json!({ "made_by": "write_and_read" }))?;
    println!("generation {}: {}", generation.number(), generation.glob().display());

    let reader = generation.reader(&["vector"])?;
    let positions = [999, 3, 500];
    let mut values = vec![0.0; positions.len() * VALUES];
    reader.read_f32("vector", &positions, &mut values)?;
    for (position, row) in positions.iter().zip(values.chunks(VALUES)) {
        println!("row {position}: {:?} …", &row[..4]);
    }
    println!("{} bytes were read", store.bytes_read());
    Ok(())
}

/// Writes the rows of a range.
fn write(
    writer: &mut gimlet_store::Writer,
    rows: std::ops::Range<u64>,
) -> gimlet_store::Result<()> {
    let ids: Vec<i64> = rows.clone().map(|row| row as i64).collect();
    let labels: Vec<Option<i64>> = ids.iter().map(|id| Some(id % 10)).collect();
    let vectors: Vec<f32> = rows.flat_map(|row| [row as f32 / 8.0; VALUES]).collect();
    writer.write(&Rows {
        ids: &ids,
        labels: &labels,
        sources: None,
        attributes: &[],
        tensors: &[Values::F32(&vectors)],
    })
}
