//! `probe`: what a linear classifier reads from a module's pooled vectors, and the module's own loss
//! on held-out rows; for the trained module and for the same one as it was drawn.

use std::time::Instant;

use candle_core::{Device, Tensor};
use gimlet_store::Generation;

use super::Run;
use super::plan::Step;
use super::record::{self, ProbeResult};
use crate::loss::{Samples, Sizes};
use crate::parameters::Parameters;
use crate::pipeline::Split;
use crate::probe::linear::{self, Rows};
use crate::random::generator;
use crate::train::input::POOLED;
use crate::{Error, Result};

impl Run<'_> {
    pub(super) fn probe(&self, index: usize) -> Result<()> {
        let started = Instant::now();
        let title = self.plan.title(Step::Probe(index));
        self.progress.begin(&title, 2, 0);
        let key = self.plan.key(Step::Probe(index), Split::Test);
        let trained = |split| self.plan.generation(Step::Encode(index), split, &self.dir);
        let untrained = |split| -> Result<Generation> {
            let found = self.plan.generations(Step::Untrained, split, &self.dir)?;
            let missing = || Error::failed("the untrained stack is not encoded");
            found.into_iter().nth(index).ok_or_else(missing)
        };
        let results = [
            self.judge(index, "trained", trained, &self.weights(index)?)?,
            self.judge(index, "untrained", untrained, &self.drawn(index)?)?,
        ];
        let summary = match results[0].accuracy {
            Some(accuracy) => format!("accuracy {:.1} %", 100.0 * accuracy),
            None => format!("held-out loss {:.3}; no labels to classify", results[0].loss),
        };
        let record = |_number: u64| record::Probe {
            key: key.hash.clone(),
            settings: key.settings.clone(),
            seconds: started.elapsed().as_secs_f64(),
            results: results.to_vec(),
        };
        self.dir.probes(self.plan.module(index)).commit(record)?;
        self.progress.end(&summary);
        Ok(())
    }

    fn judge(
        &self,
        index: usize,
        kind: &str,
        generation: impl Fn(Split) -> Result<Generation>,
        parameters: &Parameters,
    ) -> Result<ProbeResult> {
        let (train, test) = (generation(Split::Train)?, generation(Split::Test)?);
        // Rows of the first view come first. More views would judge how much a probe has seen.
        let samples = self.plan.generation(Step::Ingest, Split::Train, &self.dir)?.rows();
        let accuracy = match (labelled(&train, samples)?, labelled(&test, test.rows())?) {
            (Some(train), Some(test)) => {
                let seed = self.pipeline.seed;
                Some(linear::accuracy(&train, &test, &self.pipeline.probe, seed)?)
            }
            _ => None,
        };
        let sizes = self.sizes(index)?;
        Ok(ProbeResult {
            module: self.plan.module(index).to_string(),
            index,
            kind: kind.to_string(),
            probe: "linear".to_string(),
            split: Split::Test.name().to_string(),
            accuracy,
            loss: self.held_out_loss(index, sizes, &test, &parameters.under("loss"))?,
            chance_loss: self.pipeline.loss.recipe().of_a_guess(sizes),
        })
    }

    /// The mean loss over whole batches of a split, its negatives drawn from the seed.
    fn held_out_loss(
        &self,
        index: usize,
        sizes: Sizes,
        generation: &Generation,
        parameters: &Parameters,
    ) -> Result<f64> {
        let recipe = self.pipeline.loss.recipe();
        let reader = generation.reader(&[POOLED])?;
        let shape = (sizes.rows, sizes.columns, sizes.channels);
        let loss = recipe.build(sizes, parameters)?;
        let labels = self.labels(|| Ok(reader.keys()?))?;
        let rows: Vec<u64> = (0..reader.rows()).collect();
        let batch = self.pipeline.training.batch.min(rows.len());
        let purpose = format!("{}/held-out negatives", self.plan.module(index));
        let (mut sum, mut batches) = (0.0, 0u64);
        for rows in rows.chunks_exact(batch) {
            let mut values = vec![0.0; batch * sizes.positions() * sizes.channels];
            reader.read_f32(POOLED, rows, &mut values)?;
            let pooled =
                Tensor::from_vec(values, (batch, shape.0, shape.1, shape.2), &Device::Cpu)?;
            let mut draws = generator(self.pipeline.seed, &purpose, &[batches]);
            let drawn = recipe.draw(batch, sizes, &mut draws);
            let labels = rows.iter().filter_map(|row| labels.get(*row as usize).copied());
            let samples = Samples { labels: labels.collect(), drawn };
            sum += f64::from(loss.forward(&pooled, &pooled, &samples)?.loss.to_scalar::<f32>()?);
            batches += 1;
        }
        Ok(sum / batches as f64)
    }
}

/// Grid and channels of a dataset's pooled vectors.
fn pooled_shape(generation: &Generation) -> Result<(usize, usize)> {
    let columns = &generation.manifest().schema.columns;
    match columns.iter().find(|column| column.name == POOLED).map(|it| it.shape.as_slice()) {
        Some([grid, _, channels]) => Ok((*grid, *channels)),
        _ => Err(Error::failed(format!("`{}` has no pooled vectors", generation.dir().display()))),
    }
}

/// Those of the first `rows` rows of a dataset that have a label, as the probe sees them: each the mean
/// of its pooled vectors over the grid. `None` when there are none.
fn labelled(generation: &Generation, rows: u64) -> Result<Option<Rows>> {
    /// Rows read at once.
    const CHUNK: usize = 256;
    let reader = generation.reader(&[POOLED])?;
    let (grid, channels) = pooled_shape(generation)?;
    let labels = reader.keys()?.labels;
    let class = |label: Option<i64>| u32::try_from(label?).ok();
    let labels = (0..rows).zip(&labels).filter_map(|(row, label)| Some((row, class(*label)?)));
    let (positions, labels): (Vec<u64>, Vec<u32>) = labels.unzip();
    if labels.is_empty() {
        return Ok(None);
    }
    let row = grid * grid * channels;
    let mut vectors = Vec::with_capacity(labels.len() * channels);
    for positions in positions.chunks(CHUNK) {
        let mut pooled = vec![0.0; positions.len() * row];
        reader.read_f32(POOLED, positions, &mut pooled)?;
        for grid_of_vectors in pooled.chunks_exact(row) {
            let mut mean = vec![0.0f64; channels];
            for vector in grid_of_vectors.chunks_exact(channels) {
                mean.iter_mut().zip(vector).for_each(|(sum, value)| *sum += f64::from(*value));
            }
            vectors.extend(mean.iter().map(|sum| (sum / (grid * grid) as f64) as f32));
        }
    }
    Ok(Some(Rows { vectors, labels }))
}
