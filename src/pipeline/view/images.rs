//! A view of images: patches of a crop.

use toml::Spanned;

use super::super::bounds::{SIZE, optional_whole, whole};
use super::super::misfit::{Culprit, Misfit};
use super::super::origin::Fault;
use super::super::pooling::Pooling;
use super::super::raw;
use super::super::settings::{ImageView, Loss, Map, Medium, Source};
use super::{Entry, MAX_VIEWS, SampleView, needed, statistics};
use crate::loss::infonce;

/// Mean and standard deviation of the paper's images (STL-10), gray.
const GRAY: ([f32; 1], [f32; 1]) = ([0.4120], [0.2570]);

/// Mean and standard deviation of the paper's images (STL-10), red, green and blue.
const RGB: ([f32; 3], [f32; 3]) = ([0.4313, 0.4156, 0.3663], [0.2683, 0.2610, 0.2687]);

impl SampleView for ImageView {
    fn medium(&self) -> Medium {
        Medium::Image
    }

    fn noun(&self) -> &'static str {
        "image"
    }

    fn channels(&self) -> usize {
        self.channels()
    }

    fn views(&self) -> usize {
        self.views
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["view", "crop_top", "crop_left", "flip"]
    }

    fn default_loss(&self) -> Loss {
        Loss::InfoNce(infonce::Settings::default())
    }

    fn size(&self, source: &Source) -> Option<(usize, usize)> {
        // No image may be smaller than the crop.
        let side = self.resize.or(source.side()).or(self.crop)?;
        Some((side, side))
    }

    fn entry(&self, size: (usize, usize)) -> Result<Entry, Misfit> {
        let map = Map { height: self.patch, width: self.patch, channels: self.channels() };
        Ok(Entry { map, grid: Some(grid(self, size)?), smaller: "a smaller patch or stride" })
    }

    fn pooling(&self, (height, _): (usize, usize)) -> Pooling {
        Pooling::Patches { grid: self.grid(self.crop.unwrap_or(height)) }
    }
}

/// Checks a view of images and fills in its defaults.
pub fn resolve(view: &Spanned<raw::View>) -> Result<ImageView, Fault> {
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

/// Rows and columns of the grid of patches.
fn grid(view: &ImageView, (height, width): (usize, usize)) -> Result<[usize; 2], Misfit> {
    let (what, height, width) = match view.crop {
        Some(crop) if crop > height || crop > width => {
            let message =
                format!("a crop of {crop}x{crop} does not fit in an image of {height}x{width}");
            return Err(Misfit::of(Culprit::Crop, message));
        }
        Some(crop) => ("a crop", crop, crop),
        None => ("an image", height, width),
    };
    let patch = view.patch;
    if patch > height || patch > width {
        let message =
            format!("a patch of {patch}x{patch} does not fit in {what} of {height}x{width}");
        return Err(Misfit::of(Culprit::Patch, message));
    }
    Ok([view.grid(height), view.grid(width)])
}
