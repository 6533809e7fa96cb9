//! `probe`: judges a module, trained and as it was drawn. It reports what a linear classifier and nearest neighbours
//! read from the pooled vectors, and the module's own loss on held-out rows (`held_out.rs`).

use std::cell::Cell;

use gimlet_store::Generation;

use super::labels::{Labels, labels_of};
use super::meter::Meter;
use super::origin::Origin;
use super::progress::{ROWS, STEPS, Unit};
use super::record::{self, Classifier, Judged, ProbeResult};
use super::{Run, Standing, held_out, hops};
use crate::pipeline::{PerSplit, Split};
use crate::probe::linear::{self, Rows};
use crate::probe::pooled::Pooled;
use crate::probe::{confusion, knn};
use crate::schedule::Step;
use crate::train::took::Took;
use crate::{Error, Result, media};

pub(super) fn probe(run: &Run<'_>, index: usize) -> Result<()> {
    let meter = Meter::begin(run.standing.dir.store());
    let title = run.standing.plan.title(Step::Probe(index));
    run.session.progress.begin(&title, ROWS, 0, 0);
    let key = run.standing.plan.key(Step::Probe(index), Split::Test);
    let results = [judge(run, index, Origin::Trained)?, judge(run, index, Origin::Untrained)?];
    let summary = match results[0].accuracy {
        Some(accuracy) => format!("accuracy {:.1} %", 100.0 * accuracy),
        None => format!("held-out loss {:.3}; no labels to classify", results[0].loss),
    };
    let record = |_number: u64| record::Probe {
        key: key.hash.clone(),
        settings: key.settings.clone(),
        took: Took { peak_memory: None, ..meter.took() },
        results: results.to_vec(),
    };
    run.standing.dir.probes(run.standing.plan.module(index)).commit(record)?;
    run.session.progress.end(&summary);
    Ok(())
}

fn judge(run: &Run<'_>, index: usize, origin: Origin) -> Result<ProbeResult> {
    let encoded = PerSplit::try_from_fn(|split| encoded(&run.standing, index, origin, split))?;
    // Rows of the first view come first. More views would judge how much a probe has seen.
    let samples = run.standing.generation(Step::Ingest, Split::Train)?.rows();
    let rows = PerSplit { train: samples, test: encoded.test.rows() };
    let labels = PerSplit::try_from_fn(|split| known_labels(run, split))?;
    let means = PerSplit::try_from_fn(|split| means(&encoded[split], rows[split]))?;
    let first = judge_label(run, &means, &labels.train.first, &labels.test.first)?;
    let mut further = Vec::new();
    for ((label, train), (_, test)) in labels.train.further.iter().zip(&labels.test.further) {
        let found = judge_label(run, &means, train, test)?;
        let Classified { rows, accuracy, knn, .. } = found;
        further.push(Judged { label: label.clone(), rows, accuracy, knn });
    }
    if let Some(hops) = media::of(&run.pipeline.view).hops()
        && run.pipeline.data.source.has_frames()
    {
        further.push(hops::judge_hops(run, hops, encoded.as_ref(), rows)?);
    }
    let sizes = run.sizes(index)?;
    let held_out = held_out::held_out_loss(run, index, origin, sizes, &encoded.test)?;
    Ok(ProbeResult {
        module: run.standing.plan.module(index).to_string(),
        index,
        origin,
        probe: Classifier::Linear,
        split: Split::Test,
        rows: first.rows,
        accuracy: first.accuracy,
        knn: first.knn,
        confusion: first.confusion.filter(|_| origin == Origin::Trained),
        confused: first.confused.filter(|_| origin == Origin::Trained),
        further,
        loss: held_out.loss,
        chance_loss: run.pipeline.loss_of(index).of_a_guess(sizes),
    })
}

