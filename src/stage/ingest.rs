//! `ingest`: writes the samples of the source, decoded, in one random order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gimlet_store::gc::Shelf;
use gimlet_store::{Finished, Generation, Rows, Schema, Spec, Writer};
use serde_json::{Value, json};

use super::account::{Account, which};
use super::ingest_summary::{IngestSummary, Skipped};
use super::labels::{further_labels, label_attributes, label_names};
use super::layout::rows_per_group;
use super::meter::Meter;
use super::progress::Unit;
use super::provenance::Ingested;
use super::run_dir::INGEST;
use super::samples::Samples;
use super::{Run, Standing, encode, memory, samples};
use crate::media::{self, Ingest};
use crate::pipeline::{OnBadSample, PerSplit, Pipeline, Split};
use crate::random::generator;
use crate::schedule::Step;
use crate::source::{self, Sample, Source};
use crate::train::took::Took;
use crate::{Error, Kind, Result};

pub(super) fn ingest(run: &Run<'_>) -> Result<()> {
    let (data, seed) = (&run.pipeline.data, run.pipeline.seed);
    let provenance = run.standing.plan.provenance();
    if let Some(why) = &provenance.stands_in {
        // The data that stand in for the source were whole when they were chosen, and are damaged now.
        let hint = "bring the data back, so that they can be read again";
        return Err(Error::new(Kind::NotReady, why.clone()).hint(hint));
    }
    let splits = source::open_splits(data, seed)?;
    splits.warnings.iter().for_each(|it| run.session.progress.warn(it));
    let unfit = splits.check_alignments()?;
    let keys = PerSplit::from_fn(|split| run.standing.plan.key(Step::Ingest, split));
    Ingested::new(run.pipeline, provenance, keys).keep(&run.standing.dir)?;
    for (split, source) in splits.sources {
        if run.standing.is_split_done(Step::Ingest, split)? {
            continue;
        }
        memory::reset_peak();
        let done = ingest_split(run, split, source.as_ref(), unfit.lines(split));
        if let Err(error) = done {
            check_unchanged(&run.standing, split, source.as_ref()).inspect_err(|_| {
                // The parts may hold rows of content that does not match their key.
                let shelf = Shelf::of(&run.standing.dir.dataset(INGEST, split));
                let key = run.standing.plan.key(Step::Ingest, split).hash.clone();
                if let Err(error) = shelf.remove_keys(&[key].into()) {
                    run.session.progress.warn(&format!("{error}; `gimlet gc` removes it"));
                }
            })?;
            return Err(error);
        }
    }
    Ok(())
}

/// Fails when a file of the source has changed since it was hashed: its rows may mix old and new content.
fn check_unchanged(standing: &Standing, split: Split, source: &dyn Source) -> Result<()> {
    standing.plan.provenance().identities[split].check(&source.content())
}

/// The rows of a source that are taken, in the order in which they are stored. The order is random, so that
/// reading the dataset in sequence is random too.
fn ingest_order(pipeline: &Pipeline, split: Split, source: &dyn Source) -> Vec<usize> {
    let purpose = format!("ingest/{}", split.name());
    let order = generator(pipeline.seed, &purpose, &[]).permutation(source.rows());
    let most = pipeline.data.subset_of(split).unwrap_or(usize::MAX);
    order.into_iter().take(most).map(|row| row as usize).collect()
}

/// Ingests a split; `unfit` lists the alignments that do not fit it.
fn ingest_split(
    run: &Run<'_>,
    split: Split,
    source: &dyn Source,
    unfit: Vec<String>,
) -> Result<()> {
    let meter = Meter::begin(run.standing.dir.store());
    let data = &run.pipeline.data;
    let order = ingest_order(run.pipeline, split, source);
    let handler = media::of(&run.pipeline.view);
    let mut ingest = handler.ingest(source, &order, data.source.has_frames())?;
    // If no sample is left out, the part of each sample is known. Existing parts are then passed over, and the
    // account of every new part is noted next to it.
    let by_part = data.on_bad_sample == OnBadSample::Fail && !ingest.sees_all();
    let tally = Tally::of(Account::of(source, data.is_labelled()));
    let mut writer = begin_writer(run, split, source, ingest.as_ref(), by_part.then_some(&tally))?;
    let samples = Unit::Of("samples");
    let title = format!("ingest {}", split.name());
    run.session.progress.begin(&title, samples, order.len() as u64, 0);
    let mut skipped = Vec::new();
    let mut left = order.as_slice();
    while !left.is_empty() {
        run.session.stop.check(match by_part {
            true => "what was done is kept: of this split, the parts that are whole",
            false => "what was done is kept, except this split, which begins again",
        })?;
        let mut count = ingest.at_once().min(left.len());
        if by_part {
            // No chunk lies in two parts, so that the note of a part covers only its own rows.
            let (per_part, done) = (run.pipeline.store.rows_per_part, order.len() - left.len());
            count = count.min(per_part - done % per_part);
        }
        let (rows, after) = left.split_at(count);
        left = after;
        if let Some(open) = writer.as_mut().filter(|_| by_part) {
            let from = open.position();
            if !open.wants(from..from + rows.len() as u64) {
                open.skip(rows.len() as u64)?;
                continue;
            }
        }
        let mut skip = |it: Skipped| {
            tally.now().skipped.add(|| which(it.id, &it.source));
            skipped.push(it);
        };
        let Samples { whole, skipped: bad } = samples::read(run, source, rows, ingest.size())?;
        bad.into_iter().for_each(|it| skip(it.into()));
        let (samples, left_out) = ingest.look(whole)?;
        for (Sample { id, source, .. }, reason) in left_out {
            skip(Skipped { id, source, reason });
        }
        if writer.is_none() {
            writer = begin_writer(run, split, source, ingest.as_ref(), by_part.then_some(&tally))?;
        }
        let Some(writer) = writer.as_mut().filter(|_| !samples.is_empty()) else { continue };
        let from = writer.position();
        if !by_part || writer.wants(from..from + samples.len() as u64) {
            samples.iter().for_each(|sample| tally.now().add(sample));
        }
        ingest.values(&samples, &mut |mut attributes, tensors| {
            attributes.extend(further_labels(&samples, source.further_labels().len()));
            let attributes: Vec<&[i64]> = attributes.iter().map(Vec::as_slice).collect();
            Ok(writer.write(&Rows {
                ids: &samples.iter().map(|it| it.id).collect::<Vec<i64>>(),
                labels: &samples.iter().map(|it| it.label).collect::<Vec<Option<i64>>>(),
                sources: Some(&samples.iter().map(|it| it.source.clone()).collect::<Vec<String>>()),
                attributes: &attributes,
                tensors,
            })?)
        })?;
        run.session.progress.advance((order.len() - left.len()) as u64, "");
    }
    let Some(writer) = writer.filter(|it| it.position() > 0) else {
        return Err(empty(split, order.len()));
    };
    ingest.check()?;
    encode::tell_compression(run, writer.compression());
    check_unchanged(&run.standing, split, source)?;
    // It reads no datasets.
    let took = Took { read_bytes: None, ..meter.took() };
    let labels = label_names(source);
    let left_out = skipped.len();
    let finished = writer.finish(|parts| {
        let mut account = tally.close(parts, source);
        account.hops = unfit.into_iter().chain(ingest.account()).collect();
        json!(IngestSummary { took, skipped, labels, account, sound: ingest.summary() })
    })?;
    let (rows, noun) = (committed(&finished)?.rows(), run.pipeline.view.settings().noun());
    let mut summary = format!("{rows} {noun}s{}", ingest.told());
    if left_out > 0 {
        summary += &format!(", {left_out} skipped");
    }
    run.session.progress.end(&summary);
    tell_account(run, &finished)
}

