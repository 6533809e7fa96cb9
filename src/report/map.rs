//! Maps: samples as points, near each other where a module's vectors for them are similar.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Float32Array, Int64Array, StringArray};
use plotters::prelude::*;
use rayon::prelude::*;
use serde_json::json;

use super::figure::{Area, drawn};
use super::gallery::sheet_style;
use super::page::{Html, Section};
use super::picture::{Sheet, thumbnail};
use super::run_view::RunView;
use super::samples::Samples;
use super::sound;
use super::tsne::{self, Method, Placed};
use super::vectors::Vectors;
use crate::Result;
use crate::parquet_table::{self, Column};
use crate::pipeline::Split;
use crate::probe::pooled::Pooled;
use crate::random;
use crate::stage::progress::STEPS;

/// Longest side of a sample's picture, in pixels.
const SIDE: u32 = 32;

/// Tiles per row of the sheet.
const COLUMNS: u32 = 40;

/// The most maps on the page, one per module.
const MOST_MAPS: usize = 4;

/// A module's map.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// The name of the module.
    pub module: String,
    /// The row of each point's sample.
    pub rows: Vec<u64>,
    /// Where the samples lie.
    pub placed: Placed,
}

/// The rows that a map shows: all, or at most `options.points`, drawn from the pipeline's seed.
pub fn rows(run: &RunView<'_>, samples: &Samples) -> Vec<u64> {
    let (count, most) = (samples.count() as usize, run.options.points);
    if count <= most {
        return (0..samples.count()).collect();
    }
    let mut draws = random::generator(run.pipeline.seed, "report/map", &[]);
    let drawn = draws.end_of_permutation(count, most);
    let mut rows: Vec<u64> = drawn.into_iter().map(u64::from).collect();
    rows.sort_unstable();
    rows
}

/// The map of `rows`, from their mean pooled vectors of module `index`. `stepped` hears of steps of t-SNE.
///
/// # Errors
/// [`crate::Kind::NotReady`] when the module has not been encoded; when its vectors cannot be read.
pub fn map(
    run: &RunView<'_>,
    index: usize,
    samples: &Samples,
    rows: &[u64],
    stepped: &(dyn Fn(u64) + Sync),
) -> Result<Map> {
    run.check_stop()?;
    let pooled = Pooled::open(&Vectors::generation(run, index, samples.split)?)?;
    let channels = pooled.channels();
    let rows: Vec<u64> = rows.iter().copied().filter(|it| *it < pooled.rows()).collect();
    let vectors = pooled.means_of(&rows)?;
    let placed = tsne::place(&vectors, channels, &|| run.check_stop(), &|| stepped(1))?;
    Ok(Map { module: run.standing.plan.module(index).to_string(), rows, placed })
}

/// Builds the section on maps. Also writes `map.parquet` beside the page.
pub fn section(run: &RunView<'_>) -> Result<Section> {
    let mut section = Section { id: "maps", title: "Maps", ..Section::default() };
    let Some(samples) = section.made(Samples::open(run, Split::Test))? else {
        return Ok(section);
    };
    let rows = rows(run, &samples);
    let made = run.some_modules(MOST_MAPS);
    let stepped = run.count("maps: t-SNE", STEPS, (made.len() * tsne::EPOCHS) as u64);
    let made: Vec<Result<Map>> =
        made.into_par_iter().map(|index| map(run, index, &samples, &rows, &stepped)).collect();
    let mut maps = Vec::new();
    for made in made {
        maps.extend(section.made(made)?);
    }
    let Some(any) = maps.first() else { return Ok(section) };
    let labelled = any.rows.iter().any(|row| samples.label(*row).is_some());
    section.lead = format!(
        "{} of {} test samples, each the mean of its pooled vectors, in two dimensions: {}. What is near is \
         similar; distances between clusters mean little.{} Point at one to see it.",
        any.rows.len(),
        samples.count(),
        how(any.placed.method),
        if labelled { " Coloured by label; press a label to show it alone." } else { "" },
    );
    section.body = body(run, &samples, &rows, &maps)?;
    run.standing.dir.report().join("map.parquet").replace(&parquet(&samples, &maps)?)?;
    Ok(section)
}

