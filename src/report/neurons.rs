//! Preferred stimuli: the parts of real samples that excite a channel most.

use std::fmt::Write as _;

use super::gallery::Gallery;
use super::page::{Html, Section};
use super::run_view::RunView;
use super::samples::Samples;
use super::vectors::{Highest, Hit, Vectors};
use crate::pipeline::Split;
use crate::stage::progress::ROWS;
use crate::{Error, Kind, Result};

/// The most modules on the page. If there are more, the first and the last ones are shown.
pub const MOST_MODULES: usize = 8;

/// Bars of a histogram.
const BARS: usize = 24;

/// The most rows that a histogram is counted from, evenly spread.
const HISTOGRAM_ROWS: u64 = 256;

/// One channel of a module's pooled vectors, over all vectors of a split that see nothing but their sample
/// ([`Vectors::own`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// The number of the channel, from 0.
    pub channel: usize,
    /// The mean of its values.
    pub mean: f64,
    /// The population's standard deviation.
    pub std: f64,
    /// Where the channel is highest, at most once per sample; the highest first.
    pub hits: Vec<Hit>,
}

/// All channels of a module, in order, each with its `count` highest values, at most one per sample.
///
/// This takes one pass over the stored vectors.
///
/// # Errors
/// [`Kind::Interrupted`] when asked to stop; when a row cannot be read.
pub fn all_channels(run: &RunView<'_>, vectors: &Vectors, count: usize) -> Result<Vec<Channel>> {
    let (positions, channels) = (vectors.pooled.positions(), vectors.pooled.channels());
    if positions * channels == 0 {
        return Ok(Vec::new());
    }
    /// Sums of one channel over some rows.
    #[derive(Clone)]
    struct Sums {
        values: u64,
        sum: f64,
        squares: f64,
        highest: Highest,
    }
    let none = Sums { values: 0, sum: 0.0, squares: 0.0, highest: Highest::new(count) };
    let looked = run.count("neurons", ROWS, vectors.rows);
    let chunks = vectors.pooled.map_chunks(vectors.rows, |first, values| {
        run.check_stop()?;
        looked((values.len() / (positions * channels)) as u64);
        let mut all = vec![none.clone(); channels];
        for (row, sample) in (first..).zip(values.chunks_exact(positions * channels)) {
            let mut best = vec![(f32::NEG_INFINITY, 0); channels];
            let own = vectors.own(row);
            let each = sample.chunks_exact(channels).enumerate();
            for (position, vector) in each.take(own.end).skip(own.start) {
                for ((value, sums), best) in vector.iter().zip(&mut all).zip(&mut best) {
                    sums.sum += f64::from(*value);
                    sums.squares += f64::from(*value) * f64::from(*value);
                    if *value > best.0 {
                        *best = (*value, position);
                    }
                }
            }
            for (sums, (value, position)) in all.iter_mut().zip(best) {
                sums.values += own.len() as u64;
                sums.highest.offer(Hit { row, position, value });
            }
        }
        Ok(all)
    })?;
    let mut all = vec![none; channels];
    for chunk in chunks {
        all = all
            .into_iter()
            .zip(chunk)
            .map(|(a, b)| Sums {
                values: a.values + b.values,
                sum: a.sum + b.sum,
                squares: a.squares + b.squares,
                highest: a.highest.and(b.highest),
            })
            .collect();
    }
    let each = all.into_iter().enumerate().map(|(channel, sums)| {
        let values = sums.values.max(1) as f64;
        let mean = sums.sum / values;
        let std = (sums.squares / values - mean * mean).max(0.0).sqrt();
        Channel { channel, mean, std, hits: sums.highest.hits }
    });
    Ok(each.collect())
}

/// The channels to show: the ones in `asked` that the module has, otherwise the `count` channels that vary
/// most.
pub fn chosen(all: &[Channel], asked: Option<&[usize]>, count: usize) -> Vec<Channel> {
    match asked {
        Some(asked) => asked.iter().filter_map(|it| all.get(*it)).cloned().collect(),
        None => {
            let mut order: Vec<&Channel> = all.iter().collect();
            order.sort_by(|a, b| b.std.total_cmp(&a.std).then(a.channel.cmp(&b.channel)));
            order.into_iter().take(count).cloned().collect()
        }
    }
}

/// Fails when a channel that was asked for does not exist.
///
/// # Errors
/// [`Kind::Usage`], if the module has no such channel.
pub fn check_channels(module: &str, channels: usize, asked: &[usize]) -> Result<()> {
    let Some(wrong) = asked.iter().find(|it| **it >= channels) else { return Ok(()) };
    let message = format!("module `{module}` has no channel {wrong}");
    let hint = match channels {
        0 | 1 => "it has one: 0".to_string(),
        _ => format!("its channels are 0 to {}", channels - 1),
    };
    Err(Error::new(Kind::Usage, message).hint(hint))
}

