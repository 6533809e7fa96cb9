//! The `[view]` table, and what a pipeline asks of a view.
//!
//! Each medium has a file with its [`SampleView`], and lines here and in `settings`.

mod activations;
mod images;
mod sound;

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;

use super::origin::Fault;
use super::pooling::Pooling;
use super::raw::{self, Optional};
use super::settings::{Map, Medium, SampleSize, Source, Split, View};
use crate::layer::Signal;
use crate::loss::Recipe;
use crate::quantity::counted;

/// What a pipeline asks of a view, whatever its samples are.
pub trait SampleView {
    /// What files of samples hold; `None` for activations, whose files hold tensors.
    fn medium(&self) -> Option<Medium>;

    /// The signal that layers see.
    fn signal(&self) -> Signal;

    /// The word for one sample.
    fn noun(&self) -> &'static str;

    /// Channels that the first module reads; `None` where only the samples tell ([`SampleSize::channels`]).
    fn channels(&self) -> Option<usize>;

    /// Samples per second, where samples last for a time.
    fn rate(&self) -> Option<u32> {
        None
    }

    /// Frozen crops or windows that are stored per training sample.
    fn views(&self) -> usize;

    /// The names of the attributes of a row of activations: which view of its sample it is, and where the view lies.
    /// For an image, that is the first row and column of the crop, and 1 where it is mirrored; for sound, the first
    /// sample of the window.
    fn attributes(&self) -> &'static [&'static str];

    /// The loss for a pipeline that names none.
    fn default_loss(&self) -> Arc<dyn Recipe>;

    /// Checks that every setting is within its bounds.
    ///
    /// # Errors
    /// When one is not.
    fn check(&self) -> Result<(), Fault>;

    /// The size of samples, where the settings alone tell; for sound, the window. `None` where the first image must be
    /// read to know.
    fn size(&self, source: &Source) -> Option<SampleSize>;

    /// What the first module reads of samples of this size.
    ///
    /// # Errors
    /// When they do not fit the view.
    fn entry(&self, sample: SampleSize) -> Result<Entry, Fault>;

    /// How samples of this size are pooled; they must fit the view.
    fn pooling(&self, sample: SampleSize) -> Pooling;

    /// The signal that layers see of samples of this size.
    fn signal_of(&self, _sample: SampleSize) -> Signal {
        self.signal()
    }

    /// What samples of this size are, for messages: "the view has images".
    fn given(&self, _sample: SampleSize) -> String {
        format!("the view has {}", self.signal())
    }
}

/// What the first module reads of a sample.
pub struct Entry {
    /// One patch, or the window.
    pub map: Map,
    /// Rows and columns of the patches, where the loss sees one vector per patch.
    pub grid: Option<[usize; 2]>,
    /// What to take when the loss sees too few vectors, for a hint: "a longer window".
    pub smaller: &'static str,
    /// The settings to show when the samples do not fit the loss, the likeliest first.
    pub shown_at: &'static [&'static str],
}

/// What [`Entry::shown_at`] is for images and sound.
const SHOWN_AT: [&str; 2] = ["view.patch", "view"];

impl View {
    /// This view as a [`SampleView`].
    pub fn settings(&self) -> &dyn SampleView {
        match self {
            View::Images(view) => view,
            View::Sound(view) => view,
            View::Activations(view) => view,
        }
    }

    /// Frozen crops or windows that are stored per sample of a split.
    pub fn views_of(&self, split: Split) -> usize {
        split.views(self.settings().views())
    }
}