/// The dataset of a split that module `index` has written, trained or untrained.
fn encoded(standing: &Standing, index: usize, origin: Origin, split: Split) -> Result<Generation> {
    match origin {
        Origin::Trained => standing.generation(Step::Encode(standing.plan.last(index)), split),
        Origin::Untrained => {
            let found = standing.generations(Step::Untrained, split)?;
            let missing = || Error::failed("the untrained stack is not encoded");
            found.into_iter().nth(index).ok_or_else(missing)
        }
    }
}

/// Judges one label: probes are fitted on the training split and scored on the test split.
fn judge_label(
    run: &Run<'_>,
    means: &PerSplit<Means>,
    train: &[Option<i64>],
    test: &[Option<i64>],
) -> Result<Classified> {
    let (Some(train), Some(test)) = (means.train.labelled(train)?, means.test.labelled(test)?)
    else {
        return Ok(Classified::default());
    };
    let settings = &run.pipeline.probe;
    let counted = Counted::begin(run, "linear", STEPS, linear::steps(&train, settings), 1);
    let seed = run.pipeline.seed;
    let found = linear::predictions(&train, &test, settings, seed, || counted.next())?;
    let counts = confusion::matrix(&found, &test.labels);
    let pairs = || confusion::pairs(&found, &test.labels);
    let queries = test.labels.len() as u64;
    let neighbours = Counted::begin(run, "k-NN", ROWS, queries, knn::QUERIES as u64);
    Ok(Classified {
        rows: Some(test.labels.len() as u64),
        accuracy: Some(linear::share_found(&found, &test)),
        knn: Some(knn::accuracy(&train, &test, knn::NEIGHBOURS, || neighbours.next())?),
        confused: counts.is_none().then(|| confusion::most_confused(pairs(), confusion::PAIRS)),
        confusion: counts,
    })
}

/// A part of a probe that says, before each of its pieces, how far it has come.
pub(super) struct Counted<'r> {
    run: &'r Run<'r>,
    total: u64,
    /// Units per piece.
    each: u64,
    pieces: Cell<u64>,
}

impl<'r> Counted<'r> {
    /// Begins a part of `total` units in pieces of `each`.
    pub fn begin(run: &'r Run<'_>, name: &str, unit: Unit, total: u64, each: u64) -> Self {
        run.session.progress.part(name, unit, total);
        Self { run, total, each, pieces: Cell::new(0) }
    }

    /// The next piece begins.
    ///
    /// # Errors
    /// [`Kind::Interrupted`](crate::Kind::Interrupted) when a stop was asked for.
    pub fn next(&self) -> Result<()> {
        let done = self.pieces.replace(self.pieces.get() + 1) * self.each;
        self.run.session.progress.advance(done.min(self.total), "");
        self.run.session.stop.check("what was done is kept, except this probe, which begins again")
    }
}

/// The labels of the samples of a split.
fn known_labels(run: &Run<'_>, split: Split) -> Result<Labels> {
    labels_of(run.pipeline, &run.standing.generation(Step::Ingest, split)?)
}

/// The findings of probes for one label; empty where no row has it.
#[derive(Default)]
struct Classified {
    rows: Option<u64>,
    accuracy: Option<f64>,
    knn: Option<f64>,
    confusion: Option<Vec<Vec<u64>>>,
    confused: Option<Vec<(usize, usize, u64)>>,
}

/// The samples as the probe sees them: for each one the mean of its pooled vectors.
struct Means {
    channels: usize,
    vectors: Vec<f32>,
}

/// Reads the means of the first `rows` rows of a dataset.
fn means(generation: &Generation, rows: u64) -> Result<Means> {
    let pooled = Pooled::open(generation)?;
    Ok(Means { channels: pooled.channels(), vectors: pooled.means(rows)? })
}

impl Means {
    /// The rows that have a label; `None` when no row has one.
    fn labelled(&self, labels: &[Option<i64>]) -> Result<Option<Rows>> {
        Rows::labelled(&self.vectors, self.channels, labels)
    }
}
