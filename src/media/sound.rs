//! Handles recordings. At ingest they are brought to the rate of the view, and shorter ones are filled up with silence.
//! A window is cut out whenever they are read.

use gimlet_store::{Column, CompressionSetting, DType, Generation, Values};
use serde_json::{Value, json};

use super::hop_fit::HopFit;
use super::{
    Handler, Hops, Ingest, Ingested, Level, SoundSummary, column, normalise_of, rows_at_once,
};
use crate::pipeline::settings::Source as SourceSettings;
use crate::pipeline::{Normalise, Pipeline, SampleSize, Short, SoundView, Split, json_of};
use crate::source::{self, Media, NO_FRAME, Remarks, Sample, Source, Waveform};
use crate::train::input::Input;
use crate::train::recordings::{FRAMES, Recordings, SAMPLES, SOUND};
use crate::view::{self, Verdict};
use crate::{Error, Result};

/// The most samples of a recording: over an hour at 16 kHz.
const MOST_SAMPLES: u64 = 1 << 26;

impl Handler for SoundView {
    fn ingest_key(&self, source: &SourceSettings) -> Value {
        let Self { rate, clip, window, hop, short, normalise: _, views: _ } = self;
        json!({
            "rate": rate, "clip": clip,
            // The window matters if shorter recordings are left out.
            "window": (*short == Short::Skip).then_some(window),
            // The hop matters if the data has a label for every hop.
            "hop": source.has_frames().then_some(hop),
        })
    }

    fn framing_key(&self) -> Result<Value> {
        // The other settings are in the key of `ingest`; `views`, the number of frozen views, is in that of `encode`.
        let Self { rate: _, clip: _, window, hop, short: _, normalise, views: _ } = self;
        Ok(json!({ "window": window, "hop": hop, "normalise": json_of(normalise)? }))
    }

    fn is_normalised_by_training(&self) -> bool {
        self.normalise.is_none()
    }

    fn column(&self) -> &'static str {
        SOUND
    }

    fn sample_column(&self, size: SampleSize) -> Column {
        column(SOUND, DType::F32, vec![size.width], &["sample"])
    }

    fn size_of_column(&self, shape: &[usize]) -> Option<SampleSize> {
        match shape {
            [samples] => Some(SampleSize::of_sound(*samples)),
            _ => None,
        }
    }

    fn size(&self, pipeline: &Pipeline, ingested: Option<&Generation>) -> Result<SampleSize> {
        let column = ingested.and_then(|it| it.manifest().schema.columns.first());
        match column.and_then(|it| self.size_of_column(&it.shape)) {
            Some(size) => Ok(size),
            None => longest_in(self, pipeline, Split::Train).map(SampleSize::of_sound),
        }
    }

    fn check_split(&self, pipeline: &Pipeline, split: Split) -> Result<()> {
        match self.short {
            Short::Pad => Ok(()),
            Short::Skip => longest_in(self, pipeline, split).map(|_| ()),
        }
    }

    fn ingested(&self, mut sample: Sample, _size: Option<SampleSize>) -> Result<Sample> {
        let waveform = sample.media.sound()?;
        let clipped = waveform.clipped;
        let Verdict { silent, clipped: too_loud } = view::judge(&waveform.samples);
        let mut samples = view::resample(waveform, self.rate)?;
        samples.truncate(self.clip.unwrap_or(usize::MAX));
        sample.media = Media::Sound(Waveform { rate: self.rate, samples, clipped });
        let clipped = clipped > 0 || too_loud;
        sample.remarks = Remarks { clipped, constant: silent, ..sample.remarks };
        Ok(sample)
    }

    fn ingest<'a>(
        &'a self,
        source: &'a dyn Source,
        rows: &[usize],
        has_hops: bool,
    ) -> Result<Box<dyn Ingest + 'a>> {
        let longest = longest_of(self, source, rows)?;
        Ok(Box::new(SoundIngest {
            view: self,
            frame_names: source.frame_names(),
            longest,
            hops: has_hops.then(|| longest.div_ceil(self.hop)),
            loudness: Loudness::default(),
            fit: HopFit::new(self),
            padded: 0,
        }))
    }

    fn input(&self, ingested: &Ingested<'_>) -> Result<Box<dyn Input>> {
        let Ingested { samples, training, source: _, split, seed, views_before } = *ingested;
        let seen = Recordings::new(samples, self, normalise(self, training)?, split, seed)?;
        Ok(Box::new(seen.views_after(views_before)))
    }

    fn evaluated(
        &self,
        sample: &Sample,
        training: Option<&Generation>,
    ) -> Result<Option<Vec<f32>>> {
        let values = &sample.media.sound()?.samples;
        if self.short == Short::Skip && values.len() < self.window {
            return Ok(None);
        }
        let start = view::window_start(self, values.len(), None);
        let mut window = vec![0.0; self.window];
        view::window(values, start, normalise(self, training)?, &mut window);
        Ok(Some(window))
    }

    fn seen_size(&self, _sample: &Sample) -> Result<SampleSize> {
        Ok(SampleSize::of_sound(self.window))
    }

    fn has_text(&self) -> bool {
        true
    }

    fn hops(&self) -> Option<Hops> {
        Some(Hops { hop: self.hop, frames: self.frames() })
    }
}

/// How windows are normalised: by the settings of the view, else by the ingested training split.
fn normalise(view: &SoundView, training: Option<&Generation>) -> Result<Normalise> {
    match (view.normalise, training) {
        (Some(normalise), _) => Ok(normalise),
        (None, Some(training)) => normalise_of(training),
        (None, None) => Err(Error::failed("nothing says how loud recordings are")),
    }
}

