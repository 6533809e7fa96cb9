//! Nearest neighbours: the parts of samples whose vectors are most similar to that of a query.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::gallery::Gallery;
use super::neurons::{MOST_MODULES, short};
use super::page::{Html, Section};
use super::run_view::RunView;
use super::samples::Samples;
use super::vectors::{Highest, Hit, Vectors};
use crate::pipeline::Split;
use crate::random;
use crate::stage::progress::ROWS;
use crate::{Error, Result};

/// A part of a sample that others are compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Its vector, `[channels]`.
    pub vector: Vec<f32>,
    /// The row of its sample. This sample is left out of the results.
    pub row: u64,
}

impl Query {
    /// The query for the vector at `position` of the sample in `row`.
    ///
    /// # Errors
    /// When the position does not exist, or the row cannot be read.
    pub fn of(vectors: &Vectors, row: u64, position: usize) -> Result<Self> {
        let all = vectors.pooled.row(row)?;
        let channels = vectors.pooled.channels();
        let vector = all.get(position * channels..(position + 1) * channels);
        let missing = || Error::failed(format!("a sample has no vector {position}"));
        Ok(Self { vector: vector.ok_or_else(missing)?.to_vec(), row })
    }
}

/// The `count` vectors most similar to each query, at most one per sample, the most similar first.
///
/// Only vectors that see nothing but their sample are compared ([`Vectors::own`]). Similarity is the cosine of
/// the angle between two vectors, computed in f64; 0 if one of them is 0.
///
/// # Errors
/// [`crate::Kind::Interrupted`] when asked to stop; when a row cannot be read.
pub fn nearest(
    run: &RunView<'_>,
    vectors: &Vectors,
    queries: &[Query],
    count: usize,
) -> Result<Vec<Vec<Hit>>> {
    let (positions, channels) = (vectors.pooled.positions(), vectors.pooled.channels());
    if positions * channels == 0 {
        return Ok(vec![Vec::new(); queries.len()]);
    }
    let unit = |query: &Query| -> Vec<f64> {
        let scale = inverse_length(&query.vector);
        query.vector.iter().map(|it| f64::from(*it) * scale).collect()
    };
    let units: Vec<Vec<f64>> = queries.iter().map(unit).collect();
    let looked = run.count("nearest", ROWS, vectors.rows);
    let chunks = vectors.pooled.map_chunks(vectors.rows, |first, values| {
        run.check_stop()?;
        looked((values.len() / (positions * channels)) as u64);
        let mut found = vec![Highest::new(count); queries.len()];
        for (row, sample) in (first..).zip(values.chunks_exact(positions * channels)) {
            let mut best = vec![Hit { row, position: 0, value: f32::NEG_INFINITY }; queries.len()];
            let own = vectors.own(row);
            let each = sample.chunks_exact(channels).enumerate();
            for (position, vector) in each.take(own.end).skip(own.start) {
                let scale = inverse_length(vector);
                for (unit, best) in units.iter().zip(&mut best) {
                    let along = vector.iter().zip(unit);
                    let along = along.map(|(value, unit)| f64::from(*value) * unit).sum::<f64>();
                    let value = (along * scale) as f32;
                    if value > best.value {
                        *best = Hit { row, position, value };
                    }
                }
            }
            for ((query, found), best) in queries.iter().zip(&mut found).zip(best) {
                if query.row != row {
                    found.offer(best);
                }
            }
        }
        Ok(found)
    })?;
    let mut all = vec![Highest::new(count); queries.len()];
    for chunk in chunks {
        all = all.into_iter().zip(chunk).map(|(a, b)| a.and(b)).collect();
    }
    Ok(all.into_iter().map(|it| it.hits).collect())
}

/// 1 over the length of a vector; 0 if the vector is 0.
fn inverse_length(vector: &[f32]) -> f64 {
    let length = vector.iter().map(|it| f64::from(*it) * f64::from(*it)).sum::<f64>().sqrt();
    if length > 0.0 { 1.0 / length } else { 0.0 }
}

/// A part of a sample that every module is asked about. It is a share, because modules of sound may have
/// different numbers of vectors.
struct Asked {
    row: u64,
    /// The place in the sample, from 0 up to 1.
    share: f64,
}

impl Asked {
    fn position(&self, vectors: &Vectors) -> usize {
        let own = vectors.own(self.row);
        let own = if own.is_empty() { 0..vectors.pooled.positions() } else { own };
        let within = (self.share * own.len() as f64) as usize;
        own.start + within.min(own.len().saturating_sub(1))
    }
}

/// Draws `count` parts of samples from the pipeline's seed. Labels repeat only after each has been drawn.
fn drawn(run: &RunView<'_>, samples: &Samples, count: usize) -> Vec<Asked> {
    let mut draws = random::generator(run.pipeline.seed, "report/nearest", &[]);
    let order = draws.permutation(usize::try_from(samples.count()).unwrap_or(0));
    let mut labels = HashSet::new();
    let (first, later): (Vec<u64>, Vec<u64>) = order
        .into_iter()
        .map(u64::from)
        .partition(|row| samples.label(*row).is_some_and(|label| labels.insert(label)));
    let rows = first.into_iter().chain(later).take(count);
    rows.map(|row| Asked { row, share: f64::from(draws.unit()) }).collect()
}

/// Builds the section on nearest neighbours.
pub fn section(run: &RunView<'_>) -> Result<Section> {
    let mut section = Section { id: "nearest", title: "What is like what?", ..Section::default() };
    let Some(samples) = section.made(Samples::open(run, Split::Test))? else {
        return Ok(section);
    };
    let words = samples.words;
    let what = words.parts;
    section.lead = format!(
        "The first of each row is a query, drawn from the pipeline's seed; beside it are the {what} of other \
         test samples whose pooled vectors are most similar to its own (cosine), at most one a sample. The \
         queries are the same for all modules."
    );
    let (count, parts) = words.queries;
    let asked = drawn(run, &samples, count);
    let mut gallery = Gallery::new("nearest", &samples);
    let mut body = String::new();
    for index in run.some_modules(MOST_MODULES) {
        let name = run.standing.plan.module(index);
        run.check_stop()?;
        let Some(vectors) = section.made(Vectors::open(run, index, &samples))? else { continue };
        let asked: Vec<&Asked> = asked.iter().filter(|it| it.row < vectors.rows).collect();
        let queries = asked.iter().map(|it| Query::of(&vectors, it.row, it.position(&vectors)));
        let queries = queries.collect::<Result<Vec<_>>>()?;
        let found = nearest(run, &vectors, &queries, parts)?;
        let _ = write!(body, "<h3>Module {}</h3><div class=\"neurons\">", Html::escape(name));
        for (asked, hits) in asked.iter().zip(found) {
            let place = vectors.place(asked.row, asked.position(&vectors));
            let query = gallery.show(asked.row, place, "query")?;
            let _ = write!(body, "<div class=\"parts query\">{query}");
            for hit in hits {
                let place = vectors.place(hit.row, hit.position);
                let shown = gallery.show(hit.row, place, &short(hit.value.into()))?;
                body.push_str(&shown.0);
            }
            body.push_str("</div>");
        }
        body.push_str("</div>");
    }
    section.body = Html(gallery.sheet()?.0 + &body);
    Ok(section)
}
