//! The `[view]` table.

use std::ops::RangeInclusive;

use toml::Spanned;

use super::bounds::{SIZE, whole};
use super::origin::Fault;
use super::raw::{self, Optional};
use super::settings::{ImageView, Normalise, SoundView, View};
use crate::quantity::counted;

/// Far more than a disk holds, and few enough to be counted beside the epochs (`crate::view`).
const VIEWS: RangeInclusive<usize> = 1..=1 << 16;

/// The bounds of samples a second, of samples in a window and of samples in a recording.
const RATE: RangeInclusive<usize> = 100..=768_000;
const WINDOW: RangeInclusive<usize> = 1..=1 << 26;

/// Reads a view table, and fills in its defaults. It is one of sound where it says `rate`.
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
    let window = *needed(&raw.window, "window", view)?.get_ref();
    let default = SoundView::new(u32::try_from(*rate.get_ref()).unwrap_or(u32::MAX), window);
    let normalise = match &raw.normalise {
        Some(normalise) => {
            let raw::Normalise { mean, std } = normalise;
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

fn images(view: &Spanned<raw::View>) -> Result<ImageView, Fault> {
    let raw = view.get_ref();
    let patch = *needed(&raw.patch, "patch", view)?.get_ref();
    let gray = ImageView::new(patch, *needed(&raw.stride, "stride", view)?.get_ref());
    let default = if value(&raw.grayscale).unwrap_or(true) { gray } else { gray.in_colour() };
    let (mean, std) = match &raw.normalise {
        Some(raw::Normalise { mean, std }) => (mean.clone(), std.clone()),
        None => (default.mean.clone(), default.std.clone()),
    };
    Ok(ImageView {
        resize: value(&raw.resize),
        crop: value(&raw.crop),
        flip: value(&raw.flip).unwrap_or(default.flip),
        mean,
        std,
        views: value(&raw.views).unwrap_or(default.views),
        ..default
    })
}

fn value<T: Copy>(value: &Optional<T>) -> Option<T> {
    value.as_ref().map(|it| *it.get_ref())
}

/// Fails unless every setting is within its bounds.
pub fn check(view: &View) -> Result<(), Fault> {
    match view {
        View::Images(view) => check_images(view),
        View::Sound(view) => check_sound(view),
    }
}

fn check_images(view: &ImageView) -> Result<(), Fault> {
    let of = if view.grayscale { "gray images" } else { "RGB images" };
    statistics([&view.mean, &view.std], view.channels(), of)?;
    whole("view.resize", view.resize, &SIZE)?;
    whole("view.crop", view.crop, &SIZE)?;
    whole("view.patch", view.patch, &SIZE)?;
    whole("view.stride", view.stride, &SIZE)?;
    whole("view.views", view.views, &VIEWS)
}

fn check_sound(view: &SoundView) -> Result<(), Fault> {
    let SoundView { window, clip, .. } = *view;
    whole("view.window", window, &WINDOW)?;
    whole("view.clip", clip, &WINDOW)?;
    if let Some(clip) = clip.filter(|clip| *clip < window) {
        let message = format!("a clip of {clip} samples is shorter than a window of {window}");
        return Err(Fault::of("view.clip", message));
    }
    if let Some(Normalise { mean, std }) = view.normalise {
        statistics([&[mean], &[std]], 1, "sound")?;
    }
    whole("view.rate", view.rate as usize, &RATE)?;
    whole("view.hop", view.hop, &(1..=window))?;
    whole("view.views", view.views, &VIEWS)
}

/// Fails unless there is a mean and a deviation for each of so many channels `of` something.
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
