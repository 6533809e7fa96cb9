//! A few samples of a dataset in one image: the input beside the module's output.

use std::fmt::Write as _;

use gimlet_store::Generation;
use serde_json::json;

use super::channel_maps::waveform;
use super::column_stats::evenly;
use super::dataset_rows::{DatasetRows, Depiction, VIEW};
use super::page::Html;
use super::raster::{CLEAR, Picture};
use super::run_view::RunView;
use crate::Result;
use crate::pipeline::Split;
use crate::train::input::IMAGE;
use crate::train::recordings::SOUND;

/// The numbers of samples, and of channels per sample.
const SAMPLES: usize = 4;
const CHANNELS: usize = 8;

/// Pixels of a tile: the longest side of an image, and the size of a waveform or strip.
const TILE: usize = 64;
const STRIP: (usize, usize) = (160, 64);

/// The least width at which a page shows a tile.
const SHOWN: usize = 44;

/// The samples that are shown.
#[derive(Default)]
pub(super) struct Shown {
    pub split: Option<Split>,
    ids: Vec<i64>,
    /// The ingested samples.
    ingested: Option<DatasetRows>,
}

impl Shown {
    /// Chooses a few samples of a split, with different labels if possible.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn choose(split: Split, generation: &Generation) -> Result<Self> {
        let samples = DatasetRows::open(generation)?;
        let keys = &samples.keys;
        let mut ids: Vec<i64> = Vec::new();
        let mut labels = Vec::new();
        // First one sample per label, then any.
        for different in [true, false] {
            for row in evenly(samples.rows(), 256) {
                let place = row as usize;
                let Some((id, label)) = keys.ids.get(place).zip(keys.labels.get(place)) else {
                    continue;
                };
                let taken = ids.contains(id) || (different && labels.contains(label));
                if !taken && ids.len() < SAMPLES {
                    ids.push(*id);
                    labels.push(*label);
                }
            }
        }
        let schema = &generation.manifest().schema;
        let is_ingested = [IMAGE, SOUND].iter().any(|it| schema.column(it).is_some());
        let ingested = is_ingested.then_some(samples);
        Ok(Self { split: Some(split), ids, ingested })
    }
}

/// The shown samples of a dataset in one image. `None`: the dataset has nothing to draw.
pub(super) fn sprite(
    run: &RunView<'_>,
    stage: &str,
    generation: &Generation,
    shown: &Shown,
    widest: &[usize],
) -> Result<Option<Html>> {
    let samples = DatasetRows::open(generation)?;
    let mut rows = Vec::new();
    for id in &shown.ids {
        // The first view of the sample.
        let Some(row) = samples.of_id(*id).first().copied() else { continue };
        let name = match samples.label_name(row) {
            Some(label) => format!("sample {id} ({label})"),
            None => format!("sample {id}"),
        };
        let Some(depiction) = samples.depict(row)? else { return Ok(None) };
        let beside = beside(generation, &samples, row, shown.ingested.as_ref(), *id)?;
        rows.push((name, depiction, beside));
    }
    let Some((_, first, _)) = rows.first() else { return Ok(None) };
    let names: Vec<String> = rows.iter().map(|it| it.0.clone()).collect();
    // How far a channel reaches in any of the rows.
    let reach = |channel: usize| {
        let of = |it: &(_, Depiction, _)| match &it.1 {
            Depiction::Maps(maps) => maps.reach(channel),
            _ => 0.0,
        };
        rows.iter().map(of).fold(0.0, f32::max)
    };
    match first {
        Depiction::Image(_) | Depiction::Sound(_) => {
            let tiles: Vec<Picture> = rows.iter().map(|it| tile(&it.1)).collect();
            let title = format!("{stage}: samples");
            let alone = vec![String::new()];
            let (rows, columns) = match first {
                Depiction::Image(_) => (alone, names),
                _ => (names, alone),
            };
            let picture = Picture::tiled(&tiles, columns.len(), 2);
            let width = tiles.first().map_or(TILE, Picture::width);
            figure(&title, &picture, width, &rows, &columns, "").map(Some)
        }
        Depiction::Maps(maps) if maps.is_over_time() => {
            let largest: Vec<f32> = (0..maps.channels).map(reach).collect();
            let has_beside = rows.iter().any(|it| it.2.is_some());
            let mut tiles = Vec::new();
            for (_, depiction, beside) in &rows {
                if has_beside {
                    tiles.push(beside.clone().unwrap_or_else(nothing));
                }
                let Depiction::Maps(maps) = depiction else { continue };
                let strip = maps.strip(&largest);
                tiles.push(strip.sized(strip.width().min(STRIP.0), strip.height().min(STRIP.1)));
            }
            let mut columns = vec![format!("all {} channels", maps.channels)];
            if has_beside {
                columns.insert(0, "window".into());
            }
            let picture = Picture::tiled(&tiles, columns.len(), 2);
            let title = format!("{stage}: channels over time");
            let what = "Channels from the bottom up, over the steps of a window, each on a scale of its own.";
            figure(&title, &picture, STRIP.0, &names, &columns, what).map(Some)
        }
        Depiction::Maps(maps) => {
            let channels = channels(run, widest, maps.channels);
            let largest: Vec<f32> = channels.iter().copied().map(reach).collect();
            let (height, width) = maps.size();
            let beside_size = rows.iter().filter_map(|it| it.2.as_ref()).map(Picture::height).max();
            let size = beside_size.unwrap_or(height).max(height).min(TILE);
            let size = (size * width / height.max(1), size);
            let mut tiles = Vec::new();
            let has_beside = beside_size.is_some();
            for (_, depiction, beside) in &rows {
                let Depiction::Maps(maps) = depiction else { continue };
                if has_beside {
                    tiles.push(beside.clone().unwrap_or_else(nothing).sized(size.0, size.1));
                }
                for (channel, largest) in channels.iter().zip(&largest) {
                    tiles.push(maps.picture(*channel, *largest).sized(size.0, size.1));
                }
            }
            let mut columns: Vec<String> =
                channels.iter().map(|it| format!("channel {it}")).collect();
            if has_beside {
                columns.insert(0, "the sample".into());
            }
            let picture = Picture::tiled(&tiles, columns.len(), 2);
            let listed: Vec<String> = channels.iter().map(usize::to_string).collect();
            let what = format!(
                "Channels {} of {}, those that vary most; each on a scale of its own.",
                listed.join(", "),
                maps.channels
            );
            let title = format!("{stage}: channel maps");
            figure(&title, &picture, size.0, &names, &columns, &what).map(Some)
        }
    }
}