/// Builds the section on neurons.
pub fn section(run: &RunView<'_>) -> Result<Section> {
    let mut section =
        Section { id: "neurons", title: "What does a neuron like?", ..Section::default() };
    let Some(samples) = section.made(Samples::open(run, Split::Test))? else {
        return Ok(section);
    };
    let words = samples.words;
    let ((count, parts), what, how) = (words.channels, words.parts, words.look);
    let asked = run.options.channels.as_deref();
    section.lead = format!(
        "The {what} of test samples that excite a channel most, at most one a sample, with the channel's \
         value: of each module {}. {how}",
        match asked {
            Some(_) => "the channels that were asked for".to_string(),
            None =>
                format!("{count} channels at most, those that vary most (--channels shows others)"),
        },
    );
    let mut gallery = Gallery::new("neurons", &samples);
    let mut body = String::new();
    let (mut widest, mut shown) = (None, false);
    for index in run.some_modules(MOST_MODULES) {
        let name = run.standing.plan.module(index);
        run.check_stop()?;
        let Some(vectors) = section.made(Vectors::open(run, index, &samples))? else { continue };
        let all = all_channels(run, &vectors, parts)?;
        let _ = write!(body, "<h3>Module {}</h3>", Html::escape(name));
        if let Some(field) = vectors.field() {
            let _ = write!(body, "<p class=\"lead\">{}</p>", Html::escape(&in_words(run, field)));
        }
        let chosen = chosen(&all, asked, count);
        shown |= !chosen.is_empty();
        widest = widest.max(Some((all.len(), name)));
        if chosen.iter().all(|it| it.hits.is_empty()) {
            body.push_str("<p class=\"lead\">No sample has a value to show.</p>");
            continue;
        }
        body.push_str("<div class=\"neurons\">");
        for (channel, bars) in chosen.iter().zip(histograms(&vectors, &chosen)?) {
            let _ = write!(
                body,
                "<figure class=\"neuron\"><figcaption>Channel {} {bars}<small>{}</small></figcaption>\
                 <div class=\"parts\">",
                channel.channel,
                Html::escape(&format!("{} ± {}", short(channel.mean), short(channel.std))),
            );
            for hit in &channel.hits {
                let place = vectors.place(hit.row, hit.position);
                let shown = gallery.show(hit.row, place, &short(hit.value.into()))?;
                body.push_str(&shown.0);
            }
            body.push_str("</div></figure>");
        }
        body.push_str("</div>");
    }
    // Modules differ in width. An error is due only if no module has the channel.
    if let (Some(asked), Some((channels, name)), false) = (asked, widest, shown) {
        check_channels(name, channels, asked)?;
    }
    section.body = Html(gallery.sheet()?.0 + &body);
    Ok(section)
}

/// Says in words how far a step of sound sees.
fn in_words(run: &RunView<'_>, field: super::place::Field) -> String {
    let rate = f64::from(run.pipeline.view.settings().rate().unwrap_or(1));
    let milliseconds = 1e3 * field.size as f64 / rate;
    let before = if field.recurrent { ", and through its recurrence what came before" } else { "" };
    format!(
        "A step sees {} samples ({milliseconds:.1} ms){before}; a step is {} samples long.",
        field.size, field.jump
    )
}

/// Small histograms of the values of the chosen channels.
fn histograms(vectors: &Vectors, chosen: &[Channel]) -> Result<Vec<String>> {
    let channels = vectors.pooled.channels();
    let mut values = vec![Vec::new(); chosen.len()];
    let rows = vectors.pooled.spread_rows(HISTOGRAM_ROWS);
    for row in rows.into_iter().filter(|row| *row < vectors.rows) {
        let sample = vectors.pooled.row(row)?;
        let own = vectors.own(row);
        for vector in sample.chunks_exact(channels.max(1)).take(own.end).skip(own.start) {
            for (values, channel) in values.iter_mut().zip(chosen) {
                values.extend(vector.get(channel.channel).filter(|it| it.is_finite()));
            }
        }
    }
    Ok(values.iter().map(|values| histogram(values)).collect())
}

/// A small histogram as a drawing; empty where all values are equal.
fn histogram(values: &[f32]) -> String {
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if low >= high || values.is_empty() {
        return String::new();
    }
    let mut counts = [0usize; BARS];
    for value in values {
        let share = (value - low) / (high - low);
        let bar = ((share * BARS as f32) as usize).min(BARS - 1);
        counts[bar] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(1).max(1) as f64;
    let title = format!("from {} to {}", short(low.into()), short(high.into()));
    let mut path = String::new();
    for (bar, count) in counts.iter().enumerate() {
        let tall = 16.0 * *count as f64 / most;
        let _ = write!(path, "M{},16v-{tall:.1}h2v{tall:.1}z", 3 * bar);
    }
    format!(
        "<svg class=\"spread\" viewBox=\"0 0 {} 16\" role=\"img\" aria-label=\"{title}\">\
         <title>{title}</title><path d=\"{path}\"/></svg>",
        3 * BARS
    )
}

/// Writes a number with three digits.
pub fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_string(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.1e}"),
        size => {
            let digits = (2 - size.log10().floor() as i32).clamp(0, 5) as usize;
            format!("{value:.digits$}")
        }
    }
}
