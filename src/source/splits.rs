//! Both splits of a data set, opened together: a label means one class in both.

use std::sync::Arc;

use super::aligned::{self, Unfit};
use super::{Classified, Source, labelling, open, open_split};
use crate::Result;
use crate::pipeline::{self, Data, PerSplit, Split};

/// Both splits.
pub struct Splits {
    /// The source of each.
    pub sources: PerSplit<Arc<dyn Source>>,
    /// What makes accuracies say nothing, or not what they seem to: told once, before any work.
    pub warnings: Vec<String>,
    /// Rows that have the first label, of each split; `None` where that is not known.
    pub labelled: PerSplit<Option<Labelled>>,
    /// Both as what may have alignments.
    files: Option<PerSplit<Arc<dyn Classified>>>,
}

/// Rows of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labelled {
    /// With a label.
    pub with: u64,
    /// Without one.
    pub without: u64,
}

impl Splits {
    /// Checks that alignments, where there are some, fit the recordings of both splits.
    ///
    /// # Errors
    /// When none fits any recording, one fits several, or a file cannot be read.
    pub fn check_alignments(&self) -> Result<Unfit> {
        let Some(files) = &self.files else { return Ok(Unfit::default()) };
        aligned::check(files.train.aligned()?, files.test.aligned()?)
    }
}

/// Opens both splits of `data`; `seed` is the pipeline's, for generated data. Their classes are those of both
/// together.
///
/// # Errors
/// When a split cannot be opened; when the labels of the splits contradict each other, or those of the
/// training split are ids.
pub fn open_splits(data: &Data, seed: u64) -> Result<Splits> {
    let pipeline::Source::Files(files) = &data.source else {
        let sources = PerSplit::try_from_fn(|split| open(data, split, seed))?;
        let (warnings, labelled) = (Vec::new(), PerSplit::default());
        return Ok(Splits { sources, warnings, labelled, files: None });
    };
    let mut train = open_split(data, files, Split::Train)?;
    let mut test = open_split(data, files, Split::Test)?;
    let warnings = labelling::number(train.labels(), test.labels())?;
    let (of_train, of_test) = (train.rows(), test.rows());
    let labelled =
        PerSplit { train: train.labels().counts(of_train), test: test.labels().counts(of_test) };
    let files = PerSplit { train, test }.map(Arc::<dyn Classified>::from);
    let sources = files.clone().map(|it| it as Arc<dyn Source>);
    Ok(Splits { sources, warnings, labelled, files: Some(files) })
}
