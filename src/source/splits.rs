//! Opens both splits of a data set together, so that a label means the same class in both.

use std::sync::Arc;

use super::activations::{Activations, Reading};
use super::aligned::{self, Unfit};
use super::{Classified, Source, labelling, open, open_split};
use crate::Result;
use crate::pipeline::{self, Data, PerSplit, Split};

/// Both splits of a data set.
pub struct Splits {
    /// The source of each split.
    pub sources: PerSplit<Arc<dyn Source>>,
    /// Reasons why accuracies may be meaningless or misleading, reported once before any work.
    pub warnings: Vec<String>,
    /// Rows that have the first label, per split; `None` if that is not known.
    pub labelled: PerSplit<Option<Labelled>>,
    /// Both sources again, if they are files, to check alignments.
    files: Option<PerSplit<Arc<dyn Classified>>>,
}

/// Numbers of rows of a split with and without a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labelled {
    /// Rows with a label.
    pub with: u64,
    /// Rows without a label.
    pub without: u64,
}

impl Splits {
    /// Checks that alignments, if there are any, fit the recordings of both splits.
    ///
    /// # Errors
    /// When no alignment fits any recording, one fits several, or a file cannot be read.
    pub fn check_alignments(&self) -> Result<Unfit> {
        let Some(files) = &self.files else { return Ok(Unfit::default()) };
        aligned::check(files.train.aligned()?, files.test.aligned()?)
    }
}

/// Opens both splits of `data`, with classes from both together; `seed` is the pipeline's, for generated data.
///
/// # Errors
/// When a split cannot be opened; when the labels of the splits contradict each other, or those of the
/// training split are ids.
pub fn open_splits(data: &Data, seed: u64) -> Result<Splits> {
    let of_split = |split| -> Result<Option<Box<dyn Classified>>> {
        match &data.source {
            pipeline::Source::Files(files) => open_split(data, files, split).map(Some),
            pipeline::Source::Activations(files) => {
                Ok(Some(Box::new(Activations::open(files, split, Reading::InPlace)?)))
            }
            pipeline::Source::Textures(_) | pipeline::Source::Own(_) => Ok(None),
        }
    };
    let (Some(mut train), Some(mut test)) = (of_split(Split::Train)?, of_split(Split::Test)?)
    else {
        let sources = PerSplit::try_from_fn(|split| open(data, split, seed))?;
        let (warnings, labelled) = (Vec::new(), PerSplit::default());
        return Ok(Splits { sources, warnings, labelled, files: None });
    };
    let warnings = labelling::number(train.labels(), test.labels())?;
    let labelled = PerSplit { train: train.labelled(), test: test.labelled() };
    let files = PerSplit { train, test }.map(Arc::<dyn Classified>::from);
    let sources = files.clone().map(|it| it as Arc<dyn Source>);
    Ok(Splits { sources, warnings, labelled, files: Some(files) })
}
