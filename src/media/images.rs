//! Handles images: resized once at ingest, cropped and cut into patches whenever they are read.

use gimlet_store::{Column, Compression, CompressionSetting, DType, Generation, Values};
use serde_json::{Value, json};

use super::{Handler, Ingest, Ingested, column, rows_at_once};
use crate::pipeline::settings::Source as SourceSettings;
use crate::pipeline::{ImageView, OnBadSample, Pipeline, SampleSize, Split, json_of};
use crate::source::{self, Media, Sample, Source};
use crate::train::input::{IMAGE, Images, Input};
use crate::view::{self, Framing};
use crate::{Error, Result};

impl Handler for ImageView {
    fn ingest_key(&self, _source: &SourceSettings) -> Value {
        let Self {
            resize,
            grayscale,
            // These change how an ingested image is seen, not the ingested image.
            crop: _,
            flip: _,
            patch: _,
            stride: _,
            mean: _,
            std: _,
            views: _,
        } = self;
        json!({ "resize": resize, "grayscale": grayscale })
    }

    fn framing_key(&self) -> Result<Value> {
        // The other settings are in the key of `ingest`; `views`, the number of frozen views, is in that of `encode`.
        let Self { resize: _, grayscale: _, crop, flip, patch, stride, mean, std, views: _ } = self;
        let (mean, std) = (json_of(mean)?, json_of(std)?);
        Ok(json!({
            "crop": crop, "flip": flip, "patch": patch, "stride": stride, "mean": mean, "std": std,
        }))
    }

    fn column(&self) -> &'static str {
        IMAGE
    }

    fn sample_column(&self, size: SampleSize) -> Column {
        let dims = ["height", "width", "channel"];
        column(IMAGE, DType::U8, vec![size.height, size.width, self.channels()], &dims)
    }

    fn size_of_column(&self, shape: &[usize]) -> Option<SampleSize> {
        match shape {
            [height, width, _] => Some(SampleSize::of_image(*height, *width)),
            _ => None,
        }
    }

    fn size(&self, pipeline: &Pipeline, ingested: Option<&Generation>) -> Result<SampleSize> {
        if let Some(side) = self.resize.or(pipeline.data.source.side()) {
            return Ok(SampleSize::square(side));
        }
        let column = ingested.and_then(|it| it.manifest().schema.columns.first());
        if let Some(size) = column.and_then(|it| self.size_of_column(&it.shape)) {
            return Ok(size);
        }
        let source = source::open(&pipeline.data, Split::Train, pipeline.seed)?;
        match (source.first_size(), pipeline.data.on_bad_sample) {
            (Ok(Some((height, width))), _) => Ok(SampleSize::of_image(height, width)),
            (_, OnBadSample::Skip) => first_whole(source.as_ref()),
            (first, OnBadSample::Fail) => first.and_then(|_| {
                let message = "the header of the first image does not say how large the images are";
                let hint = "mend or remove it, or set `data.on_bad_sample = \"skip\"`";
                Err(Error::failed(message).hint(hint))
            }),
        }
    }

    fn check_size(&self, size: SampleSize) -> Result<()> {
        view::patch_shape(self, size).map(|_| ())
    }

    fn ingested(&self, mut sample: Sample, size: Option<SampleSize>) -> Result<Sample> {
        let pixels = view::ingest(self, sample.media.image()?)?;
        let found = pixels.size();
        if let Some(size) = size.filter(|size| *size != found) {
            let message = format!(
                "images differ in size: row {} ({}) is {}x{}, others are {}x{}",
                sample.id, sample.source, found.width, found.height, size.width, size.height
            );
            return Err(Error::failed(message).hint("set `view.resize` to one size for all"));
        }
        sample.remarks.constant = pixels.is_constant();
        sample.media = Media::Pixels(pixels);
        Ok(sample)
    }

    fn ingest<'a>(
        &'a self,
        _source: &'a dyn Source,
        _rows: &[usize],
        _has_hops: bool,
    ) -> Result<Box<dyn Ingest + 'a>> {
        Ok(Box::new(ImageIngest { view: self, size: None }))
    }

    fn input(&self, ingested: &Ingested<'_>) -> Result<Box<dyn Input>> {
        let Ingested { samples, training: _, source: _, split, seed, views_before } = *ingested;
        Ok(Box::new(Images::new(samples, self, split, seed)?.views_after(views_before)))
    }

    fn evaluated(
        &self,
        sample: &Sample,
        _training: Option<&Generation>,
    ) -> Result<Option<Vec<f32>>> {
        let pixels = sample.media.pixels()?;
        let size = pixels.size();
        let frame = Framing::Centre.frame(self, size, sample.id);
        let mut patches = vec![0.0; view::patch_shape(self, size)?.values()];
        view::patches(self, &pixels.values, size, frame, &mut patches);
        Ok(Some(patches))
    }

    fn seen_size(&self, sample: &Sample) -> Result<SampleSize> {
        Ok(sample.media.pixels()?.size())
    }
}

/// Height and width of the first image that is not broken, for when broken images are skipped.
fn first_whole(source: &dyn Source) -> Result<SampleSize> {
    for row in 0..source.rows() {
        let read = source.read(&[row])?;
        if let Some(Ok(sample)) = read.into_iter().next() {
            let image = sample.media.image()?;
            let (height, width) = (image.height() as usize, image.width() as usize);
            return Ok(SampleSize::of_image(height, width));
        }
    }
    Err(Error::failed(format!("none of {} training images could be read", source.rows())))
}

struct ImageIngest<'a> {
    view: &'a ImageView,
    /// The size of the first image, which all others must have.
    size: Option<SampleSize>,
}

impl Ingest for ImageIngest<'_> {
    fn columns(&self) -> Option<Vec<Column>> {
        Some(vec![self.view.sample_column(self.size?)])
    }

    fn compression(&self) -> CompressionSetting {
        // Images are read a few at a time, in every step of the first module.
        CompressionSetting::Fixed(Compression::None)
    }

    fn at_once(&self) -> usize {
        // Reads one image first, to learn how large images are.
        self.size.map_or(1, |it| rows_at_once(it.height * it.width * self.view.channels()))
    }

    fn size(&self) -> Option<SampleSize> {
        self.size
    }

    fn look(&mut self, samples: Vec<Sample>) -> Result<(Vec<Sample>, Vec<(Sample, String)>)> {
        if let (None, Some(first)) = (self.size, samples.first()) {
            self.size = Some(self.view.seen_size(first)?);
        }
        Ok((samples, Vec::new()))
    }

    fn values(&self, samples: &[Sample], write: &mut super::Chunk<'_>) -> Result<()> {
        let mut values = Vec::new();
        for sample in samples {
            values.extend_from_slice(&sample.media.pixels()?.values);
        }
        write(Vec::new(), &[Values::U8(&values)])
    }
}
