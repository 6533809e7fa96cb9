//! The parts of a run that differ by medium. To add a medium, add a file with its [`Handler`] and a line in [`of`].

mod activations;
mod hop_fit;
mod images;
mod sound;
mod sound_summary;

use gimlet_store::{Column, CompressionSetting, DType, Generation, Values};
use serde::Deserialize;
use serde_json::Value;

pub use sound_summary::{Level, SoundSummary};

use crate::pipeline::settings::{Normalise, Source as SourceSettings};
use crate::pipeline::{Pipeline, SampleSize, Split, View};
use crate::source::{Sample, Source};
use crate::train::input::Input;
use crate::{Error, Result};

/// The most samples that are read at once, and the most bytes of memory that their values may take.
const CHUNK: usize = 512;
const CHUNK_BYTES: usize = 128 << 20;

/// The number of samples to read at once if each has `bytes` bytes of values.
pub fn rows_at_once(bytes: usize) -> usize {
    (CHUNK_BYTES / bytes.max(1)).clamp(1, CHUNK)
}

/// How the steps of a run handle samples of a medium, with the settings of a view.
pub trait Handler {
    /// The settings of the view that go into the key of `ingest`.
    fn ingest_key(&self, source: &SourceSettings) -> Value;

    /// The settings of the view that go into the keys of steps that read samples: they turn an ingested sample into
    /// what the first module sees.
    ///
    /// # Errors
    /// When the settings cannot be described.
    fn framing_key(&self) -> Result<Value>;

    /// Whether samples are normalised by the mean and standard deviation of the training split.
    fn is_normalised_by_training(&self) -> bool {
        false
    }

    /// The name of the column of ingested samples.
    fn column(&self) -> &'static str;

    /// The column of ingested samples of this size.
    fn sample_column(&self, size: SampleSize) -> Column;

    /// The size of samples, from the shape of their column.
    fn size_of_column(&self, shape: &[usize]) -> Option<SampleSize>;

    /// The size of samples in an ingested dataset.
    ///
    /// # Errors
    /// When its first column does not hold such samples.
    fn size_in(&self, ingested: &Generation) -> Result<SampleSize> {
        let shape = ingested.manifest().schema.columns.first().map(|it| it.shape.as_slice());
        let size = shape.and_then(|shape| self.size_of_column(shape));
        size.ok_or_else(|| Error::failed(format!("samples of shape {shape:?}")))
    }

    /// The size of samples once they are ingested; `ingested` is the ingested dataset, if it exists.
    ///
    /// # Errors
    /// When neither the pipeline nor the ingested dataset tells it, and the headers of samples cannot be read.
    fn size(&self, pipeline: &Pipeline, ingested: Option<&Generation>) -> Result<SampleSize>;

    /// Checks that samples of this size fit the view.
    ///
    /// # Errors
    /// When they do not fit.
    fn check_size(&self, _size: SampleSize) -> Result<()> {
        Ok(())
    }

    /// Checks, before a split is ingested, that the view does not leave out all of its samples.
    ///
    /// # Errors
    /// When the view leaves out all of them, or the source cannot be read.
    fn check_split(&self, _pipeline: &Pipeline, _split: Split) -> Result<()> {
        Ok(())
    }

    /// Turns a decoded sample into what a dataset holds; `size` is what it must have, if that is known.
    ///
    /// # Errors
    /// When the sample is of another medium or size.
    fn ingested(&self, sample: Sample, size: Option<SampleSize>) -> Result<Sample>;

    /// Starts the ingest of these rows of a source; `has_hops` says whether samples have a label for every hop.
    ///
    /// # Errors
    /// When headers of samples cannot be read, or all samples are left out.
    fn ingest<'a>(
        &'a self,
        source: &'a dyn Source,
        rows: &[usize],
        has_hops: bool,
    ) -> Result<Box<dyn Ingest + 'a>>;

    /// Opens ingested samples as the input of the first module.
    ///
    /// # Errors
    /// When the samples cannot be read, or do not fit the view.
    fn input(&self, ingested: &Ingested<'_>) -> Result<Box<dyn Input>>;

    /// What the first module sees of a sample in evaluation; `sample` comes from [`Self::ingested`]. `None` if the view
    /// leaves it out because it is too short. `training` is the ingested training split, if
    /// [it is needed](Self::is_normalised_by_training).
    ///
    /// # Errors
    /// When the sample does not fit the view, or `training` does not say how loud it is.
    fn evaluated(&self, sample: &Sample, training: Option<&Generation>)
    -> Result<Option<Vec<f32>>>;

    /// The size of the part of a sample that is seen; `sample` comes from [`Self::ingested`].
    ///
    /// # Errors
    /// When the sample is of another medium.
    fn seen_size(&self, sample: &Sample) -> Result<SampleSize>;

    /// Whether words may be said in a sample.
    fn has_text(&self) -> bool {
        false
    }

    /// Where the hops with labels lie in what is seen; `None` if samples have no hops.
    fn hops(&self) -> Option<Hops> {
        None
    }
}