/// Says in words how points were placed.
pub fn how(method: Method) -> String {
    match method {
        Method::Tsne { perplexity } => format!(
            "t-SNE with a perplexity of {perplexity}, from the first two principal components"
        ),
        Method::Components => "their first two principal components, for there are too few for \
             t-SNE or they do not differ"
            .into(),
    }
}

fn body(run: &RunView<'_>, samples: &Samples, rows: &[u64], maps: &[Map]) -> Result<Html> {
    let sheet = thumbnails(run, samples, rows)?;
    let labels: Vec<Option<i64>> = rows.iter().map(|row| samples.label(*row)).collect();
    let known = samples.known_labels(rows);
    let place = |label: &Option<i64>| known.iter().position(|(it, _)| Some(*it) == *label);
    let of_maps = maps.iter().map(|map| {
        let tiles = map.rows.iter().map(|row| rows.binary_search(row).ok());
        let tiles: Vec<Option<usize>> = tiles.collect();
        json!({ "module": map.module, "tiles": tiles, "points": unit(&map.placed.points) })
    });
    let data = json!({
        "sheet": "sheet-map", "columns": sheet.size()[0],
        "ids": rows.iter().map(|row| samples.id(*row)).collect::<Vec<_>>(),
        // Each number is the place of the label in `names`.
        "labels": labels.iter().map(place).collect::<Vec<_>>(),
        "names": known.iter().map(|(_, name)| name).collect::<Vec<_>>(),
        "maps": of_maps.collect::<Vec<_>>(),
    });
    let mut html = sheet_style("map", &sheet)?;
    let _ = write!(
        html,
        // Only `<` could end the script element.
        "<script type=\"application/json\" id=\"map-data\">{}</script><div class=\"maps\">",
        data.to_string().replace('<', "\\u003c")
    );
    for (number, map) in maps.iter().enumerate() {
        let module = Html::escape(&map.module);
        let _ = write!(
            html,
            "<figure class=\"map\"><figcaption>Module {module}</figcaption><canvas data-map=\"{number}\" \
             data-points=\"{}\" role=\"img\" aria-label=\"Map of module {module}\"></canvas></figure>",
            map.rows.len()
        );
    }
    html.push_str("</div><div class=\"legend map-legend\">");
    for (place, (_, name)) in known.iter().enumerate() {
        let name = Html::escape(name);
        let _ = write!(
            html,
            "<button type=\"button\" aria-pressed=\"false\" data-label=\"{place}\"><i></i>{name}</button>"
        );
    }
    html.push_str("</div>");
    Ok(Html(html))
}

/// Scales points to whole numbers from 0 to 1000. Both axes have the same scale.
fn unit(points: &[[f32; 2]]) -> Vec<[i32; 2]> {
    let ends = |axis: usize| {
        let values = || points.iter().map(move |it| it[axis]);
        (values().fold(f32::INFINITY, f32::min), values().fold(f32::NEG_INFINITY, f32::max))
    };
    let (x, y) = (ends(0), ends(1));
    let wide = (x.1 - x.0).max(y.1 - y.0);
    let scale = if wide > 0.0 && wide.is_finite() { 1000.0 / wide } else { 0.0 };
    let at = |value: f32, (low, high): (f32, f32)| {
        (500.0 + (value - (low + high) / 2.0) * scale).round() as i32
    };
    points.iter().map(|it| [at(it[0], x), at(it[1], y)]).collect()
}

/// A small picture of every sample in `rows`: an image, or the spectrogram of a recording.
fn thumbnails(run: &RunView<'_>, samples: &Samples, rows: &[u64]) -> Result<Sheet> {
    let tiles = rows.par_iter().map(|row| {
        run.check_stop()?;
        match samples.rate {
            None => Ok(thumbnail(&samples.image(*row)?, SIDE)),
            Some(rate) => Ok(sound::picture(&samples.recording(*row)?, rate, SIDE, SIDE)?.into()),
        }
    });
    let tiles = tiles.collect::<Result<Vec<image::DynamicImage>>>()?;
    let size = tiles.first().map_or((SIDE, SIDE), |it| (it.width(), it.height()));
    let mut sheet = Sheet::new(size, COLUMNS);
    for tile in tiles {
        sheet.add(tile);
    }
    Ok(sheet)
}