/// Begins the writer of a split; `None` until its columns are known. `tally` is noted part by part.
fn begin_writer(
    run: &Run<'_>,
    split: Split,
    source: &dyn Source,
    ingest: &dyn Ingest,
    tally: Option<&Tally>,
) -> Result<Option<Writer>> {
    let Some(columns) = ingest.columns() else { return Ok(None) };
    let attributes = ingest.attributes().iter().map(|it| it.to_string());
    let schema = Schema {
        columns,
        source: true,
        label_names: source.label_names().map(<[String]>::to_vec),
        attributes: attributes.chain(label_attributes(source)).collect(),
    };
    let key = run.standing.plan.key(Step::Ingest, split);
    let writer = run.standing.dir.dataset(INGEST, split).begin(Spec {
        key: key.hash.clone(),
        settings: key.settings.clone(),
        // Bad samples are found only while reading.
        rows: None,
        rows_per_part: run.pipeline.store.rows_per_part,
        rows_per_group: rows_per_group(schema.row_bytes()),
        compression: ingest.compression(),
        schema,
    })?;
    Ok(Some(match tally.cloned() {
        Some(tally) => writer.noting(move || tally.lap()),
        // All rows are read again, whichever parts exist.
        None => writer,
    }))
}

/// Reports what an ingest found, and warns of what may be wrong.
fn tell_account(run: &Run<'_>, finished: &Finished) -> Result<()> {
    let noun = run.pipeline.view.settings().noun();
    let Some(IngestSummary { account, .. }) = IngestSummary::of(committed(finished)?)? else {
        return Ok(());
    };
    account.lines(noun).iter().for_each(|it| run.session.progress.note(&format!("{:22} {it}", "")));
    account.warnings(noun).iter().for_each(|it| run.session.progress.warn(it));
    Ok(())
}

/// Returns the generation that an ingest has committed; an ingest has no other shards to wait for.
fn committed(finished: &Finished) -> Result<&Generation> {
    match finished {
        Finished::Committed(generation) => Ok(generation),
        Finished::Waiting { .. } => Err(Error::failed("parts of the ingest are missing")),
    }
}

/// The account of a running ingest in pieces: one note per part, and the rest.
#[derive(Clone)]
struct Tally {
    /// The account of the source before any sample is read.
    source: Account,
    now: Arc<Mutex<Account>>,
}

impl Tally {
    fn of(source: Account) -> Self {
        Self { source, now: Arc::default() }
    }

    /// The account since the last part was complete.
    fn now(&self) -> MutexGuard<'_, Account> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.labelled = self.source.labelled;
        now
    }

    /// Returns the account of the current piece, and begins the next one.
    fn lap(&self) -> Value {
        json!(std::mem::take(&mut *self.now()))
    }

    /// Returns the whole account, including the notes of all parts.
    fn close(&self, parts: &[Value], source: &dyn Source) -> Account {
        let mut all = self.source.clone();
        for part in parts.iter().filter(|it| !it.is_null()) {
            all.and(serde_json::from_value(part.clone()).unwrap_or_default());
        }
        all.and(std::mem::take(&mut *self.now()));
        all.close(source.label_names());
        all
    }
}

/// The error for a split without a sample.
fn empty(split: Split, rows: usize) -> Error {
    let split = split.name();
    Error::failed(format!("the {split} split is empty: none of its {rows} samples could be read"))
}
