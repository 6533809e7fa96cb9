//! The `[view]` table.

use toml::Spanned;

use super::bounds::{SIZE, optional_whole, whole};
use super::origin::Fault;
use super::raw;
use super::settings::View;
use crate::error::counted;

/// Mean and standard deviation of the paper's images (STL-10), gray.
const GRAY: ([f32; 1], [f32; 1]) = ([0.4120], [0.2570]);

/// Mean and standard deviation of the paper's images (STL-10), red, green and blue.
const RGB: ([f32; 3], [f32; 3]) = ([0.4313, 0.4156, 0.3663], [0.2683, 0.2610, 0.2687]);

/// Far more than a disk holds, and few enough to be counted beside the epochs (`crate::view`).
const MAX_VIEWS: usize = 1 << 16;

/// Checks a view table and fills in its defaults.
pub fn resolve(raw: &raw::View) -> Result<View, Fault> {
    let grayscale = raw.grayscale.unwrap_or(true);
    let (mean, std) = match &raw.normalise {
        Some(normalise) => (
            statistics(&normalise.mean, "mean", grayscale)?,
            statistics(&normalise.std, "std", grayscale)?,
        ),
        None if grayscale => (GRAY.0.to_vec(), GRAY.1.to_vec()),
        None => (RGB.0.to_vec(), RGB.1.to_vec()),
    };
    Ok(View {
        resize: optional_whole(&raw.resize, "resize", SIZE)?,
        grayscale,
        crop: optional_whole(&raw.crop, "crop", SIZE)?,
        flip: raw.flip.unwrap_or(true),
        patch: whole(&raw.patch, "patch", SIZE)?,
        stride: whole(&raw.stride, "stride", SIZE)?,
        mean,
        std,
        views: optional_whole(&raw.views, "views", 1..=MAX_VIEWS)?.unwrap_or(1),
    })
}

fn statistics(
    values: &Spanned<Vec<Spanned<f64>>>,
    key: &str,
    grayscale: bool,
) -> Result<Vec<f32>, Fault> {
    let (count, channels) = (values.get_ref().len(), if grayscale { 1 } else { 3 });
    if count != channels {
        let images = if grayscale { "gray" } else { "RGB" };
        return Err(Fault::at(
            values.span(),
            format!(
                "`{key}` must have {} for {images} images, not {count}",
                counted(channels, "value")
            ),
        )
        .hint("`view.grayscale` says which of them the modules see"));
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
