//! Tallies one label of all rows as it was found: which values, how often, and where first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::class_order::Order;
use super::unicode_form::composed;

/// The most classes that are told apart. A probe has the same limit.
pub(super) const MOST_CLASSES: usize = 1 << 16;

/// The most bytes of all class names together, if classes are text.
const LONGEST_NAMES: usize = 4 << 20;

/// Whether labels are whole numbers or text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Neither, since no row has a label.
    Nothing,
    Numbers,
    Text,
}

/// The rows that have a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// Their number; 0 for a class whose folder has no file.
    pub rows: u64,
    /// Where the first row is, for people.
    pub first: String,
}

/// The names of classes by number, and the file that has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    pub list: Vec<String>,
    /// The file; `None` if the names follow from a type.
    pub file: Option<PathBuf>,
}

/// The labels of a split, in one column.
#[derive(Debug)]
pub(super) struct Tally {
    /// The name of the column in the pipeline.
    pub column: String,
    pub kind: Kind,
    /// How class names of text are sorted.
    pub order: Order,
    /// The names of numbers, if they have any.
    pub names: Option<Names>,
    pub numbers: BTreeMap<i128, Seen>,
    /// Rows per text, in composed Unicode.
    pub texts: BTreeMap<String, Seen>,
    /// Rows without a label. A -1 counts as a value here.
    pub missing: u64,
    /// For each composed text that is not ASCII, the forms that were found.
    pub forms: BTreeMap<String, BTreeSet<String>>,
    /// Whether all rows were looked at.
    pub counted: bool,
    /// Whether any number is a class and stays as it is.
    pub kept: bool,
    /// Whether there are more values than were kept.
    pub full: bool,
    /// Bytes of all texts that were kept.
    bytes: usize,
}

impl Tally {
    pub fn new(column: &str, order: Order) -> Self {
        Self {
            column: column.to_owned(),
            kind: Kind::Nothing,
            order,
            names: None,
            numbers: BTreeMap::new(),
            texts: BTreeMap::new(),
            missing: 0,
            forms: BTreeMap::new(),
            counted: true,
            kept: false,
            full: false,
            bytes: 0,
        }
    }

    /// A tally of class numbers that were not looked at.
    pub fn uncounted(column: &str, names: Option<Names>) -> Self {
        let tally = Self::new(column, Order::Numbers);
        Self { kind: Kind::Numbers, names, counted: false, kept: true, ..tally }
    }

    /// Adds a row with a number, or without a label; `at` says where the row is.
    pub fn add_number(&mut self, number: Option<i128>, at: impl FnOnce() -> String) {
        self.kind = Kind::Numbers;
        let Some(number) = number else {
            self.missing += 1;
            return;
        };
        if let Some(seen) = self.numbers.get_mut(&number) {
            seen.rows += 1;
        } else if self.has_room(0) {
            self.numbers.insert(number, Seen { rows: 1, first: at() });
        }
    }

    /// Adds a row with a text, or without a label; `at` says where the row is. An empty text is no label.
    pub fn add_text(&mut self, text: Option<&str>, at: impl FnOnce() -> String) {
        self.kind = Kind::Text;
        match text.filter(|it| !it.is_empty()) {
            Some(text) => self.add_form(text, 1, at),
            None => self.missing += 1,
        }
    }

    /// Adds a class that may have no row.
    pub fn add_class(&mut self, text: &str) {
        self.kind = Kind::Text;
        self.add_form(text, 0, String::new);
    }

    fn add_form(&mut self, text: &str, rows: u64, at: impl FnOnce() -> String) {
        let whole = composed(text);
        if !text.is_ascii() && !self.forms.get(&*whole).is_some_and(|it| it.contains(text)) {
            if !self.has_room(text.len()) {
                return;
            }
            self.forms.entry(whole.to_string()).or_default().insert(text.to_owned());
        }
        if let Some(seen) = self.texts.get_mut(&*whole) {
            if seen.rows == 0 && rows > 0 {
                seen.first = at();
            }
            seen.rows += rows;
        } else if self.has_room(whole.len()) {
            let first = if rows > 0 { at() } else { String::new() };
            self.texts.insert(whole.into_owned(), Seen { rows, first });
        }
    }

    /// Whether there is room for another value of `bytes` bytes.
    fn has_room(&mut self, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        let most = self.numbers.len().max(self.texts.len()) == MOST_CLASSES;
        self.full |= most || self.bytes > LONGEST_NAMES;
        !self.full
    }
}
