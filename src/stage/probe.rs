//! `probe`: what a linear classifier reads from a module's pooled vectors, and the module's own loss
//! on held-out rows (`held_out.rs`); for the trained module and for the same one as it was drawn.

use gimlet_store::Generation;

use super::Run;
use super::labels::label_attribute;
use super::meter::Meter;
use super::plan::Step;
use super::record::{self, Judged, ProbeResult};
use crate::pipeline::{Source, Split, View};
use crate::probe::linear::{self, Rows};
use crate::probe::pooled::Pooled;
use crate::{Error, Result};

impl Run<'_> {
    pub(super) fn probe(&self, index: usize) -> Result<()> {
        let meter = Meter::begin();
        let title = self.plan.title(Step::Probe(index));
        self.progress.begin(&title, 2, 0);
        let key = self.plan.key(Step::Probe(index), Split::Test);
        let results = [self.judge(index, Kind::Trained)?, self.judge(index, Kind::Untrained)?];
        let summary = match results[0].accuracy {
            Some(accuracy) => format!("accuracy {:.1} %", 100.0 * accuracy),
            None => format!("held-out loss {:.3}; no labels to classify", results[0].loss),
        };
        let record = |_number: u64| record::Probe {
            key: key.hash.clone(),
            settings: key.settings.clone(),
            seconds: meter.seconds(),
            read_bytes: Some(meter.read_bytes()),
            results: results.to_vec(),
        };
        self.dir.probes(self.plan.module(index)).commit(record)?;
        self.progress.end(&summary);
        Ok(())
    }

    fn judge(&self, index: usize, kind: Kind) -> Result<ProbeResult> {
        let train = &self.encoded(index, kind, Split::Train)?;
        let test = &self.encoded(index, kind, Split::Test)?;
        // Rows of the first view come first. More views would judge how much a probe has seen.
        let samples = self.plan.generation(Step::Ingest, Split::Train, &self.dir)?.rows();
        let rows = [samples, test.rows()];
        let of_train = self.known_labels(Split::Train)?;
        let of_test = self.known_labels(Split::Test)?;
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
            further.push(self.judge_hops(view, [train, test], rows)?);
        }
        let sizes = self.sizes(index)?;
        let held_out = self.held_out_loss(index, kind, sizes, test)?;
        Ok(ProbeResult {
            module: self.plan.module(index).to_string(),
            index,
            kind: kind.name().to_string(),
            probe: "linear".to_string(),
            split: Split::Test.name().to_string(),
            accuracy: accuracy(&of_train.first, &of_test.first)?,
            further,
            loss: held_out.loss,
            chance_loss: self.pipeline.loss.recipe().of_a_guess(sizes),
        })
    }

    /// What module `index` has made of a split.
    fn encoded(&self, index: usize, kind: Kind, split: Split) -> Result<Generation> {
        match kind {
            Kind::Trained => {
                let encode = Step::Encode(self.plan.last(index));
                self.plan.generation(encode, split, &self.dir)
            }
            Kind::Untrained => {
                let found = self.plan.generations(Step::Untrained, split, &self.dir)?;
                let missing = || Error::failed("the untrained stack is not encoded");
                found.into_iter().nth(index).ok_or_else(missing)
            }
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
}

/// Whether a module is as its training left it, or as it was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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

/// Each sample as the probe sees it: the mean of its pooled vectors.
struct Means {
    channels: usize,
    vectors: Vec<f32>,
}

/// Those of the first `rows` rows of a dataset.
fn means(generation: &Generation, rows: u64) -> Result<Means> {
    let pooled = Pooled::open(generation)?;
    Ok(Means { channels: pooled.channels(), vectors: pooled.means(rows)? })
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
