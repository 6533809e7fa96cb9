//! `probe`: what a linear classifier reads from a module's pooled vectors, and the module's own loss
//! on held-out rows; for the trained module and for the same one as it was drawn.

use std::time::Instant;

use candle_core::{Device, Tensor};
use gimlet_store::Generation;

use super::Run;
use super::ingest_sound::label_attribute;
use super::plan::Step;
use super::record::{self, Judged, ProbeResult};
use crate::device;
use crate::loss::Samples;
use crate::module::{Keep, Module, Readout};
use crate::parameters::Parameters;
use crate::pipeline::{SoundView, Source, Split, View};
use crate::probe::linear::{self, Rows};
use crate::random::generator;
use crate::source::NO_FRAME;
use crate::train::input::{Look, POOLED};
use crate::train::recordings::FRAMES;
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
        let results = [Kind::Trained, Kind::Untrained].map(|kind| {
            let generation = |split| match kind {
                Kind::Trained => trained(split),
                Kind::Untrained => untrained(split),
            };
            self.judge(index, kind, [generation(Split::Train)?, generation(Split::Test)?])
        });
        let [of_trained, of_untrained] = results;
        let results = [of_trained?, of_untrained?];
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

    fn judge(&self, index: usize, kind: Kind, encoded: [Generation; 2]) -> Result<ProbeResult> {
        let [train, test] = &encoded;
        // Rows of the first view come first. More views would judge how much a probe has seen.
        let samples = self.plan.generation(Step::Ingest, Split::Train, &self.dir)?.rows();
        let rows = [samples, test.rows()];
        let labels = Split::ALL.map(|split| self.known_labels(split));
        let [of_train, of_test] = labels;
        let (of_train, of_test) = (of_train?, of_test?);
        let means = [means(train, rows[0])?, means(test, rows[1])?];
        let accuracy = |train: &[Option<i64>], test: &[Option<i64>]| match (
            means[0].labelled(train),
            means[1].labelled(test),
        ) {
            (Some(train), Some(test)) => {
                let seed = self.pipeline.seed;
                linear::accuracy(&train, &test, &self.pipeline.probe, seed).map(Some)
            }
            _ => Ok(None),
        };
        let mut further = Vec::new();
        for ((label, train), (_, test)) in of_train.further.iter().zip(&of_test.further) {
            further.push(Judged { label: label.clone(), accuracy: accuracy(train, test)? });
        }
        if let View::Sound(view) = &self.pipeline.view
            && self.has_frames()
        {
            further.push(self.judge_frames(view, [train, test], rows)?);
        }
        let sizes = self.sizes(index)?;
        let loss = match &self.pipeline.view {
            View::Images(_) => self.held_out_loss(index, kind, test)?,
            View::Sound(_) => self.held_out_loss_of_steps(index, kind)?,
        };
        Ok(ProbeResult {
            module: self.plan.module(index).to_string(),
            index,
            kind: kind.name().to_string(),
            probe: "linear".to_string(),
            split: Split::Test.name().to_string(),
            accuracy: accuracy(&of_train.first, &of_test.first)?,
            further,
            loss,
            chance_loss: self.pipeline.loss.recipe().of_a_guess(sizes),
        })
    }

    /// The parameters of a module, trained or drawn.
    fn parameters(&self, index: usize, kind: Kind) -> Result<Parameters> {
        match kind {
            Kind::Trained => self.weights(index),
            Kind::Untrained => self.drawn(index),
        }
    }

    /// The labels of the samples of a split: the first, and the further ones by their names.
    fn known_labels(&self, split: Split) -> Result<Labels> {
        let ingested = self.plan.generation(Step::Ingest, split, &self.dir)?;
        let schema = &ingested.manifest().schema;
        let keys = ingested.reader(&[self.sample_column()])?.keys()?;
        let names = match &self.pipeline.data.source {
            Source::Files(files) => files.further.as_slice(),
            Source::Textures(_) => &[],
        };
        let further = names.iter().filter_map(|name| {
            let attribute = label_attribute(name);
            let place = schema.attributes.iter().position(|it| *it == attribute)?;
            let labels = keys.attributes[place].iter().map(|it| Some(*it).filter(|it| *it >= 0));
            Some((name.clone(), labels.collect()))
        });
        let further = further.collect();
        Ok(Labels { first: keys.labels, further })
    }

    /// What a linear classifier reads of the label of a hop from the pooled vectors of that hop.
    fn judge_frames(
        &self,
        view: &SoundView,
        encoded: [&Generation; 2],
        rows: [u64; 2],
    ) -> Result<Judged> {
        let mut all = Vec::new();
        for (split, (generation, rows)) in Split::ALL.into_iter().zip(encoded.into_iter().zip(rows))
        {
            let ingested = self.plan.generation(Step::Ingest, split, &self.dir)?;
            all.push(frames(view, generation, &ingested, rows)?);
        }
        let accuracy = match all.iter().all(|rows| !rows.labels.is_empty()) {
            true => {
                let seed = self.pipeline.seed;
                Some(linear::accuracy(&all[0], &all[1], &self.pipeline.probe, seed)?)
            }
            false => None,
        };
        Ok(Judged { label: FRAMES.to_string(), accuracy })
    }

    /// The mean loss over whole batches of the test split, its negatives drawn from the seed; of the
    /// pooled vectors that are stored.
    fn held_out_loss(&self, index: usize, kind: Kind, generation: &Generation) -> Result<f64> {
        let sizes = self.sizes(index)?;
        let reader = generation.reader(&[POOLED])?;
        let labels = self.labels(|| Ok(reader.keys()?))?;
        let shape = (sizes.rows, sizes.columns, sizes.channels);
        self.mean_loss(index, kind, reader.rows(), &labels, |rows| {
            let mut values = vec![0.0; rows.len() * sizes.positions() * sizes.channels];
            reader.read_f32(POOLED, rows, &mut values)?;
            let shape = (rows.len(), shape.0, shape.1, shape.2);
            let pooled = Tensor::from_vec(values, shape, &Device::Cpu)?;
            Ok([pooled.clone(), pooled])
        })
    }

    /// The same of sound, whose loss sees more than what is stored: computed from what the module reads.
    fn held_out_loss_of_steps(&self, index: usize, kind: Kind) -> Result<f64> {
        let input = match kind {
            Kind::Trained => self.input(index, Split::Test)?,
            Kind::Untrained => self.untrained_input(index, Split::Test)?,
        };
        let encoder = self.parameters(index, kind)?.under("encoder").on(&self.device)?;
        let (map, _) = self.maps(index)?;
        let layers = &self.pipeline.modules[index].layers;
        let module = Module::new(layers, map.channels, &encoder)?.reading(Readout::Steps);
        let sizes = self.sizes(index)?;
        let labels = self.labels(|| input.keys())?;
        self.mean_loss(index, kind, input.rows() as u64, &labels, |rows| {
            let x = self.device.take(&input.tensor(rows, Look::Frozen, None)?)?;
            let pooled = module.pooled(&x, Keep::Nothing)?;
            let maps = pooled.reshape((rows.len(), 1, sizes.rows, sizes.channels))?;
            let context = module.context_of(&maps)?.unwrap_or_else(|| maps.clone());
            // Steps are the rows of what a loss sees.
            let seen = |it: &Tensor| device::home(&it.detach().transpose(1, 2)?.contiguous()?);
            Ok([seen(&maps)?, seen(&context)?])
        })
    }

    /// The mean loss over whole batches of so many rows; `seen` makes what the loss sees of some, and the
    /// context.
    fn mean_loss(
        &self,
        index: usize,
        kind: Kind,
        rows: u64,
        labels: &[u32],
        seen: impl Fn(&[u64]) -> Result<[Tensor; 2]>,
    ) -> Result<f64> {
        let recipe = self.pipeline.loss.recipe();
        let sizes = self.sizes(index)?;
        let loss = recipe.build(sizes, &self.parameters(index, kind)?.under("loss"))?;
        let rows: Vec<u64> = (0..rows).collect();
        let batch = self.pipeline.training.batch.min(rows.len());
        let purpose = format!("{}/held-out negatives", self.plan.module(index));
        let (mut sum, mut batches) = (0.0, 0u64);
        for rows in rows.chunks_exact(batch) {
            let [pooled, context] = seen(rows)?;
            let mut draws = generator(self.pipeline.seed, &purpose, &[batches]);
            let drawn = recipe.draw(batch, sizes, &mut draws);
            let labels = rows.iter().filter_map(|row| labels.get(*row as usize).copied());
            let samples = Samples { labels: labels.collect(), drawn };
            let outcome = loss.forward(&pooled, &context, &samples)?;
            sum += f64::from(outcome.loss.to_scalar::<f32>()?);
            batches += 1;
        }
        Ok(sum / batches as f64)
    }
}

