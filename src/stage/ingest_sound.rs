//! `ingest` of sound: recordings at the rate of the view, silence behind those that are shorter than
//! others, and what is known of each.

use gimlet_store::{CompressionSetting, Generation, Rows, Schema, Spec, Values, Writer};
use serde_json::json;

use super::Run;
use super::account::{Account, Judged, which};
use super::extent::longest_of;
use super::hop_fit::HopFit;
use super::ingest::{Tally, committed, empty};
use super::ingest_summary::{IngestSummary, Level, Skipped, SoundSummary};
use super::labels::{further_labels, label_attributes, label_names};
use super::layout::{frames_column, rows_per_group, sound_column};
use super::meter::Meter;
use super::run_dir::INGEST;
use super::samples::recordings_at_once;
use crate::pipeline::{Normalise, OnBadSample, Short, SoundView, Split};
use crate::schedule::Step;
use crate::source::{NO_FRAME, Sample, Source};
use crate::train::recordings::SAMPLES;
use crate::{Error, Result};

impl Run<'_> {
    /// Ingests a split of recordings; `unfit` says which alignments do not fit it.
    pub(super) fn ingest_sound(
        &self,
        view: &SoundView,
        split: Split,
        source: &dyn Source,
        unfit: Vec<String>,
    ) -> Result<()> {
        let meter = Meter::begin(self.standing.dir.store());
        let order = self.ingest_order(split, source);
        let longest = longest_of(view, source, &order)?;
        let hops = longest.div_ceil(view.hop);
        let with_frames = self.has_frames();
        let labels = source.further_labels();
        let mut columns = vec![sound_column(longest)];
        columns.extend(with_frames.then(|| frames_column(hops)));
        let schema = Schema {
            columns,
            source: true,
            label_names: source.label_names().map(<[String]>::to_vec),
            attributes: [vec![SAMPLES.to_string()], label_attributes(source)].concat(),
        };
        let key = self.standing.plan.key(Step::Ingest, split);
        let mut writer = self.standing.dir.dataset(INGEST, split).begin(Spec {
            key: key.hash.clone(),
            settings: key.settings.clone(),
            // Bad samples are known when they are met.
            rows: None,
            rows_per_part: self.pipeline.store.rows_per_part,
            rows_per_group: rows_per_group(schema.row_bytes()),
            // Most recordings are shorter than the longest, and silence takes no room.
            compression: CompressionSetting::Auto,
            schema,
        })?;

        self.session.progress.begin(&format!("ingest {}", split.name()), order.len() as u64, 0);
        let whole_split =
            self.pipeline.data.on_bad_sample == OnBadSample::Fail && view.short == Short::Pad;
        let mut loudness = Loudness::default();
        let mut fit = HopFit::new(view);
        let tally = Tally::of(Account::of(source, self.pipeline.data.is_labelled()));
        let (mut skipped, mut padded, mut done) = (Vec::new(), 0u64, 0);
        for rows in order.chunks(recordings_at_once(longest)) {
            self.session.check_stop()?;
            let mut read = self.recordings(view, source, rows)?;
            for bad in read.skipped {
                tally.now().skipped.add(|| which(bad.id, &bad.source));
                skipped.push(Skipped::from(bad));
            }
            read.whole.iter().for_each(|(sample, values)| fit.add(sample, values.len()));
            fit.check_so_far()?;
            if view.short == Short::Skip {
                read.whole.retain(|(sample, values)| {
                    let short = values.len() < view.window;
                    if short {
                        let (id, source) = (sample.id, sample.source.clone());
                        let reason = format!("{} samples, fewer than a window", values.len());
                        tally.now().skipped.add(|| which(id, &source));
                        skipped.push(Skipped { id, source, reason });
                    }
                    !short
                });
            }
            let short = read.whole.iter().filter(|(_, values)| values.len() < view.window);
            padded += short.count() as u64;
            for (sample, _) in &read.whole {
                let constant = sample.remarks.silent;
                tally.now().add(sample, Judged { constant, clipped: false });
            }
            // The level is that of all, so that what was written before is read again, too.
            read.whole.iter().for_each(|(_, values)| loudness.add(values));
            let from = writer.position();
            if whole_split && !writer.wants(from..from + read.whole.len() as u64) {
                writer.skip(read.whole.len() as u64)?;
            } else {
                let frames = with_frames.then_some(hops);
                Chunk::of(&read.whole, longest, frames, labels.len())?.write(&mut writer)?;
            }
            done += rows.len() as u64;
            self.session.progress.advance(done, "");
        }
        if writer.position() == 0 {
            return Err(empty(split, order.len()));
        }
        fit.check()?;
        for (column, choice) in writer.compression() {
            self.session.progress.note(&format!("`{column}`: {choice}"));
        }
        self.check_unchanged(split, source)?;
        let count = skipped.len();
        let mut account = tally.close(&[], source);
        account.hops = unfit.into_iter().chain(fit.line()).collect();
        let level = Level {
            rate: view.rate,
            seconds: loudness.count as f64 / f64::from(view.rate),
            normalise: loudness.normalise(),
        };
        let frame_names = source.frame_names().map(<[String]>::to_vec);
        let summary = IngestSummary {
            took: meter.took_from_source(),
            skipped,
            labels: label_names(source),
            account,
            sound: Some(SoundSummary { padded, level, frame_names }),
        };
        let finished = writer.finish(|_| json!(summary))?;
        let mut summary = format!("{} recordings", committed(&finished)?.rows());
        if padded > 0 {
            summary += &format!(", {padded} shorter than a window, padded");
        }
        if count > 0 {
            summary += &format!(", {count} skipped");
        }
        self.session.progress.end(&summary);
        self.tell_account(&finished)
    }

    /// Whether the data have a label for every hop.
    pub(super) fn has_frames(&self) -> bool {
        self.pipeline.data.source.has_frames()
    }

    /// How windows are normalised: as the pipeline says, else as the training split has them.
    ///
    /// # Errors
    /// When that has not been ingested.
    pub(super) fn normalise(&self, view: &SoundView) -> Result<Normalise> {
        match view.normalise {
            Some(normalise) => Ok(normalise),
            None => normalise_of(view, &self.standing.generation(Step::Ingest, Split::Train)?),
        }
    }
}

