//! Both splits of a data set, opened together: a label means one class in both.

use super::{Classified, Source, labelling, open, open_split};
use crate::Result;
use crate::pipeline::{self, Data, PerSplit, Split};

/// Both splits.
pub struct Splits {
    pub train: Box<dyn Source>,
    pub test: Box<dyn Source>,
    /// What makes accuracies say nothing, or not what they seem to: told once, before any work.
    pub warnings: Vec<String>,
    /// Rows that have the first label, of each split; `None` where that is not known.
    pub labelled: PerSplit<Option<Labelled>>,
}

/// Rows of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labelled {
    /// With a label.
    pub with: u64,
    /// Without one.
    pub without: u64,
}

/// Opens both splits of `data`; `seed` is the pipeline's, for generated data. Their classes are those of both
/// together.
///
/// # Errors
/// When a split cannot be opened; when the labels of the splits contradict each other, or those of the
/// training split are ids.
pub fn open_splits(data: &Data, seed: u64) -> Result<Splits> {
    let pipeline::Source::Files(files) = &data.source else {
        let [train, test] = [Split::Train, Split::Test].map(|split| open(data, split, seed));
        let (train, test) = (train?, test?);
        return Ok(Splits { train, test, warnings: Vec::new(), labelled: PerSplit::default() });
    };
    let mut train: Box<dyn Classified> = open_split(data, files, Split::Train)?;
    let mut test: Box<dyn Classified> = open_split(data, files, Split::Test)?;
    let warnings = labelling::number(train.labels(), test.labels())?;
    let (of_train, of_test) = (train.rows(), test.rows());
    let labelled =
        PerSplit { train: train.labels().counts(of_train), test: test.labels().counts(of_test) };
    Ok(Splits { train, test, warnings, labelled })
}
