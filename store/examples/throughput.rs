//! How fast this machine writes and reads a dataset, beside plain `write` and `pread` of as many
//! bytes: `cargo run --release -p gimlet-store --example throughput [FOLDER]`.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use gimlet_store::{
    Column, Compression, CompressionSetting, DType, Dataset, Result, Rows, Schema, Spec, Values,
};
use rayon::prelude::*;

const ROWS: usize = 4_096;
const AT_ONCE: usize = 64;

fn main() -> Result<()> {
    let parent = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let folder = parent.join(format!("gimlet-throughput-{}", std::process::id()));
    for dtype in [DType::F16, DType::F32, DType::U8] {
        measure(&folder.join(format!("{dtype:?}")), dtype)?;
    }
    let _ = std::fs::remove_dir_all(&folder);
    Ok(())
}

fn measure(folder: &std::path::Path, dtype: DType) -> Result<()> {
    let dims = ["patch", "h", "w", "channel"].map(String::from).to_vec();
    let column = Column {
        name: "activation".into(),
        dtype,
        shape: vec![49, 8, 8, 32],
        dims,
        compression: Compression::None,
    };
    let values = column.values();
    let megabytes = (ROWS * column.row_bytes()) as f64 / 1e6;
    let report = |what: &str, start: Instant| {
        let rate = megabytes / start.elapsed().as_secs_f64();
        println!("{dtype:?}  {what:32} {rate:8.0} MB/s");
    };

    let singles: Vec<f32> = (0..AT_ONCE * values).map(|i| (i * 7919 % 1021) as f32 / 8.0).collect();
    let bytes: Vec<u8> = singles.iter().map(|value| *value as u8).collect();
    let tensor = if dtype == DType::U8 { Values::U8(&bytes) } else { Values::F32(&singles) };
    let start = Instant::now();
    let mut writer = Dataset::at(folder).begin(Spec {
        schema: Schema {
            columns: vec![column.clone()],
            source: false,
            label_names: None,
            attributes: vec![],
        },
        key: "0".repeat(64),
        settings: serde_json::Value::Null,
        rows: Some(ROWS as u64),
        rows_per_part: 2_048,
        rows_per_group: 64,
        compression: CompressionSetting::Fixed(Compression::None),
    })?;
    let ids: Vec<i64> = (0..ROWS as i64).collect();
    for ids in ids.chunks(AT_ONCE) {
        let labels = &[None; AT_ONCE];
        writer.write(&Rows { ids, labels, sources: None, attributes: &[], tensors: &[tensor] })?;
    }
    let generation = writer.commit(serde_json::Value::Null)?;
    report("write, synced", start);

    let plain = vec![1u8; AT_ONCE * column.row_bytes()];
    let start = Instant::now();
    let written = File::create(folder.join("plain")).and_then(|mut file| {
        (0..ROWS / AT_ONCE).try_for_each(|_| file.write_all(&plain))?;
        file.sync_all()
    });
    report("plain file, synced", start);
    let plain_file = written.and_then(|()| File::open(folder.join("plain")));

    let reader = generation.reader(&["activation"])?;
    let random: Vec<u64> = (0..ROWS as u64).map(|i| i * 1_597 % ROWS as u64).collect();
    let mut out = vec![0f32; AT_ONCE * values];
    for (what, positions) in
        [("scan", (0..ROWS as u64).collect::<Vec<_>>()), ("random rows", random.clone())]
    {
        let start = Instant::now();
        for batch in positions.chunks(AT_ONCE) {
            reader.read_f32("activation", batch, &mut out)?;
        }
        report(&format!("{what} to f32, warm"), start);
    }
    let start = Instant::now();
    for batch in random.chunks(AT_ONCE) {
        let rows = out.par_chunks_exact_mut(values).zip(batch);
        rows.try_for_each(|(out, at)| reader.read_f32("activation", &[*at], out))?;
    }
    report("random rows, all cores, warm", start);

    #[cfg(unix)]
    if let Ok(file) = plain_file {
        use std::os::unix::fs::FileExt;
        let mut row = vec![0u8; column.row_bytes()];
        let start = Instant::now();
        for at in &random {
            let offset = at * column.row_bytes() as u64;
            if file.read_exact_at(&mut row, offset).is_err() {
                println!("the plain file could not be read");
            }
        }
        report("pread of plain rows, warm", start);
    }
    Ok(())
}
