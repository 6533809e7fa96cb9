//! The probe for labels of hops: a linear classifier reads the label of a hop from its pooled vector.

use gimlet_store::Generation;

use super::Run;
use super::probe::Counted;
use super::progress::STEPS;
use super::record::Judged;
use crate::Result;
use crate::media::Hops;
use crate::pipeline::PerSplit;
use crate::probe::linear::{self, Rows};
use crate::probe::pooled::{CHUNK, Pooled};
use crate::schedule::Step;
use crate::source::NO_FRAME;
use crate::train::input::POOLED;
use crate::train::recordings::FRAMES;

/// Measures how well a linear classifier reads the label of a hop from the pooled vector of that hop.
pub(super) fn judge_hops(
    run: &Run<'_>,
    hops: Hops,
    encoded: PerSplit<&Generation>,
    rows: PerSplit<u64>,
) -> Result<Judged> {
    let all = PerSplit::try_from_fn(|split| {
        let ingested = run.standing.generation(Step::Ingest, split)?;
        frames(hops, encoded[split], &ingested, rows[split])
    })?;
    let labelled = all.iter().all(|(_, rows)| !rows.labels.is_empty());
    let accuracy = labelled.then(|| {
        let (train, test, settings) = (&all.train, &all.test, &run.pipeline.probe);
        let steps = linear::steps(train, settings);
        let counted = Counted::begin(run, "linear, hops", STEPS, steps, 1);
        let seed = run.pipeline.seed;
        let found = linear::predictions(train, test, settings, seed, || counted.next())?;
        Ok::<_, crate::Error>(linear::share_found(&found, test))
    });
    let accuracy = accuracy.transpose()?;
    let rows = accuracy.map(|_| all.test.labels.len() as u64);
    Ok(Judged { label: FRAMES.to_string(), rows, accuracy, knn: None })
}

/// The most hops that a probe learns from or is judged by, taken from the first recordings. More would take more
/// memory than a module.
const MOST_FRAMES: usize = 1 << 18;

/// The pooled vectors of the first `rows` rows of a dataset, each with the label of its hop. Hops without a label
/// are left out.
fn frames(
    Hops { hop: every, frames: in_window }: Hops,
    encoded: &Generation,
    ingested: &Generation,
    rows: u64,
) -> Result<Rows> {
    let (reader, labels) = (encoded.reader(&[POOLED])?, ingested.reader(&[FRAMES])?);
    let [vectors, _, channels] = Pooled::open(encoded)?.shape();
    let hops = ingested.manifest().schema.column(FRAMES).map_or(0, gimlet_store::Column::values);
    let place = encoded.manifest().schema.attributes.iter().position(|name| name == "start");
    let starts = place.map(|place| reader.keys().map(|keys| keys.attributes[place].clone()));
    let starts = starts.transpose()?.unwrap_or_default();
    let mut found = Rows { vectors: Vec::new(), labels: Vec::new() };
    let rows: Vec<u64> = (0..rows).collect();
    for rows in rows.chunks(CHUNK) {
        if found.labels.len() == MOST_FRAMES {
            break;
        }
        let mut pooled = vec![0.0; rows.len() * vectors * channels];
        reader.read_f32(POOLED, rows, &mut pooled)?;
        let mut of_hops = vec![0; rows.len() * hops];
        labels.read_u8(FRAMES, rows, &mut of_hops)?;
        let each = pooled.chunks_exact(vectors * channels).zip(of_hops.chunks_exact(hops));
        for (row, (pooled, of_hops)) in rows.iter().zip(each) {
            let start = starts.get(*row as usize).map_or(0, |it| (*it).max(0) as usize);
            for (place, vector) in pooled.chunks_exact(channels).enumerate() {
                // If a module has fewer steps than the window has hops, a step stands for several hops.
                let hop = start / every + place * in_window / vectors;
                match of_hops.get(hop) {
                    Some(&label) if label != NO_FRAME && found.labels.len() < MOST_FRAMES => {
                        found.vectors.extend_from_slice(vector);
                        found.labels.push(u32::from(label));
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(found)
}