fn nothing() -> Picture {
    Picture::of(1, 1, |_, _| CLEAR)
}

/// The channels to show, in order: the ones asked for, otherwise the ones that vary most.
fn channels(run: &RunView<'_>, widest: &[usize], all: usize) -> Vec<usize> {
    let mut channels: Vec<usize> = match &run.options.channels {
        Some(asked) => asked.iter().copied().filter(|it| *it < all).take(4 * CHANNELS).collect(),
        None => widest.iter().copied().take(CHANNELS).collect(),
    };
    if channels.is_empty() {
        channels = (0..all.min(CHANNELS)).collect();
    }
    channels.sort_unstable();
    channels.dedup();
    channels
}

fn tile(depiction: &Depiction) -> Picture {
    match depiction {
        Depiction::Image(image) => image.within(TILE, TILE),
        Depiction::Sound(samples) => waveform(samples, STRIP.0, STRIP.1),
        Depiction::Maps(_) => nothing(),
    }
}

/// The input of a module for a sample: its crop of the image, or its window of the recording.
fn beside(
    generation: &Generation,
    samples: &DatasetRows,
    row: u64,
    ingested: Option<&DatasetRows>,
    id: i64,
) -> Result<Option<Picture>> {
    let Some(ingested) = ingested.filter(|_| samples.attribute(row, VIEW).is_some()) else {
        return Ok(None);
    };
    let Some(original) = ingested.of_id(id).first().copied() else { return Ok(None) };
    let view = &generation.manifest().settings["view"];
    let number = |name: &str| view[name].as_u64().and_then(|it| usize::try_from(it).ok());
    let attribute =
        |name: &str| samples.attribute(row, name).and_then(|it| usize::try_from(it).ok());
    Ok(match ingested.depict(original)? {
        Some(Depiction::Image(image)) => {
            let (top, left) =
                (attribute("crop_top").unwrap_or(0), attribute("crop_left").unwrap_or(0));
            let width = number("crop").unwrap_or(image.width()).min(image.width());
            let height = number("crop").unwrap_or(image.height()).min(image.height());
            let flipped = attribute("flip") == Some(1);
            Some(Picture::of(width, height, |x, y| {
                let x = if flipped { width - 1 - x } else { x };
                image.at(left + x, top + y)
            }))
        }
        Some(Depiction::Sound(sound)) => {
            let start = attribute("start").unwrap_or(0).min(sound.len());
            let end =
                start.saturating_add(number("window").unwrap_or(sound.len())).min(sound.len());
            let window = sound.get(start..end).unwrap_or_default();
            Some(waveform(window, STRIP.0, STRIP.1))
        }
        _ => None,
    })
}

/// A picture with many cells, as a `<figure>`. `tile` is the width of a cell.
fn figure(
    title: &str,
    picture: &Picture,
    tile: usize,
    rows: &[String],
    columns: &[String],
    what: &str,
) -> Result<Html> {
    let times = SHOWN.div_ceil(tile.max(1)).max(1);
    let (width, height) = (picture.width() * times, picture.height() * times);
    let uri = picture.data_uri()?;
    let data = Html::escape(&json!({ "rows": rows, "columns": columns }).to_string());
    let title = Html::escape(title);
    let mut html = format!(
        "<figure class=\"sprite\" data-sprite=\"{data}\"><figcaption>{title}</figcaption>\
         <div class=\"frame\"><img src=\"{uri}\" width=\"{width}\" height=\"{height}\" alt=\"{title}\"></div>"
    );
    let shown: Vec<&str> = rows.iter().map(String::as_str).filter(|it| !it.is_empty()).collect();
    let shown = if shown.is_empty() { columns.iter().map(String::as_str).collect() } else { shown };
    let _ =
        write!(html, "<p>{} {}.</p></figure>", Html::escape(what), Html::escape(&shown.join("; ")));
    Ok(Html(html))
}