/// Reads a view table, and fills in its defaults. A table with `rate` is a view of sound. Where the data are
/// activations, so is the view, and there may be no table.
pub fn resolve(view: Option<&Spanned<raw::View>>, of_activations: bool) -> Result<View, Fault> {
    if of_activations {
        return Ok(View::Activations(activations::resolve(view)?));
    }
    let Some(view) = view else {
        return Err(Fault::of_file("missing key `view`").hint(
            "`view`: How a sample is seen: an image as a grid of patches, or a recording as a window of sound.",
        ));
    };
    let raw = view.get_ref();
    if let Some((key, span)) = first_written(keys_of_activations(raw)) {
        let message = format!("`view.{key}` is about activations");
        return Err(Fault::at(span, message).hint("name them in [data.activations]"));
    }
    let (wrong, about) = match &raw.rate {
        Some(_) => (
            first_written(keys_of_images(raw)),
            "images, and `rate` says that the view is one of sound",
        ),
        None => (first_written(keys_of_sound(raw)), "sound, which also needs `rate`"),
    };
    if let Some((key, span)) = wrong {
        return Err(Fault::at(span, format!("`view.{key}` is about {about}")));
    }
    match &raw.rate {
        Some(rate) => Ok(View::Sound(sound::resolve(view, rate)?)),
        None => Ok(View::Images(images::resolve(view)?)),
    }
}

/// A key of `[view]`, and where in the file it is written, if it is.
type Key = (&'static str, Option<Range<usize>>);

fn keys_of_images(raw: &raw::View) -> [Key; 6] {
    [
        ("resize", raw.resize.as_ref().map(Spanned::span)),
        ("grayscale", raw.grayscale.as_ref().map(Spanned::span)),
        ("crop", raw.crop.as_ref().map(Spanned::span)),
        ("flip", raw.flip.as_ref().map(Spanned::span)),
        ("patch", raw.patch.as_ref().map(Spanned::span)),
        ("stride", raw.stride.as_ref().map(Spanned::span)),
    ]
}

/// The keys of a view of sound, besides `rate`, which says that it is one.
fn keys_of_sound(raw: &raw::View) -> [Key; 4] {
    [
        ("clip", raw.clip.as_ref().map(Spanned::span)),
        ("window", raw.window.as_ref().map(Spanned::span)),
        ("hop", raw.hop.as_ref().map(Spanned::span)),
        ("short", raw.short.as_ref().map(Spanned::span)),
    ]
}

fn keys_of_activations(raw: &raw::View) -> [Key; 2] {
    [("kind", raw.kind.as_ref().map(Spanned::span)), ("grid", raw.grid.as_ref().map(Spanned::span))]
}

/// The first of these keys that is written, and where.
fn first_written(keys: impl IntoIterator<Item = Key>) -> Option<(&'static str, Range<usize>)> {
    keys.into_iter().find_map(|(key, span)| Some((key, span?)))
}

/// The value of a key that has no default.
fn needed<'a>(
    value: &'a Optional<usize>,
    key: &str,
    view: &Spanned<raw::View>,
) -> Result<&'a Spanned<usize>, Fault> {
    let missing = || Fault::at(view.span(), format!("missing key `{key}` in [view]"));
    value.as_ref().ok_or_else(missing)
}

fn value<T: Copy>(value: &Optional<T>) -> Option<T> {
    value.as_ref().map(|it| *it.get_ref())
}

/// Shows the fault at the patch, where the file has none of the settings named before.
pub fn of_patch(fault: Fault) -> Fault {
    fault.or_of("view.patch").or_of("view")
}

/// Fails unless there is a valid mean and deviation for each of `channels` channels; `of` names the samples.
fn statistics(values: [&[f32]; 2], channels: usize, of: &str) -> Result<(), Fault> {
    for (key, values) in ["mean", "std"].into_iter().zip(values) {
        let path = format!("view.normalise.{key}");
        if values.len() != channels {
            let (wanted, count) = (counted(channels, "value"), values.len());
            let message = format!("`{key}` must have {wanted} for {of}, not {count}");
            let fault = Fault::of(path, message);
            return Err(match of {
                "sound" => fault,
                _ => fault.hint("`view.grayscale` says which of them the modules see"),
            });
        }
        let (wanted, above) = match key {
            "std" => ("finite numbers above 0", 0.0),
            _ => ("finite numbers", f32::NEG_INFINITY),
        };
        let wrong = |value: &f32| !value.is_finite() || *value <= above;
        if let Some(index) = values.iter().position(wrong) {
            let message = format!("`{key}` must hold {wanted}, not {}", values[index]);
            return Err(Fault::of(format!("{path}.{index}"), message));
        }
    }
    Ok(())
}
