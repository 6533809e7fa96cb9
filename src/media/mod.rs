//! What the steps of a run do in another way for each medium. A medium is a file with its [`Handler`], and its line in
//! [`of`].

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

/// The most samples that are read at once, and the most memory that their values may take.
const CHUNK: usize = 512;
const CHUNK_BYTES: usize = 128 << 20;

/// Samples to read at once, where each has this many bytes of values.
pub fn rows_at_once(bytes: usize) -> usize {
    (CHUNK_BYTES / bytes.max(1)).clamp(1, CHUNK)
}

/// What the steps of a run do with samples of a medium, as a view has them.
pub trait Handler {
    /// What the key of `ingest` has of the view.
    fn ingest_key(&self, source: &SourceSettings) -> Value;

    /// What the keys of steps that read samples have of the view: what turns an ingested sample into what the first
    /// module sees.
    ///
    /// # Errors
    /// When that cannot be described.
    fn framing_key(&self) -> Result<Value>;

    /// Whether samples are normalised as the training split has them.
    fn is_normalised_by_training(&self) -> bool {
        false
    }

    /// The name of the column of ingested samples.
    fn column(&self) -> &'static str;

    /// The column of ingested samples of this size.
    fn sample_column(&self, size: SampleSize) -> Column;

    /// How large samples are, as the shape of their column says.
    fn size_of_column(&self, shape: &[usize]) -> Option<SampleSize>;

    /// How large the samples are once they are ingested; `ingested` are those, where they are there.
    ///
    /// # Errors
    /// When neither the pipeline nor what was ingested says it, and the headers of samples cannot be read.
    fn size(&self, pipeline: &Pipeline, ingested: Option<&Generation>) -> Result<SampleSize>;

    /// Checks that samples of this size fit the view.
    ///
    /// # Errors
    /// When they do not.
    fn check_size(&self, _size: SampleSize) -> Result<()> {
        Ok(())
    }

    /// Checks, before a split is ingested, that some of its samples will be.
    ///
    /// # Errors
    /// When the view leaves out all of them; when the source cannot be read.
    fn check_split(&self, _pipeline: &Pipeline, _split: Split) -> Result<()> {
        Ok(())
    }

    /// A sample as a dataset holds it, from what was decoded; of `size`, where that is known.
    ///
    /// # Errors
    /// When it is of another medium or size.
    fn ingested(&self, sample: Sample, size: Option<SampleSize>) -> Result<Sample>;

    /// The ingest of these rows of a source; `has_hops` says whether samples have a label for every hop.
    ///
    /// # Errors
    /// When headers of samples cannot be read, or all are left out.
    fn ingest<'a>(
        &'a self,
        source: &'a dyn Source,
        rows: &[usize],
        has_hops: bool,
    ) -> Result<Box<dyn Ingest + 'a>>;

    /// What the first module reads of ingested samples.
    ///
    /// # Errors
    /// When they cannot be read, or do not fit the view.
    fn input(&self, ingested: &Ingested<'_>) -> Result<Box<dyn Input>>;

    /// What the first module reads of a sample in evaluation, as [`Self::ingested`] left it; `None` where the view
    /// leaves it out, as it is too short. `training` is the ingested training split, where that
    /// [is needed](Self::is_normalised_by_training).
    ///
    /// # Errors
    /// When it does not fit the view, or `training` does not say how loud it is.
    fn evaluated(&self, sample: &Sample, training: Option<&Generation>)
    -> Result<Option<Vec<f32>>>;

    /// How large what is seen of a sample is, as [`Self::ingested`] left it.
    ///
    /// # Errors
    /// When it is of another medium.
    fn seen_size(&self, sample: &Sample) -> Result<SampleSize>;

    /// Whether words may be said in a sample.
    fn has_text(&self) -> bool {
        false
    }

    /// How labels of hops lie in what is seen; `None` where samples have no hops.
    fn hops(&self) -> Option<Hops> {
        None
    }
}

