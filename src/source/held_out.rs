//! Takes the test split out of the rows of the training split: `data.hold_out`.

use serde_json::json;

use super::labelling::Labels;
use super::splits::Labelled;
use super::{
    Aligned, BadSample, Classified, Content, Keep, LabelSet, Length, PassedOver, Sample, Source,
    no_such_row,
};
use crate::pipeline::settings::Split;
use crate::random;
use crate::{Error, Result};

/// The rows of one split of a source whose rows are those of both.
///
/// The rows are taken in blocks of `every`, of each of which one drawn row is of the test split. So both splits have
/// their share of every stretch of the source, also where classes follow each other or alternate. What is drawn depends
/// on `every` alone: all seeds of a pipeline are judged on the same rows.
pub(super) struct HeldOut {
    whole: Box<dyn Classified>,
    every: usize,
    split: Split,
    /// The rows of the split, ascending.
    rows: Vec<usize>,
}

impl HeldOut {
    /// Takes the rows of `split` out of `whole`.
    ///
    /// # Errors
    /// When there are fewer than two rows.
    pub fn new(whole: Box<dyn Classified>, every: usize, split: Split) -> Result<Self> {
        let rows = rows_of(whole.rows(), every, split)?;
        Ok(Self { whole, every, split, rows })
    }

    fn rows_of(&self, rows: &[usize]) -> Result<Vec<usize>> {
        let row = |row: &usize| {
            self.rows.get(*row).copied().ok_or_else(|| no_such_row(*row, self.rows.len()))
        };
        rows.iter().map(row).collect()
    }

    /// The row of the split that a row of the whole source is.
    fn id(&self, row: i64) -> i64 {
        self.rows.partition_point(|it| (*it as i64) < row) as i64
    }
}

/// The rows of `split` among `all` rows, ascending, where one of every `every` is of the test split.
///
/// # Errors
/// When there are fewer than two rows.
pub(super) fn rows_of(all: usize, every: usize, split: Split) -> Result<Vec<usize>> {
    if all < 2 {
        let message = format!("`data.hold_out` makes two splits, and there is {all} sample");
        return Err(Error::failed(message).hint("name more samples in `data.train`"));
    }
    let mut rows = Vec::new();
    for (block, first) in (0..all).step_by(every).enumerate() {
        let mut draws = random::generator(0, "hold-out", &[block as u64]);
        let drawn = draws.below(u32::try_from(every).unwrap_or(u32::MAX)) as usize;
        let length = every.min(all - first);
        // The only block has a row of the test split, however short it is.
        let drawn = if block == 0 { drawn % length } else { drawn };
        match split {
            Split::Test if drawn < length => rows.push(first + drawn),
            Split::Test => {}
            Split::Train => rows.extend((0..length).filter(|it| *it != drawn).map(|it| first + it)),
        }
    }
    Ok(rows)
}

impl Source for HeldOut {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn label_names(&self) -> Option<&[String]> {
        self.whole.label_names()
    }

    fn is_labelled(&self) -> bool {
        self.whole.is_labelled()
    }

    fn further_labels(&self) -> &[LabelSet] {
        self.whole.further_labels()
    }

    fn frame_names(&self) -> Option<&[String]> {
        self.whole.frame_names()
    }

    fn content(&self) -> Content {
        let mut content = self.whole.content();
        content.made["hold_out"] = json!({ "every": self.every, "split": self.split.name() });
        content
    }

    fn passed_over(&self) -> &[PassedOver] {
        self.whole.passed_over()
    }

    fn read_through(&self, rows: &[usize], keep: &Keep) -> Result<Vec<Result<Sample, BadSample>>> {
        let keep = |sample: Sample| keep(Sample { id: self.id(sample.id), ..sample });
        let read = self.whole.read_through(&self.rows_of(rows)?, &keep)?;
        let bad = |bad: BadSample| BadSample { id: self.id(bad.id), ..bad };
        Ok(read.into_iter().map(|it| it.map_err(bad)).collect())
    }

    fn first_size(&self) -> Result<Option<(usize, usize)>> {
        self.whole.first_size()
    }

    fn lengths(&self, rows: &[usize]) -> Result<Vec<Option<Length>>> {
        self.whole.lengths(&self.rows_of(rows)?)
    }
}

impl Classified for HeldOut {
    fn labels(&mut self) -> &mut Labels {
        self.whole.labels()
    }

    fn labelled(&mut self) -> Option<Labelled> {
        let rows = self.rows.len() as u64;
        // Which of the rows have none is not known before they are read.
        match self.whole.labelled()? {
            Labelled { without: 0, .. } => Some(Labelled { with: rows, without: 0 }),
            Labelled { with: 0, .. } => Some(Labelled { with: 0, without: rows }),
            _ => None,
        }
    }

    fn aligned(&self) -> Result<Option<Aligned<'_>>> {
        self.whole.aligned()
    }
}
