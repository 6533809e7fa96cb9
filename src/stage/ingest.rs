//! `ingest`: the source's samples, decoded, in one random order; of images here, of sound in
//! `ingest_sound.rs`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gimlet_store::gc::Shelf;
use gimlet_store::{
    Compression, CompressionSetting, Finished, Generation, Rows, Schema, Spec, Values, Writer,
};
use serde_json::{Value, json};

use super::account::{Account, Judged, which};
use super::ingest_summary::{IngestSummary, Skipped};
use super::labels::{further_labels, label_attributes, label_names};
use super::layout::{image_column, rows_per_group};
use super::meter::Meter;
use super::provenance::Ingested;
use super::run_dir::INGEST;
use super::samples::{Samples, check_size, rows_at_once};
use super::{Run, memory};
use crate::pipeline::{ImageView, OnBadSample, PerSplit, SampleSize, Split, View};
use crate::random::generator;
use crate::schedule::Step;
use crate::source::{self, Sample, Source};
use crate::view::Pixels;
use crate::{Error, Kind, Result};

impl Run<'_> {
    pub(super) fn ingest(&self) -> Result<()> {
        let (data, seed) = (&self.pipeline.data, self.pipeline.seed);
        let provenance = self.standing.plan.provenance();
        if let Some(why) = &provenance.stands_in {
            // What stands for the source was whole when it was chosen, and is damaged since.
            let hint = "bring the data back, so that they can be read again";
            return Err(Error::new(Kind::NotReady, why.clone()).hint(hint));
        }
        let source::Splits { train, test, warnings, .. } = source::open_splits(data, seed)?;
        warnings.iter().for_each(|it| self.session.progress.warn(it));
        let unfit = source::check_alignments(train.as_ref(), test.as_ref())?;
        let keys = PerSplit::from_fn(|split| self.standing.plan.key(Step::Ingest, split));
        Ingested::new(self.pipeline, provenance, keys).keep(&self.standing.dir)?;
        for (split, source) in (PerSplit { train, test }) {
            if self.standing.is_split_done(Step::Ingest, split)? {
                continue;
            }
            memory::reset_peak();
            let done = match &self.pipeline.view {
                View::Images(view) => self.ingest_images(view, split, source.as_ref()),
                View::Sound(view) => {
                    self.ingest_sound(view, split, source.as_ref(), unfit.lines(split))
                }
            };
            if let Err(error) = done {
                self.check_unchanged(split, source.as_ref()).inspect_err(|_| {
                    // Its parts may hold rows of another content than their key says.
                    let shelf = Shelf::of(&self.standing.dir.dataset(INGEST, split));
                    let key = self.standing.plan.key(Step::Ingest, split).hash.clone();
                    if let Err(error) = shelf.remove_keys(&[key].into()) {
                        self.session.progress.warn(&format!("{error}; `gimlet gc` removes it"));
                    }
                })?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Fails when a file of the source is not what it was when it was hashed: its rows may be of neither content.
    pub(super) fn check_unchanged(&self, split: Split, source: &dyn Source) -> Result<()> {
        self.standing.plan.provenance().identities[split].check(&source.content())
    }

    /// The rows of a source that are taken, in the order that they are stored in: a random one, so that
    /// reading them in sequence is random too.
    pub(super) fn ingest_order(&self, split: Split, source: &dyn Source) -> Vec<usize> {
        let purpose = format!("ingest/{}", split.name());
        let order = generator(self.pipeline.seed, &purpose, &[]).permutation(source.rows());
        let most = self.pipeline.data.subset_of(split).unwrap_or(usize::MAX);
        order.into_iter().take(most).map(|row| row as usize).collect()
    }

    fn ingest_images(&self, view: &ImageView, split: Split, source: &dyn Source) -> Result<()> {
        let meter = Meter::begin(self.standing.dir.store());
        let data = &self.pipeline.data;
        let order = self.ingest_order(split, source);

        let title = format!("ingest {}", split.name());
        self.session.progress.begin(&title, order.len() as u64, 0);
        let mut writer = None;
        let mut size = None;
        let mut skipped = Vec::new();
        let tally = Tally::of(Account::of(source, self.pipeline.data.is_labelled()));
        let mut left = order.as_slice();
        // One row alone, to see how large images are.
        let mut at_once = 1;
        while !left.is_empty() {
            self.session.check_stop()?;
            let mut count = at_once.min(left.len());
            if data.on_bad_sample == OnBadSample::Fail {
                // No chunk lies in two parts, so that what is noted of a part is of its rows alone.
                let (per_part, done) =
                    (self.pipeline.store.rows_per_part, order.len() - left.len());
                count = count.min(per_part - done % per_part);
            }
            let (rows, after) = left.split_at(count);
            left = after;
            if let (Some(open), OnBadSample::Fail) = (&mut writer, data.on_bad_sample) {
                // No sample is left out, so it is known which rows these would be.
                let open: &mut Writer = open;
                let from = open.position();
                if !open.wants(from..from + rows.len() as u64) {
                    open.skip(rows.len() as u64)?;
                    continue;
                }
            }
            let Samples { whole: samples, skipped: bad } = self.images(view, source, rows, size)?;
            for bad in bad {
                tally.now().skipped.add(|| which(bad.id, &bad.source));
                skipped.push(Skipped::from(bad));
            }
            at_once = samples.first().map_or(at_once, |(_, pixels)| rows_at_once(pixels));
            let Some((_, first)) = samples.first() else { continue };
            let size = size.get_or_insert(first.size());
            let writer = match &mut writer {
                Some(open) => open,
                None => {
                    let schema = Schema {
                        columns: vec![image_column(*size, first.channels)],
                        source: true,
                        label_names: source.label_names().map(<[String]>::to_vec),
                        attributes: label_attributes(source),
                    };
                    let key = self.standing.plan.key(Step::Ingest, split);
                    let open = self.standing.dir.dataset(INGEST, split).begin(Spec {
                        key: key.hash.clone(),
                        settings: key.settings.clone(),
                        // Bad samples are known when they are met.
                        rows: None,
                        rows_per_part: self.pipeline.store.rows_per_part,
                        rows_per_group: rows_per_group(schema.row_bytes()),
                        // Images are read a few at a time, in every step of the first module.
                        compression: CompressionSetting::Fixed(Compression::None),
                        schema,
                    })?;
                    writer.insert(match data.on_bad_sample {
                        OnBadSample::Fail => {
                            let tally = tally.clone();
                            open.noting(move || tally.lap())
                        }
                        // All rows are read again, whatever is there.
                        OnBadSample::Skip => open,
                    })
                }
            };
            let from = writer.position();
            let is_told = data.on_bad_sample == OnBadSample::Fail
                && !writer.wants(from..from + samples.len() as u64);
            for (sample, pixels) in samples.iter().filter(|_| !is_told) {
                tally.now().add(sample, Judged { constant: pixels.is_constant(), clipped: false });
            }
            self.write_images(writer, *size, &samples, source.further_labels().len())?;
            self.session.progress.advance((order.len() - left.len()) as u64, "");
        }
        let Some(writer) = writer else { return Err(empty(split, order.len())) };
        self.check_unchanged(split, source)?;
        let took = meter.took_from_source();
        let count = skipped.len();
        let labels = label_names(source);
        let finished = writer.finish(|parts| {
            let account = tally.close(parts, source);
            json!(IngestSummary { took, skipped, labels, account, sound: None })
        })?;
        let mut summary = format!("{} images", committed(&finished)?.rows());
        if count > 0 {
            summary += &format!(", {count} skipped");
        }
        self.session.progress.end(&summary);
        self.tell_account(&finished)
    }

    /// Tells what an ingest has found, and warns of what may be wrong.
    pub(super) fn tell_account(&self, finished: &Finished) -> Result<()> {
        let noun = self.pipeline.view.noun();
        let Some(IngestSummary { account, .. }) = IngestSummary::of(committed(finished)?)? else {
            return Ok(());
        };
        account
            .lines(noun)
            .iter()
            .for_each(|it| self.session.progress.note(&format!("{:22} {it}", "")));
        account.warnings(noun).iter().for_each(|it| self.session.progress.warn(it));
        Ok(())
    }

    fn write_images(
        &self,
        writer: &mut Writer,
        size: SampleSize,
        samples: &[(Sample, Pixels)],
        further: usize,
    ) -> Result<()> {
        let mut values = Vec::new();
        for (sample, pixels) in samples {
            check_size(sample, pixels.size(), size)?;
            values.extend_from_slice(&pixels.values);
        }
        let ids: Vec<i64> = samples.iter().map(|(sample, _)| sample.id).collect();
        let labels: Vec<Option<i64>> = samples.iter().map(|(sample, _)| sample.label).collect();
        let sources: Vec<String> = samples.iter().map(|(it, _)| it.source.clone()).collect();
        let further = further_labels(samples, further);
        let attributes: Vec<&[i64]> = further.iter().map(Vec::as_slice).collect();
        Ok(writer.write(&Rows {
            ids: &ids,
            labels: &labels,
            sources: Some(&sources),
            attributes: &attributes,
            tensors: &[Values::U8(&values)],
        })?)
    }
}

/// The generation that an ingest has committed, all of whose parts are this process's.
pub(super) fn committed(finished: &Finished) -> Result<&Generation> {
    match finished {
        Finished::Committed(generation) => Ok(generation),
        Finished::Waiting { .. } => Err(Error::failed("parts of the ingest are missing")),
    }
}

/// The account of an ingest at work, in pieces: of each part what is noted beside it, and the rest.
#[derive(Clone)]
pub(super) struct Tally {
    /// Of the source, before any sample.
    source: Account,
    now: Arc<Mutex<Account>>,
}

impl Tally {
    pub(super) fn of(source: Account) -> Self {
        Self { source, now: Arc::default() }
    }

    /// What was found since the last part was complete.
    pub(super) fn now(&self) -> MutexGuard<'_, Account> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.labelled = self.source.labelled;
        now
    }

    /// Begins the next piece, and gives the one before.
    fn lap(&self) -> Value {
        json!(std::mem::take(&mut *self.now()))
    }

    /// The whole account, with what was noted of parts.
    pub(super) fn close(&self, parts: &[Value], source: &dyn Source) -> Account {
        let mut all = self.source.clone();
        for part in parts.iter().filter(|it| !it.is_null()) {
            all.and(serde_json::from_value(part.clone()).unwrap_or_default());
        }
        all.and(std::mem::take(&mut *self.now()));
        all.close(source.label_names());
        all
    }
}

/// The error of a split without a sample.
pub(super) fn empty(split: Split, rows: usize) -> Error {
    let split = split.name();
    Error::failed(format!("the {split} split is empty: none of its {rows} samples could be read"))
}