/// How recordings are normalised: as the view says, or by what was ingested of the training split.
///
/// # Errors
/// When neither says it.
pub fn normalise_of(view: &SoundView, ingested: &Generation) -> Result<Normalise> {
    if let Some(normalise) = view.normalise {
        return Ok(normalise);
    }
    let sound = IngestSummary::of(ingested)?.and_then(|it| it.sound);
    sound.map(|it| it.level.normalise).ok_or_else(|| {
        Error::failed(format!("`{}` does not say how loud it is", ingested.dir()))
            .hint("set `view.normalise`, or ingest into another run with `--run-dir DIR`")
    })
}

/// Mean and standard deviation of all samples.
#[derive(Default)]
struct Loudness {
    count: u64,
    sum: f64,
    squares: f64,
}

impl Loudness {
    fn add(&mut self, values: &[f32]) {
        self.count += values.len() as u64;
        self.sum += values.iter().map(|it| f64::from(*it)).sum::<f64>();
        self.squares += values.iter().map(|it| f64::from(*it).powi(2)).sum::<f64>();
    }

    fn normalise(&self) -> Normalise {
        let count = self.count.max(1) as f64;
        let mean = self.sum / count;
        let std = (self.squares / count - mean * mean).max(0.0).sqrt();
        // Silence stays silence.
        Normalise { mean: mean as f32, std: if std > 0.0 { std as f32 } else { 1.0 } }
    }
}

/// Rows as they are written.
struct Chunk {
    ids: Vec<i64>,
    labels: Vec<Option<i64>>,
    sources: Vec<String>,
    attributes: Vec<Vec<i64>>,
    sound: Vec<f32>,
    frames: Option<Vec<u8>>,
}

impl Chunk {
    /// Recordings, of which the longest has so many samples; with `hops` frame labels, if they have them,
    /// and so many further labels.
    fn of(
        read: &[(Sample, Vec<f32>)],
        longest: usize,
        hops: Option<usize>,
        further: usize,
    ) -> Result<Self> {
        let mut sound = Vec::with_capacity(read.len() * longest);
        let mut frames = hops.map(|_| Vec::new());
        for (sample, values) in read {
            if values.len() > longest {
                let message = format!("`{}` is longer than its header says", sample.source);
                return Err(Error::failed(message).hint("mend or remove the file"));
            }
            sound.extend_from_slice(values);
            sound.resize(sound.len() + longest - values.len(), 0.0);
            if let (Some(hops), Some(frames)) = (hops, &mut frames) {
                let own = sample.frames.as_deref().unwrap_or_default();
                let own = own.iter().copied().chain(std::iter::repeat(NO_FRAME));
                frames.extend(own.take(hops));
            }
        }
        let samples = read.iter().map(|(_, values)| values.len() as i64).collect();
        Ok(Self {
            ids: read.iter().map(|(sample, _)| sample.id).collect(),
            labels: read.iter().map(|(sample, _)| sample.label).collect(),
            sources: read.iter().map(|(sample, _)| sample.source.clone()).collect(),
            attributes: [vec![samples], further_labels(read, further)].concat(),
            sound,
            frames,
        })
    }

    fn write(&self, writer: &mut Writer) -> Result<()> {
        let attributes: Vec<&[i64]> = self.attributes.iter().map(Vec::as_slice).collect();
        let frames = self.frames.as_deref().map(Values::U8);
        let tensors: Vec<_> = std::iter::once(Values::F32(&self.sound)).chain(frames).collect();
        Ok(writer.write(&Rows {
            ids: &self.ids,
            labels: &self.labels,
            sources: Some(&self.sources),
            attributes: &attributes,
            tensors: &tensors,
        })?)
    }
}
