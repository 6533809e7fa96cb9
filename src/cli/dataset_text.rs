//! The text that `inspect` prints about a generation.

use anyhow::anyhow;
use gimlet_store::{Column, Compression, DType, Generation};
use serde_json::Value;

use super::{table, terminal_picture};
use crate::report::channel_maps::waveform;
use crate::report::column_stats::ColumnStats;
use crate::report::dataset_rows::{Depiction, Described, Summary};
use crate::report::raster::Picture;
use crate::stage::ingest_summary::IngestSummary;
use crate::train::recordings::SOUND;

/// The most letters across a picture.
const WIDTH: usize = 72;
/// The most pixels down a picture.
const HEIGHT: usize = 64;
/// Channels shown per row, and letters per channel.
const CHANNELS: usize = 8;
const CHANNEL_WIDTH: usize = 17;

/// The name of a type, as printed.
pub fn dtype(dtype: DType) -> &'static str {
    match dtype {
        DType::U8 => "u8",
        DType::I8 => "i8",
        DType::F16 => "f16",
        DType::Bf16 => "bf16",
        DType::F32 => "f32",
    }
}

/// The path and size of a generation.
pub fn title(generation: &Generation, standing: Option<&str>) -> String {
    let files = match generation.manifest().parts.len() {
        1 => "1 file".to_string(),
        files => format!("{files} files"),
    };
    format!(
        "{}\n  generation {}{}, {} rows, {}, {files}\n",
        generation.glob().display(),
        generation.number(),
        standing.map(|it| format!(" ({it})")).unwrap_or_default(),
        generation.rows(),
        table::bytes(generation.bytes()),
    )
}

/// The columns of a generation, with statistics of their values.
pub fn columns(generation: &Generation) -> anyhow::Result<String> {
    let manifest = generation.manifest();
    let mut text = String::new();
    if let Some(IngestSummary { account, .. }) = IngestSummary::of(generation)? {
        let is_sound = manifest.schema.columns.first().is_some_and(|it| it.name == SOUND);
        let noun = if is_sound { "recording" } else { "image" };
        let lines = account.lines(noun).into_iter();
        let warnings = account.warnings(noun).into_iter().map(|it| format!("warning: {it}"));
        lines.chain(warnings).for_each(|it| text += &format!("  {it}\n"));
    }
    let mut lines = vec![
        ["id", "i64"].map(String::from).to_vec(),
        ["label", "i64, may be null"].map(String::from).to_vec(),
    ];
    if manifest.schema.source {
        lines.push(["source", "utf8"].map(String::from).to_vec());
    }
    for name in &manifest.schema.attributes {
        lines.push(vec![name.clone(), "i64".to_string()]);
    }
    for column in &manifest.schema.columns {
        let mut line = vec![column.name.clone(), kind(column), shape(column)];
        let it = manifest.statistics.get(&column.name);
        let it = it.ok_or_else(|| anyhow!("no statistics of column `{}`", column.name))?;
        line.extend([it.mean, it.std, f64::from(it.min), f64::from(it.max)].map(number));
        line.push(percent(it.zero_fraction));
        lines.push(line);
    }
    for line in &mut lines {
        line.resize(8, String::new());
    }
    let header = ["column", "type", "shape", "mean", "std", "min", "max", "zeros"];
    Ok(text + &indent(&table::plain(&header, lines, &[3, 4, 5, 6, 7])))
}

/// Type and compression of a column, such as `f16, zstd`.
pub fn kind(column: &Column) -> String {
    match column.compression {
        Compression::None => dtype(column.dtype).to_string(),
        compression => format!("{}, {}", dtype(column.dtype), compression.name()),
    }
}

/// The shape of a column, such as `[patch 9, height 8]`.
fn shape(column: &Column) -> String {
    let size = |(axis, size): (usize, &usize)| match column.dims.get(axis) {
        Some(dim) => format!("{dim} {size}"),
        None => size.to_string(),
    };
    let sizes: Vec<String> = column.shape.iter().enumerate().map(size).collect();
    format!("[{}]", sizes.join(", "))
}

/// A table of rows with their first values.
pub fn rows(generation: &Generation, rows: &[Described]) -> String {
    let schema = &generation.manifest().schema;
    let columns = schema.columns.iter().map(|column| column.name.as_str());
    let attributes = &schema.attributes;
    let keys = ["id", "label"].into_iter().chain(attributes.iter().map(String::as_str));
    let header: Vec<&str> = keys.chain(columns).collect();
    let lines = rows.iter().map(|row| {
        let mut line = vec![value(row, "id").to_string(), label(row)];
        line.extend(attributes.iter().map(|name| value(row, name).to_string()));
        for column in &schema.columns {
            let values = value(row, &column.name).as_array().into_iter().flatten();
            let values: Vec<String> = values.filter_map(Value::as_f64).map(number).collect();
            line.push(format!("{} …", values.join(" ")));
        }
        line
    });
    let right: Vec<usize> = [0].into_iter().chain(2..2 + attributes.len()).collect();
    indent(&table::plain(&header, lines.collect(), &right))
}

fn value<'a>(row: &'a Described, name: &str) -> &'a Value {
    row.iter().find(|it| it.0 == name).map_or(&Value::Null, |it| &it.1)
}

fn label(row: &Described) -> String {
    match (value(row, "label").as_i64(), value(row, "label_name").as_str()) {
        (Some(label), Some(name)) => format!("{label} {name}"),
        (Some(label), None) => label.to_string(),
        (None, _) => "-".to_string(),
    }
}

