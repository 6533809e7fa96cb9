//! The `[view]` table.

use std::ops::RangeInclusive;

use toml::Spanned;

use super::bounds::{SIZE, optional_whole, whole};
use super::origin::Fault;
use super::raw::{self, Optional};
use super::settings::{ImageView, Normalise, Short, SoundView, View};
use crate::quantity::counted;

/// Mean and standard deviation of the paper's images (STL-10), gray.
const GRAY: ([f32; 1], [f32; 1]) = ([0.4120], [0.2570]);

/// Mean and standard deviation of the paper's images (STL-10), red, green and blue.
const RGB: ([f32; 3], [f32; 3]) = ([0.4313, 0.4156, 0.3663], [0.2683, 0.2610, 0.2687]);

/// Far more than a disk holds, and few enough to be counted beside the epochs (`crate::view`).
const MAX_VIEWS: usize = 1 << 16;

/// The bounds of samples a second, of samples in a window and of samples in a recording.
const RATE: RangeInclusive<usize> = 100..=768_000;
const WINDOW: RangeInclusive<usize> = 1..=1 << 26;

/// What a recording's windows start at multiples of: 10 ms at the paper's rate.
const HOP: usize = 160;

/// Checks a view table and fills in its defaults. It is one of sound where it says `rate`.
pub fn resolve(view: &Spanned<raw::View>) -> Result<View, Fault> {
    let raw = view.get_ref();
    let of_images = [
        ("resize", raw.resize.as_ref().map(Spanned::span)),
        ("grayscale", raw.grayscale.as_ref().map(Spanned::span)),
        ("crop", raw.crop.as_ref().map(Spanned::span)),
        ("flip", raw.flip.as_ref().map(Spanned::span)),
        ("patch", raw.patch.as_ref().map(Spanned::span)),
        ("stride", raw.stride.as_ref().map(Spanned::span)),
    ];
    let of_sound = [
        ("clip", raw.clip.as_ref().map(Spanned::span)),
        ("window", raw.window.as_ref().map(Spanned::span)),
        ("hop", raw.hop.as_ref().map(Spanned::span)),
        ("short", raw.short.as_ref().map(Spanned::span)),
    ];
    let (wrong, about) = match &raw.rate {
        Some(_) => (&of_images[..], "images, and `rate` says that the view is one of sound"),
        None => (&of_sound[..], "sound, which also needs `rate`"),
    };
    if let Some((key, Some(span))) = wrong.iter().find(|(_, span)| span.is_some()) {
        return Err(Fault::at(span.clone(), format!("`view.{key}` is about {about}")));
    }
    match &raw.rate {
        Some(rate) => Ok(View::Sound(sound(view, rate)?)),
        None => Ok(View::Images(images(view)?)),
    }
}

/// A key that has no default.
fn needed<'a>(
    value: &'a Optional<usize>,
    key: &str,
    view: &Spanned<raw::View>,
) -> Result<&'a Spanned<usize>, Fault> {
    let missing = || Fault::at(view.span(), format!("missing key `{key}` in [view]"));
    value.as_ref().ok_or_else(missing)
}

fn sound(view: &Spanned<raw::View>, rate: &Spanned<usize>) -> Result<SoundView, Fault> {
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

fn images(view: &Spanned<raw::View>) -> Result<ImageView, Fault> {
    let raw = view.get_ref();
    let grayscale = raw.grayscale.as_ref().is_none_or(|it| *it.get_ref());
    let (mean, std) = match &raw.normalise {
        Some(normalise) => (
            statistics(&normalise.mean, "mean", channels(grayscale))?,
            statistics(&normalise.std, "std", channels(grayscale))?,
        ),
        None if grayscale => (GRAY.0.to_vec(), GRAY.1.to_vec()),
        None => (RGB.0.to_vec(), RGB.1.to_vec()),
    };
    Ok(ImageView {
        resize: optional_whole(&raw.resize, "resize", SIZE)?,
        grayscale,
        crop: optional_whole(&raw.crop, "crop", SIZE)?,
        flip: raw.flip.as_ref().is_none_or(|it| *it.get_ref()),
        patch: whole(needed(&raw.patch, "patch", view)?, "patch", SIZE)?,
        stride: whole(needed(&raw.stride, "stride", view)?, "stride", SIZE)?,
        mean,
        std,
        views: optional_whole(&raw.views, "views", 1..=MAX_VIEWS)?.unwrap_or(1),
    })
}

/// How many channels the modules see, and of what.
fn channels(grayscale: bool) -> (usize, &'static str) {
    if grayscale { (1, "gray images") } else { (3, "RGB images") }
}

fn statistics(
    values: &Spanned<Vec<Spanned<f64>>>,
    key: &str,
    (channels, of): (usize, &str),
) -> Result<Vec<f32>, Fault> {
    let count = values.get_ref().len();
    if count != channels {
        let wanted = counted(channels, "value");
        let message = format!("`{key}` must have {wanted} for {of}, not {count}");
        let fault = Fault::at(values.span(), message);
        return Err(match of {
            "sound" => fault,
            _ => fault.hint("`view.grayscale` says which of them the modules see"),
        });
    }
    values
        .get_ref()
        .iter()
        .map(|value| {
            let number = *value.get_ref() as f32;
            let (holds, wanted) = match key {
                "std" => (number > 0.0 && number.is_finite(), "finite numbers above 0"),
                _ => (number.is_finite(), "finite numbers"),
            };
            if holds {
                Ok(number)
            } else {
                Err(Fault::at(value.span(), format!("`{key}` must hold {wanted}, not {value}")))
            }
        })
        .collect()
}