/// Samples of the longest recording of a split, at the rate of the view; only those that are kept count.
fn longest_in(view: &SoundView, pipeline: &Pipeline, split: Split) -> Result<usize> {
    let source = source::open(&pipeline.data, split, pipeline.seed)?;
    let rows: Vec<usize> = (0..source.rows()).collect();
    longest_of(view, source.as_ref(), &rows)
}

/// Samples of the longest of these recordings, at the rate of the view, and at least a window. Only samples that are
/// kept count.
///
/// # Errors
/// When the source cannot be read, a recording is too long for a row of a dataset, or all recordings are shorter than a
/// window and the view leaves such recordings out.
fn longest_of(view: &SoundView, source: &dyn Source, rows: &[usize]) -> Result<usize> {
    let mut longest = view.window;
    let mut most = 0;
    for (row, length) in rows.iter().zip(source.lengths(rows)?) {
        // A recording that cannot be read is reported when it is decoded.
        let Some(length) = length else {
            most = u64::MAX;
            continue;
        };
        let samples = view::resampled_len(length.samples, length.rate, view.rate);
        let samples = samples.min(view.clip.map_or(u64::MAX, |clip| clip as u64));
        if samples > MOST_SAMPLES {
            let message = format!(
                "recording {row} has {samples} samples at {} Hz, at most {MOST_SAMPLES} are kept",
                view.rate
            );
            return Err(Error::failed(message).hint("set `view.clip`, or cut it up"));
        }
        longest = longest.max(samples as usize);
        most = most.max(samples);
    }
    if view.short == Short::Skip && most < view.window as u64 {
        let (count, window, rate) = (rows.len(), view.window, view.rate);
        let message = format!(
            "none of {count} recordings is as long as a window (`view.window`, {window} samples): the longest has \
             {most} at {rate} Hz, and `view.short = \"skip\"` leaves out all that are shorter"
        );
        return Err(Error::failed(message)
            .hint(format!("set `view.window` to {most} or less, or `view.short = \"pad\"`")));
    }
    Ok(longest)
}

struct SoundIngest<'a> {
    view: &'a SoundView,
    frame_names: Option<&'a [String]>,
    /// Samples of the longest recording.
    longest: usize,
    /// Hops of the longest recording, if hops have labels.
    hops: Option<usize>,
    loudness: Loudness,
    fit: HopFit<'a>,
    /// The number of recordings that are shorter than a window.
    padded: u64,
}

impl Ingest for SoundIngest<'_> {
    fn columns(&self) -> Option<Vec<Column>> {
        let mut columns = vec![self.view.sample_column(SampleSize::of_sound(self.longest))];
        columns.extend(self.hops.map(|hops| column(FRAMES, DType::U8, vec![hops], &["hop"])));
        Some(columns)
    }

    fn attributes(&self) -> &'static [&'static str] {
        &[SAMPLES]
    }

    fn compression(&self) -> CompressionSetting {
        // Most recordings are shorter than the longest, and the silence after them compresses to almost nothing.
        CompressionSetting::Auto
    }

    fn at_once(&self) -> usize {
        rows_at_once(size_of::<f32>() * self.longest)
    }

    fn sees_all(&self) -> bool {
        // The level is computed from all samples.
        true
    }

    fn look(&mut self, samples: Vec<Sample>) -> Result<(Vec<Sample>, Vec<(Sample, String)>)> {
        let (mut kept, mut left_out) = (Vec::with_capacity(samples.len()), Vec::new());
        for sample in samples {
            let values = &sample.media.sound()?.samples;
            self.fit.add(&sample, values.len());
            let is_short = values.len() < self.view.window;
            if is_short && self.view.short == Short::Skip {
                let why = format!("{} samples, fewer than a window", values.len());
                left_out.push((sample, why));
                continue;
            }
            self.padded += u64::from(is_short);
            self.loudness.add(values);
            kept.push(sample);
        }
        self.fit.check_so_far()?;
        Ok((kept, left_out))
    }

    fn values(&self, samples: &[Sample], write: &mut super::Chunk<'_>) -> Result<()> {
        let mut sound = Vec::with_capacity(samples.len() * self.longest);
        let mut frames = Vec::new();
        let mut own = Vec::with_capacity(samples.len());
        for sample in samples {
            let values = &sample.media.sound()?.samples;
            if values.len() > self.longest {
                let message = format!("`{}` is longer than its header says", sample.source);
                return Err(Error::failed(message).hint("mend or remove the file"));
            }
            own.push(values.len() as i64);
            sound.extend_from_slice(values);
            sound.resize(sound.len() + self.longest - values.len(), 0.0);
            let labels = sample.frames.iter().flatten().copied();
            frames.extend(labels.chain(std::iter::repeat(NO_FRAME)).take(self.hops.unwrap_or(0)));
        }
        let frames = self.hops.map(|_| Values::U8(&frames));
        let tensors: Vec<_> = std::iter::once(Values::F32(&sound)).chain(frames).collect();
        write(vec![own], &tensors)
    }

    fn check(&self) -> Result<()> {
        self.fit.check()
    }

    fn summary(&self) -> Option<SoundSummary> {
        let rate = self.view.rate;
        let seconds = self.loudness.count as f64 / f64::from(rate);
        let level = Level { rate, seconds, normalise: self.loudness.normalise() };
        let frame_names = self.frame_names.map(<[String]>::to_vec);
        Some(SoundSummary { padded: self.padded, level, frame_names })
    }

    fn account(&self) -> Option<String> {
        self.fit.line()
    }

    fn told(&self) -> String {
        match self.padded {
            0 => String::new(),
            padded => format!(", {padded} shorter than a window, padded"),
        }
    }
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