/// Maps as one Parquet file, with one row per point of each map: `module`, `id`, `label` and `label_name` (null
/// if the sample has none), `x`, `y` (f32).
///
/// # Errors
/// When the columns cannot be laid out.
pub fn parquet(samples: &Samples, maps: &[Map]) -> Result<Vec<u8>> {
    let points = || maps.iter().flat_map(|map| map.rows.iter().zip(&map.placed.points));
    let rows = || points().map(|(row, _)| *row);
    let modules = maps.iter().flat_map(|map| map.rows.iter().map(|_| map.module.as_str()));
    let modules = StringArray::from_iter_values(modules);
    let ids = Int64Array::from_iter_values(rows().map(|row| samples.id(row)));
    let labels = Int64Array::from_iter(rows().map(|row| samples.label(row)));
    let names = StringArray::from_iter(rows().map(|row| samples.label_name(row)));
    let [x, y] =
        [0, 1].map(|axis| Float32Array::from_iter_values(points().map(|(_, point)| point[axis])));
    let columns = vec![
        Column::new("module", Arc::new(modules), false),
        Column::new("id", Arc::new(ids), false),
        Column::new("label", Arc::new(labels), true),
        Column::new("label_name", Arc::new(names), true),
        Column::new("x", Arc::new(x), false),
        Column::new("y", Arc::new(y), false),
    ];
    parquet_table::file("the points of a map", columns)
}

/// A map as SVG, coloured by label; a point's title is its id and label.
///
/// # Errors
/// [`Kind::Failed`](crate::Kind::Failed) when it cannot be drawn.
pub fn drawing(samples: &Samples, map: &Map) -> Result<String> {
    let svg = drawn("the map", (1260, 1080), |root| draw(root, samples, map))?;
    // The points come first in the SVG, each as an empty element.
    let mut pieces = svg.split("<circle ");
    let mut titled = pieces.next().unwrap_or_default().to_string();
    for (place, piece) in pieces.enumerate() {
        let title = map.rows.get(place).map(|row| {
            let title = format!("{}: {}", samples.id(*row), samples.label_text(*row));
            format!("><title>{}</title></circle>", Html::escape(&title))
        });
        let piece = title.map_or_else(|| piece.to_string(), |it| piece.replacen("/>", &it, 1));
        titled += &format!("<circle {piece}");
    }
    Ok(titled)
}

fn draw(root: &Area<'_>, samples: &Samples, map: &Map) -> Result<(), Box<dyn std::error::Error>> {
    let known = samples.known_labels(&map.rows);
    let colour = |label: Option<i64>| match known.iter().position(|(it, _)| Some(*it) == label) {
        // Hues that are far apart, however many there are: the golden angle.
        Some(place) => HSLColor((0.381_966 * place as f64) % 1.0, 0.65, 0.45).filled(),
        None => RGBColor(0x5c, 0x67, 0x7d).filled(),
    };
    for (row, [x, y]) in map.rows.iter().zip(unit(&map.placed.points)) {
        let at = (20 + x, 1040 - y);
        root.draw(&Circle::new(at, 4, colour(samples.label(*row))))?;
    }
    let font = |pixels: u32| ("sans-serif", pixels).into_font();
    root.draw(&Text::new(format!("Module {}", map.module), (20, 6), font(22)))?;
    for (place, (label, name)) in known.iter().enumerate() {
        let y = 60 + 24 * place as i32;
        root.draw(&Circle::new((1050, y), 6, colour(Some(*label))))?;
        root.draw(&Text::new(name.to_string(), (1064, y - 8), font(16)))?;
    }
    Ok(())
}
