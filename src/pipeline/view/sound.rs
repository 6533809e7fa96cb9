//! A view of sound: a window of a recording.

use std::sync::Arc;

use toml::Spanned;

use super::super::bounds::{count, whole};
use super::super::origin::Fault;
use super::super::pooling::Pooling;
use super::super::raw;
use super::super::reference;
use super::super::settings::{Map, Medium, Normalise, SampleSize, SoundView, Source};
use super::{Entry, SHOWN_AT, SampleView, needed, statistics, value};
use crate::layer::Signal;
use crate::loss::{Recipe, infonce1d};

impl SampleView for SoundView {
    fn medium(&self) -> Option<Medium> {
        Some(Medium::Sound)
    }

    fn signal(&self) -> Signal {
        Signal::Sound
    }

    fn noun(&self) -> &'static str {
        "recording"
    }

    fn channels(&self) -> Option<usize> {
        Some(1)
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

    fn default_loss(&self) -> Arc<dyn Recipe> {
        Arc::new(infonce1d::Settings::default())
    }

    fn check(&self) -> Result<(), Fault> {
        let SoundView { window, clip, .. } = *self;
        let settings = reference::sound();
        count(&settings, "view.window", window)?;
        count(&settings, "view.clip", clip)?;
        if let Some(clip) = clip.filter(|clip| *clip < window) {
            let message = format!("a clip of {clip} samples is shorter than a window of {window}");
            return Err(Fault::of("view.clip", message));
        }
        if let Some(Normalise { mean, std }) = self.normalise {
            statistics([&[mean], &[std]], 1, "sound")?;
        }
        count(&settings, "view.rate", self.rate as usize)?;
        count(&settings, "view.hop", self.hop)?;
        whole("view.hop", self.hop, &(1..=window))?;
        count(&reference::both(), "view.views", self.views)
    }

    fn size(&self, _source: &Source) -> Option<SampleSize> {
        Some(SampleSize::of_sound(self.window))
    }

    fn entry(&self, _sample: SampleSize) -> Result<Entry, Fault> {
        // All windows have one size, whatever the size of the recordings.
        let map = Map { height: 1, width: self.window, channels: 1 };
        let smaller = "a longer window or smaller strides";
        Ok(Entry { map, grid: None, smaller, shown_at: &SHOWN_AT })
    }

    fn pooling(&self, _sample: SampleSize) -> Pooling {
        Pooling::Steps { frames: self.frames() }
    }
}

/// Reads a view of sound at this rate, and fills in its defaults.
pub fn resolve(view: &Spanned<raw::View>, rate: &Spanned<usize>) -> Result<SoundView, Fault> {
    let raw = view.get_ref();
    let window = *needed(&raw.window, "window", view)?.get_ref();
    let default = SoundView::new(u32::try_from(*rate.get_ref()).unwrap_or(u32::MAX), window);
    let normalise = match &raw.normalise {
        Some(normalise) => {
            let raw::Normalise { mean, std } = normalise.get_ref();
            statistics([mean, std], 1, "sound")?;
            Some(Normalise { mean: mean[0], std: std[0] })
        }
        None => None,
    };
    Ok(SoundView {
        clip: value(&raw.clip),
        hop: value(&raw.hop).unwrap_or(default.hop),
        short: value(&raw.short).unwrap_or(default.short),
        normalise,
        views: value(&raw.views).unwrap_or(default.views),
        ..default
    })
}