/// Whether a module is as its training left it, or as it was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Trained,
    Untrained,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Trained => "trained",
            Kind::Untrained => "untrained",
        }
    }
}

/// The labels of samples.
struct Labels {
    first: Vec<Option<i64>>,
    further: Vec<(String, Vec<Option<i64>>)>,
}

/// The shape of a dataset's pooled vectors: rows, columns, channels.
fn pooled_shape(generation: &Generation) -> Result<[usize; 3]> {
    let column = generation.manifest().schema.column(POOLED).map(|it| it.shape.as_slice());
    match column {
        Some([rows, columns, channels]) => Ok([*rows, *columns, *channels]),
        _ => Err(Error::failed(format!("`{}` has no pooled vectors", generation.dir().display()))),
    }
}

/// Rows read at once.
const CHUNK: usize = 256;

/// Each sample as the probe sees it: the mean of its pooled vectors.
struct Means {
    channels: usize,
    vectors: Vec<f32>,
}

/// Those of the first `rows` rows of a dataset.
fn means(generation: &Generation, rows: u64) -> Result<Means> {
    let reader = generation.reader(&[POOLED])?;
    let [rows_of_grid, columns, channels] = pooled_shape(generation)?;
    let grid = rows_of_grid * columns;
    let mut vectors = Vec::with_capacity(rows as usize * channels);
    let rows: Vec<u64> = (0..rows).collect();
    for rows in rows.chunks(CHUNK) {
        let mut pooled = vec![0.0; rows.len() * grid * channels];
        reader.read_f32(POOLED, rows, &mut pooled)?;
        for grid_of_vectors in pooled.chunks_exact(grid * channels) {
            let mut mean = vec![0.0f64; channels];
            for vector in grid_of_vectors.chunks_exact(channels) {
                mean.iter_mut().zip(vector).for_each(|(sum, value)| *sum += f64::from(*value));
            }
            vectors.extend(mean.iter().map(|sum| (sum / grid as f64) as f32));
        }
    }
    Ok(Means { channels, vectors })
}