/// Where hops lie.
#[derive(Debug, Clone, Copy)]
pub struct Hops {
    /// Samples from one to the next.
    pub hop: usize,
    /// Those that begin in a window.
    pub frames: usize,
}

/// An ingested split, to be read by the first module.
pub struct Ingested<'a> {
    /// Its samples.
    pub samples: &'a Generation,
    /// Those of the training split, where samples are normalised by them.
    pub training: Option<&'a Generation>,
    /// Which split it is.
    pub split: Split,
    /// The pipeline's, from which frames are drawn.
    pub seed: u64,
    /// Frozen views of each sample that were drawn for earlier generations.
    pub views_before: u64,
}

/// The values of a chunk of samples: of attributes, then of columns.
pub type Chunk<'a> = dyn FnMut(Vec<Vec<i64>>, &[Values<'_>]) -> Result<()> + 'a;

/// A split while it is ingested.
pub trait Ingest {
    /// The columns of the dataset; `None` until a sample has been seen that says what they are.
    fn columns(&self) -> Option<Vec<Column>>;

    /// The attributes of a row, in front of its further labels.
    fn attributes(&self) -> &'static [&'static str] {
        &[]
    }

    /// How columns are compressed.
    fn compression(&self) -> CompressionSetting;

    /// Samples to read next.
    fn at_once(&self) -> usize;

    /// How large all samples must be, once that is known.
    fn size(&self) -> Option<SampleSize> {
        None
    }

    /// Whether it has to see all samples, those that were written before, too.
    fn sees_all(&self) -> bool {
        false
    }

    /// Takes note of samples that were read, and gives those that are kept, then those that are left out and why.
    ///
    /// # Errors
    /// When they cannot be what the pipeline says.
    fn look(&mut self, samples: Vec<Sample>) -> Result<(Vec<Sample>, Vec<(Sample, String)>)>;

    /// Hands the values of samples that are kept to `write`.
    ///
    /// # Errors
    /// When they do not fit the columns, and those of `write`.
    fn values(&self, samples: &[Sample], write: &mut Chunk<'_>) -> Result<()>;

    /// Checks all that was seen, once it has been.
    ///
    /// # Errors
    /// When samples cannot be what the pipeline says.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// What it adds to the summary of the dataset.
    fn summary(&self) -> Option<SoundSummary> {
        None
    }

    /// What it adds to the account, a line each.
    fn account(&self) -> Option<String> {
        None
    }

    /// What it adds to the line that is told at the end.
    fn told(&self) -> String {
        String::new()
    }
}

/// What is done with samples that are seen so.
pub fn of(view: &View) -> &dyn Handler {
    match view {
        View::Images(view) => view,
        View::Sound(view) => view,
    }
}

/// How large the samples of an ingested dataset are.
///
/// # Errors
/// When its first column is not one of such samples.
pub fn size_of(view: &View, ingested: &Generation) -> Result<SampleSize> {
    let shape = ingested.manifest().schema.columns.first().map(|it| it.shape.as_slice());
    let size = shape.and_then(|shape| of(view).size_of_column(shape));
    size.ok_or_else(|| Error::failed(format!("samples of shape {shape:?}")))
}

/// How samples are normalised, as was found of the ingested training split.
///
/// # Errors
/// When it does not say so.
pub fn normalise_of(training: &Generation) -> Result<Normalise> {
    let level = Level::deserialize(&training.manifest().summary["sound"]);
    level.map(|it| it.normalise).map_err(|error| {
        Error::failed(format!("`{}` does not say how loud it is: {error}", training.dir()))
            .hint("set `view.normalise`, or ingest into another run with `--run-dir DIR`")
    })
}

/// A column of ingested samples, not compressed.
fn column(name: &str, dtype: DType, shape: Vec<usize>, dims: &[&str]) -> Column {
    Column {
        name: name.to_string(),
        dtype,
        shape,
        dims: dims.iter().map(|it| it.to_string()).collect(),
        compression: gimlet_store::Compression::None,
    }
}