/// Where the hops of a window lie.
#[derive(Debug, Clone, Copy)]
pub struct Hops {
    /// Samples from one hop to the next.
    pub hop: usize,
    /// The number of hops that begin in a window.
    pub frames: usize,
}

/// An ingested split, for the first module to read.
pub struct Ingested<'a> {
    /// Its samples.
    pub samples: &'a Generation,
    /// The samples of the training split, if samples are normalised by them.
    pub training: Option<&'a Generation>,
    /// Where they came from; rows that are read where they lie are found by it.
    pub source: &'a SourceSettings,
    /// The split.
    pub split: Split,
    /// The seed of the pipeline, from which frames are drawn.
    pub seed: u64,
    /// The number of frozen views of each sample that were drawn for earlier generations.
    pub views_before: u64,
}

/// Samples that are kept, and those that are left out with the reason.
pub type KeptAndLeftOut = (Vec<Sample>, Vec<(Sample, String)>);

/// Writes the values of a chunk of samples: first the attributes, then the columns.
pub type Chunk<'a> = dyn FnMut(Vec<Vec<i64>>, &[Values<'_>]) -> Result<()> + 'a;

/// The ingest of a split.
pub trait Ingest {
    /// The columns of the dataset; `None` until the first sample has told them.
    fn columns(&self) -> Option<Vec<Column>>;

    /// The attributes of a row, before its further labels.
    fn attributes(&self) -> &'static [&'static str] {
        &[]
    }

    /// How columns are compressed.
    fn compression(&self) -> CompressionSetting;

    /// The number of samples to read next.
    fn at_once(&self) -> usize;

    /// The size that all samples must have, once it is known.
    fn size(&self) -> Option<SampleSize> {
        None
    }

    /// Whether it must see all samples, including those that were written before.
    fn sees_all(&self) -> bool {
        false
    }

    /// Looks at samples that were read. Returns the samples to keep, and those to leave out with the reason.
    ///
    /// # Errors
    /// When the samples cannot be what the pipeline says.
    fn look(&mut self, samples: Vec<Sample>) -> Result<KeptAndLeftOut>;

    /// Hands the values of kept samples to `write`.
    ///
    /// # Errors
    /// When the values do not fit the columns, or `write` fails.
    fn values(&self, samples: &[Sample], write: &mut Chunk<'_>) -> Result<()>;

    /// Checks everything that was seen, at the end.
    ///
    /// # Errors
    /// When the samples cannot be what the pipeline says.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The part of the dataset's summary that it adds.
    fn summary(&self) -> Option<SoundSummary> {
        None
    }

    /// Lines for the account, if there are any.
    fn account(&self) -> Option<String> {
        None
    }

    /// An addition to the line that is printed at the end.
    fn told(&self) -> String {
        String::new()
    }
}

/// The handler for samples of a view.
pub fn of(view: &View) -> &dyn Handler {
    match view {
        View::Images(view) => view,
        View::Sound(view) => view,
        View::Activations(view) => view,
    }
}

/// The normalisation that the ingest of the training split found.
///
/// # Errors
/// When its summary does not have it.
pub fn normalise_of(training: &Generation) -> Result<Normalise> {
    let level = Level::deserialize(&training.manifest().summary["sound"]);
    level.map(|it| it.normalise).map_err(|error| {
        Error::failed(format!("`{}` does not say how loud it is: {error}", training.dir()))
            .hint("set `view.normalise`, or ingest into another run with `--run-dir DIR`")
    })
}

/// An uncompressed column of ingested samples.
fn column(name: &str, dtype: DType, shape: Vec<usize>, dims: &[&str]) -> Column {
    Column {
        name: name.to_string(),
        dtype,
        shape,
        dims: dims.iter().map(|it| it.to_string()).collect(),
        compression: gimlet_store::Compression::None,
    }
}
