//! A view of images: patches of a crop.

use std::sync::Arc;

use toml::Spanned;

use super::super::bounds::count;
use super::super::origin::Fault;
use super::super::pooling::Pooling;
use super::super::raw;
use super::super::reference;
use super::super::settings::{ImageView, Map, Medium, SampleSize, Source};
use super::{Entry, SHOWN_AT, SampleView, needed, of_patch, statistics, value};
use crate::layer::Signal;
use crate::loss::{Recipe, infonce};

impl SampleView for ImageView {
    fn medium(&self) -> Option<Medium> {
        Some(Medium::Image)
    }

    fn signal(&self) -> Signal {
        Signal::Images
    }

    fn noun(&self) -> &'static str {
        "image"
    }

    fn channels(&self) -> Option<usize> {
        Some(self.channels())
    }

    fn views(&self) -> usize {
        self.views
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["view", "crop_top", "crop_left", "flip"]
    }

    fn default_loss(&self) -> Arc<dyn Recipe> {
        Arc::new(infonce::Settings::default())
    }

    fn check(&self) -> Result<(), Fault> {
        let of = if self.grayscale { "gray images" } else { "RGB images" };
        statistics([&self.mean, &self.std], self.channels(), of)?;
        let settings = reference::images();
        count(&settings, "view.resize", self.resize)?;
        count(&settings, "view.crop", self.crop)?;
        count(&settings, "view.patch", self.patch)?;
        count(&settings, "view.stride", self.stride)?;
        count(&reference::both(), "view.views", self.views)
    }

    fn size(&self, source: &Source) -> Option<SampleSize> {
        // An image may not be smaller than the crop.
        let side = self.resize.or(source.side()).or(self.crop)?;
        Some(SampleSize::square(side))
    }

    fn entry(&self, sample: SampleSize) -> Result<Entry, Fault> {
        let map = Map { height: self.patch, width: self.patch, channels: self.channels() };
        let (grid, smaller) = (Some(grid(self, sample)?), "a smaller patch or stride");
        Ok(Entry { map, grid, smaller, shown_at: &SHOWN_AT })
    }

    fn pooling(&self, sample: SampleSize) -> Pooling {
        Pooling::Patches { grid: [self.grid(self.crop.unwrap_or(sample.height)); 2] }
    }
}

/// Reads a view of images, and fills in its defaults.
pub fn resolve(view: &Spanned<raw::View>) -> Result<ImageView, Fault> {
    let raw = view.get_ref();
    let patch = *needed(&raw.patch, "patch", view)?.get_ref();
    let gray = ImageView::new(patch, *needed(&raw.stride, "stride", view)?.get_ref());
    let default = if value(&raw.grayscale).unwrap_or(true) { gray } else { gray.in_colour() };
    let (mean, std) = match &raw.normalise {
        Some(normalise) => {
            let raw::Normalise { mean, std } = normalise.get_ref();
            (mean.clone(), std.clone())
        }
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

/// Rows and columns of the grid of patches.
fn grid(view: &ImageView, sample: SampleSize) -> Result<[usize; 2], Fault> {
    let SampleSize { height, width, .. } = sample;
    let (what, height, width) = match view.crop {
        Some(crop) if crop > height || crop > width => {
            let message =
                format!("a crop of {crop}x{crop} does not fit in an image of {height}x{width}");
            return Err(of_patch(Fault::of("view.crop", message)));
        }
        Some(crop) => ("a crop", crop, crop),
        None => ("an image", height, width),
    };
    let patch = view.patch;
    if patch > height || patch > width {
        let message =
            format!("a patch of {patch}x{patch} does not fit in {what} of {height}x{width}");
        return Err(of_patch(Fault::of_file(message)));
    }
    Ok([view.grid(height), view.grid(width)])
}