/// The size of a column, and the distribution of its values.
pub fn stats(column: &Column, stats: &ColumnStats, rows: u64) -> String {
    /// The most channels that are named.
    const NAMED: usize = 8;
    let exact = &stats.exact;
    let numbers = [exact.mean, exact.std, f64::from(exact.min), f64::from(exact.max)].map(number);
    let [mean, std, min, max] = numbers;
    let histogram = &stats.histogram;
    let read = match stats.rows_read == rows {
        true => "all rows".to_string(),
        false => format!("{} of {rows} rows, taken evenly", stats.rows_read),
    };
    let mut lines = vec![
        format!("{}  {}  {}", column.name, kind(column), shape(column)),
        format!(
            "  {rows} rows, {} on disk, {} before compression: ratio {:.3}",
            table::bytes(stats.stored_bytes),
            table::bytes(stats.raw_bytes),
            stats.ratio()
        ),
        format!(
            "  mean {mean}, std {std}, min {min}, max {max}, zeros {}",
            percent(exact.zero_fraction)
        ),
        format!(
            "  {} ▕{}▏ {}  log of counts, {read}",
            number(histogram.from),
            terminal_picture::histogram(histogram),
            number(histogram.to)
        ),
    ];
    if !stats.channels.is_empty() {
        let dead = stats.dead();
        let named: Vec<String> = dead.iter().take(NAMED).map(usize::to_string).collect();
        let more = if dead.len() > NAMED { ", …" } else { "" };
        let which = match dead.is_empty() {
            true => String::new(),
            false => format!(" ({}{more})", named.join(", ")),
        };
        lines.push(format!(
            "  channels: {}, of which {}{which} are never above zero or always the same; the widest:",
            stats.channels.len(),
            dead.len()
        ));
        let cells = stats.widest(NAMED).into_iter().filter_map(|channel| {
            let it = stats.channels.get(channel)?;
            let numbers = [it.mean, it.std, f64::from(it.min), f64::from(it.max)].map(number);
            let zeros = percent(it.zero_fraction);
            Some([vec![channel.to_string()], numbers.to_vec(), vec![zeros]].concat())
        });
        let header = ["channel", "mean", "std", "min", "max", "zeros"];
        let table = table::plain(&header, cells.collect(), &[0, 1, 2, 3, 4, 5]);
        lines.push(indent(&indent(&table)));
    }
    indent(&lines.join("\n"))
}

/// A row in full: its keys, statistics of its columns, and a picture.
pub fn sample(
    described: &Described,
    summaries: &[Summary],
    depiction: Option<&Depiction>,
    colours: bool,
) -> String {
    let of = |(name, value): &(String, Value)| match name.as_str() {
        "label_name" => None,
        "label" => Some(format!("label {}", label(described))),
        _ => Some(format!("{name} {}", value.as_str().map_or(value.to_string(), String::from))),
    };
    let keys: Vec<String> = described.iter().filter_map(of).collect();
    let cells = summaries.iter().map(|it| {
        let sizes: Vec<String> = it.shape.iter().map(usize::to_string).collect();
        let of = &it.values;
        let numbers = [of.mean, of.std, f64::from(of.min), f64::from(of.max)].map(number);
        let shape = format!("[{}]", sizes.join(", "));
        [vec![it.name.clone(), shape], numbers.to_vec(), vec![percent(of.zero_fraction)]].concat()
    });
    let header = ["column", "shape", "mean", "std", "min", "max", "zeros"];
    let table = table::plain(&header, cells.collect(), &[2, 3, 4, 5, 6]);
    let mut text = format!("{}\n{table}\n", keys.join(", "));
    if let Some(depiction) = depiction {
        let (picture, what) = small(depiction);
        text += &format!("\n{}{what}\n", terminal_picture::picture(&picture, colours));
    }
    indent(text.trim_end())
}

/// A picture that fits a terminal, and its caption.
fn small(depiction: &Depiction) -> (Picture, String) {
    const SCALE: &str = "each on a scale of its own, blue below zero, orange above";
    match depiction {
        Depiction::Image(image) => (image.within(WIDTH, HEIGHT), String::new()),
        Depiction::Sound(samples) => {
            (waveform(samples, WIDTH, 16), format!("{} samples", samples.len()))
        }
        Depiction::Maps(maps) if maps.is_over_time() => {
            let strip = depiction.picture(maps.channels);
            let what = format!(
                "{} channels from the bottom up, over {} steps; {SCALE}",
                strip.height(),
                strip.width()
            );
            (strip.sized(strip.width().min(WIDTH), strip.height().min(HEIGHT / 2)), what)
        }
        Depiction::Maps(maps) => {
            let channels = depiction.channels(CHANNELS);
            let tile = |channel: &usize| {
                maps.picture(*channel, maps.reach(*channel)).within(CHANNEL_WIDTH, CHANNEL_WIDTH)
            };
            let tiles: Vec<Picture> = channels.iter().map(tile).collect();
            let named: Vec<String> = channels.iter().map(usize::to_string).collect();
            let what = format!("channels {} of {}; {SCALE}", named.join(" "), maps.channels);
            (Picture::tiled(&tiles, CHANNELS / 2, 1), what)
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Writes a number with four significant digits, or a whole number in full.
fn number(value: f64) -> String {
    if value.fract() == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let digits = (3 - value.abs().log10().floor() as i32).clamp(0, 8) as usize;
    format!("{value:.digits$}")
}

fn indent(text: &str) -> String {
    let lines = text.lines().map(|line| match line.is_empty() {
        true => String::new(),
        false => format!("  {line}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}
