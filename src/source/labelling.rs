//! The labels of a split and the numbers of their classes.

use serde_json::Value;

use super::classes::{Classes, Numbering, OfSplit};
use super::csv_labels::CsvLines;
use super::label_warnings;
use super::splits::Labelled;
use super::tally::Tally;
use super::{LabelSet, NO_FRAME};
use crate::pipeline::settings::Split;
use crate::{Error, Result};

/// One label: its values in the rows, and the classes they become.
#[derive(Debug)]
pub(super) struct Labelling {
    pub tally: Tally,
    pub classes: Classes,
}

/// All labels of a split.
#[derive(Debug)]
pub(super) struct Labels {
    /// In the order of the pipeline's columns.
    pub columns: Vec<Labelling>,
    /// The labels of hops.
    pub hops: Option<Labelling>,
    /// The lines of a CSV file, if it has the labels.
    pub lines: Option<CsvLines>,
    /// The label sets of the columns after the first.
    further: Vec<LabelSet>,
}

impl Labels {
    /// Labels with their own classes, until [`number`] gives them those of both splits.
    ///
    /// # Errors
    /// Fails like [`Classes::of`].
    pub fn new(columns: Vec<Tally>, hops: Option<Tally>, numbering: Numbering) -> Result<Self> {
        let alone = |tally: Tally| {
            let mut classes = Classes::of(&[OfSplit { split: None, tally: &tally }], numbering)?;
            let classes = classes.pop().ok_or_else(|| Error::failed("a label without classes"))?;
            Ok(Labelling { tally, classes })
        };
        let columns = columns.into_iter().map(alone).collect::<Result<_>>()?;
        let hops = hops.map(alone).transpose()?;
        let mut labels = Self { columns, hops, lines: None, further: Vec::new() };
        labels.name_further();
        Ok(labels)
    }

    fn name_further(&mut self) {
        let set = |it: &Labelling| LabelSet {
            name: it.tally.column.clone(),
            names: it.classes.names().map(<[String]>::to_vec),
        };
        self.further = self.columns.iter().skip(1).map(set).collect();
    }

    /// The names of the first label's classes.
    pub fn names(&self) -> Option<&[String]> {
        self.columns.first()?.classes.names()
    }

    pub fn further(&self) -> &[LabelSet] {
        &self.further
    }

    /// What the stored rows depend on; it goes into the key of a dataset.
    pub fn made(&self) -> Value {
        let all = self.columns.iter().chain(&self.hops);
        all.map(|it| it.classes.made()).collect()
    }

    /// How many of `rows` rows have the first label; `None` if that is not known.
    pub fn counts(&self, rows: usize) -> Option<Labelled> {
        let rows = rows as u64;
        let without = match self.columns.first() {
            None => rows,
            Some(first) if first.tally.counted => first.classes.missing(&first.tally),
            Some(_) => return None,
        };
        Some(Labelled { with: rows.saturating_sub(without), without })
    }

    /// Checks that a CSV file has labels.
    ///
    /// # Errors
    /// When a CSV file has no label for any file.
    pub fn check_lines(&self) -> Result<()> {
        let is_empty = |it: &Labelling| it.tally.texts.is_empty();
        match &self.lines {
            Some(lines) if self.columns.iter().all(is_empty) => Err(lines.no_label()),
            _ => Ok(()),
        }
    }
}

/// Gives the labels of both splits one numbering. Returns warnings.
///
/// # Errors
/// When labels of the splits contradict each other, or those of the training split are ids.
pub(super) fn number(train: &mut Labels, test: &mut Labels) -> Result<Vec<String>> {
    if train.check_lines().is_err() {
        // The labels of one split may lie in a file that has none for the other.
        test.check_lines()?;
    }
    let mut told = CsvLines::warnings(train.lines.as_ref(), test.lines.as_ref());
    let columns = train.columns.iter_mut().zip(&mut test.columns).map(|it| (it, usize::MAX));
    let hops = train.hops.iter_mut().zip(&mut test.hops).map(|it| (it, usize::from(NO_FRAME)));
    for ((one, other), most) in columns.chain(hops) {
        let splits = [
            OfSplit { split: Some(Split::Train), tally: &one.tally },
            OfSplit { split: Some(Split::Test), tally: &other.tally },
        ];
        let mut classes = Classes::of(&splits, Numbering::Classes)?;
        told.extend(label_warnings::of(&splits, &classes)?);
        let (Some(of_test), Some(of_train)) = (classes.pop(), classes.pop()) else { continue };
        let count = of_train.names().map_or(0, <[String]>::len);
        if count > most {
            let column = &one.tally.column;
            let message =
                format!("`{column}` has {count} classes of hops, at most {most} are read");
            return Err(Error::failed(message)
                .hint("set `data.frames` to a column of classes, such as phones"));
        }
        (one.classes, other.classes) = (of_train, of_test);
    }
    train.name_further();
    test.name_further();
    Ok(told)
}