impl Means {
    /// Those that have a label; `None` when there are none.
    fn labelled(&self, labels: &[Option<i64>]) -> Option<Rows> {
        let mut rows = Rows { vectors: Vec::new(), labels: Vec::new() };
        for (vector, label) in self.vectors.chunks_exact(self.channels).zip(labels) {
            if let Some(label) = label.and_then(|label| u32::try_from(label).ok()) {
                rows.vectors.extend_from_slice(vector);
                rows.labels.push(label);
            }
        }
        (!rows.labels.is_empty()).then_some(rows)
    }
}

/// The most hops that a probe learns from or is judged by, of the first recordings: more would take more
/// memory than a module.
const MOST_FRAMES: usize = 1 << 18;

/// The pooled vectors of the first `rows` rows of a dataset, each with the label of its hop; those without
/// are left out.
fn frames(
    view: &SoundView,
    encoded: &Generation,
    ingested: &Generation,
    rows: u64,
) -> Result<Rows> {
    let (reader, labels) = (encoded.reader(&[POOLED])?, ingested.reader(&[FRAMES])?);
    let [vectors, _, channels] = pooled_shape(encoded)?;
    let hops = ingested.manifest().schema.column(FRAMES).map_or(0, gimlet_store::Column::values);
    let place = encoded.manifest().schema.attributes.iter().position(|name| name == "start");
    let starts = place.map(|place| reader.keys().map(|keys| keys.attributes[place].clone()));
    let starts = starts.transpose()?.unwrap_or_default();
    let mut found = Rows { vectors: Vec::new(), labels: Vec::new() };
    let rows: Vec<u64> = (0..rows).collect();
    for rows in rows.chunks(CHUNK) {
        let mut pooled = vec![0.0; rows.len() * vectors * channels];
        reader.read_f32(POOLED, rows, &mut pooled)?;
        let mut of_hops = vec![0; rows.len() * hops];
        labels.read_u8(FRAMES, rows, &mut of_hops)?;
        let each = pooled.chunks_exact(vectors * channels).zip(of_hops.chunks_exact(hops));
        for (row, (pooled, of_hops)) in rows.iter().zip(each) {
            let start = starts.get(*row as usize).map_or(0, |it| (*it).max(0) as usize);
            for (place, vector) in pooled.chunks_exact(channels).enumerate() {
                // Where a module has fewer steps than the window has hops, one stands for several.
                let hop = start / view.hop + place * view.frames() / vectors;
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
