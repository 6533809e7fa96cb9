//! A view of activations: a grid, a sequence, one map or one vector.

use std::sync::Arc;

use toml::Spanned;

use super::super::bounds::{SIZE, whole};
use super::super::origin::Fault;
use super::super::pooling::Pooling;
use super::super::raw;
use super::super::settings::{
    ActivationKind, ActivationView, Cell, Map, Medium, SampleSize, Source, Unseen,
};
use super::{Entry, SampleView, first_written, keys_of_images, keys_of_sound, value};
use crate::layer::Signal;
use crate::loss::{Recipe, infonce, infonce1d, supervised};

/// The settings that say what is read, the likeliest to be wrong first.
const SHOWN_AT: [&str; 3] = ["loss", "view", "data.activations"];

impl SampleView for ActivationView {
    fn medium(&self) -> Option<Medium> {
        None
    }

    fn signal(&self) -> Signal {
        match self.kind {
            Some(ActivationKind::Steps) => Signal::Sound,
            _ => Signal::Images,
        }
    }

    fn noun(&self) -> &'static str {
        "sample"
    }

    fn channels(&self) -> Option<usize> {
        None
    }

    fn views(&self) -> usize {
        1
    }

    fn attributes(&self) -> &'static [&'static str] {
        &[]
    }

    fn default_loss(&self) -> Arc<dyn Recipe> {
        match self.kind {
            None | Some(ActivationKind::Grid) => Arc::new(infonce::Settings::default()),
            Some(ActivationKind::Steps) => Arc::new(infonce1d::Settings::default()),
            Some(ActivationKind::Map | ActivationKind::Vector) => {
                Arc::new(supervised::Settings::default())
            }
        }
    }

    fn check(&self) -> Result<(), Fault> {
        let Some(grid) = self.grid else { return Ok(()) };
        for (place, side) in grid.into_iter().enumerate() {
            whole(&format!("view.grid.{place}"), side, &SIZE)?;
        }
        match self.kind {
            None | Some(ActivationKind::Grid) => Ok(()),
            Some(kind) => {
                let message =
                    format!("`view.grid` is of a grid, but `view.kind` says {}", kind.in_words());
                Err(Fault::of("view.grid", message).hint("leave out one of them"))
            }
        }
    }

    fn size(&self, _source: &Source) -> Option<SampleSize> {
        None
    }

    fn entry(&self, sample: SampleSize) -> Result<Entry, Fault> {
        let Some(Cell { kind, map, .. }) = sample.cell else {
            return Err(Fault::of_file("the samples are images or sounds, not activations"));
        };
        if let Some(expected) = self.expected.filter(|it| *it != map.channels) {
            let message = format!(
                "the first module expects {expected} channels, the data have {}",
                map.channels
            );
            return Err(Fault::of("modules.0.in_channels", message)
                .or_of("modules.0.preset")
                .or_of("data.activations"));
        }
        let SampleSize { height, width, .. } = sample;
        Ok(match kind {
            ActivationKind::Steps => Entry {
                map: Map { height: 1, width, ..map },
                grid: None,
                smaller: "longer sequences, or smaller strides",
                shown_at: &SHOWN_AT,
            },
            ActivationKind::Grid | ActivationKind::Map | ActivationKind::Vector => Entry {
                map,
                grid: Some([height, width]),
                smaller: "activations with more rows",
                shown_at: &SHOWN_AT,
            },
        })
    }

    fn pooling(&self, sample: SampleSize) -> Pooling {
        let SampleSize { height, width, cell } = sample;
        match cell.map(|it| it.kind) {
            Some(ActivationKind::Steps) => Pooling::Steps { frames: width },
            _ => Pooling::Patches { grid: [height, width] },
        }
    }

    fn signal_of(&self, sample: SampleSize) -> Signal {
        match sample.cell.map(|it| it.kind) {
            Some(ActivationKind::Steps) => Signal::Sound,
            _ => Signal::Images,
        }
    }

    fn given(&self, sample: SampleSize) -> String {
        let kind = sample.cell.map_or(ActivationKind::Vector, |it| it.kind);
        format!("the data have {}", kind.in_words())
    }
}

/// Reads a view of activations, and fills in its defaults.
pub fn resolve(view: Option<&Spanned<raw::View>>) -> Result<ActivationView, Fault> {
    let Some(view) = view else { return Ok(ActivationView::default()) };
    let raw = view.get_ref();
    let rate = ("rate", raw.rate.as_ref().map(Spanned::span));
    let of_both = [
        ("normalise", raw.normalise.as_ref().map(Spanned::span)),
        ("views", raw.views.as_ref().map(Spanned::span)),
    ];
    let others =
        keys_of_images(raw).into_iter().chain([rate]).chain(keys_of_sound(raw)).chain(of_both);
    if let Some((key, span)) = first_written(others) {
        let message = format!(
            "`view.{key}` is about images or sound, but [data.activations] names activations"
        );
        return Err(Fault::at(span, message)
            .hint("a view of activations has `kind` and `grid`, and may be left out"));
    }
    Ok(ActivationView { kind: value(&raw.kind), grid: value(&raw.grid), expected: None })
}

impl Unseen {
    /// The fault of a view that does not fit the data.
    pub fn fault(self) -> Fault {
        let Self { message, hint } = self;
        Fault::of("view.grid", message).or_of("view").or_of("data.activations").hint(hint)
    }
}
