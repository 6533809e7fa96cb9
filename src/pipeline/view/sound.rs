//! A view of sound: a window of a recording.

use std::ops::RangeInclusive;

use toml::Spanned;

use super::super::bounds::{optional_whole, whole};
use super::super::misfit::Misfit;
use super::super::origin::Fault;
use super::super::pooling::Pooling;
use super::super::raw;
use super::super::settings::{Loss, Map, Medium, Normalise, Short, SoundView, Source};
use super::{Entry, MAX_VIEWS, SampleView, needed, statistics};
use crate::loss::infonce1d;

/// The bounds of samples a second, of samples in a window and of samples in a recording.
const RATE: RangeInclusive<usize> = 100..=768_000;
const WINDOW: RangeInclusive<usize> = 1..=1 << 26;

/// What a recording's windows start at multiples of: 10 ms at the paper's rate.
const HOP: usize = 160;

impl SampleView for SoundView {
    fn medium(&self) -> Medium {
        Medium::Sound
    }

    fn noun(&self) -> &'static str {
        "recording"
    }

    fn channels(&self) -> usize {
        1
    }

    fn rate(&self) -> Option<u32> {
        Some(self.rate)
    }

    fn views(&self) -> usize {
        self.views
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["view", "start"]
    }

    fn default_loss(&self) -> Loss {
        Loss::InfoNce1d(infonce1d::Settings::default())
    }

    fn size(&self, _source: &Source) -> Option<(usize, usize)> {
        Some((1, self.window))
    }

    fn entry(&self, _size: (usize, usize)) -> Result<Entry, Misfit> {
        // Windows are of one size, whatever the recordings.
        let map = Map { height: 1, width: self.window, channels: 1 };
        Ok(Entry { map, grid: None, smaller: "a longer window or smaller strides" })
    }

    fn pooling(&self, _size: (usize, usize)) -> Pooling {
        Pooling::Steps { frames: self.frames() }
    }
}

/// Checks a view of sound, at this rate, and fills in its defaults.
pub fn resolve(view: &Spanned<raw::View>, rate: &Spanned<usize>) -> Result<SoundView, Fault> {
    let raw = view.get_ref();
    let window = needed(&raw.window, "window", view)?;
    let samples = whole(window, "window", WINDOW)?;
    let clip = optional_whole(&raw.clip, "clip", WINDOW)?;
    if let (Some(clip), Some(at)) = (clip, &raw.clip)
        && clip < samples
    {
        let message = format!("a clip of {clip} samples is shorter than a window of {samples}");
        return Err(Fault::at(at.span(), message));
    }
    let normalise = match &raw.normalise {
        Some(normalise) => {
            let mean = statistics(&normalise.mean, "mean", (1, "sound"))?;
            let std = statistics(&normalise.std, "std", (1, "sound"))?;
            Some(Normalise { mean: mean[0], std: std[0] })
        }
        None => None,
    };
    Ok(SoundView {
        rate: whole(rate, "rate", RATE)? as u32,
        clip,
        window: samples,
        hop: optional_whole(&raw.hop, "hop", 1..=samples)?.unwrap_or(HOP.min(samples)),
        short: raw.short.as_ref().map_or(Short::Pad, |short| *short.get_ref()),
        normalise,
        views: optional_whole(&raw.views, "views", 1..=MAX_VIEWS)?.unwrap_or(1),
    })
}
