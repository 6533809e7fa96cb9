//! What a file of settings can say: one [`Setting`] per key, with its form, default, unit and bounds.
//!
//! Parsing takes bounds from here. Messages, `gimlet help pipeline`, the pages of `docs/reference` and the JSON schema
//! are made from the same settings.

use std::fmt::Display;
use std::ops::{BitOr, RangeInclusive};

use serde_json::Value;

/// One key of a pipeline file or a sweep file.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The name with dots, as `--set` takes it; in a list of tables without the name of an item: `modules.epochs`.
    pub name: String,
    /// What its value looks like.
    pub form: Form,
    /// What holds when it is left out.
    pub absent: Absent,
    /// The unit of its number; empty where there is none.
    pub unit: &'static str,
    /// The steps that have to be done again when it changes.
    pub stale: Stale,
    /// A value as TOML; empty where the default is example enough.
    pub example: String,
    /// What it is for: paragraphs of Markdown. The first sentence stands alone.
    pub doc: String,
}

impl Setting {
    /// A setting that must be given, and makes nothing stale.
    pub fn new(name: impl Into<String>, form: Form) -> Self {
        Self {
            name: name.into(),
            form,
            absent: Absent::Required,
            unit: "",
            stale: Stale::NOTHING,
            example: String::new(),
            doc: String::new(),
        }
    }

    /// A table of settings, which may be left out.
    pub fn table(name: impl Into<String>, doc: impl Into<String>) -> Self {
        Self::new(name, Form::Table).or("").doc(doc)
    }

    /// Sets the default, as TOML.
    #[must_use]
    pub fn default(self, value: impl Display) -> Self {
        Self { absent: Absent::Value(value.to_string()), ..self }
    }

    /// Makes it one that must be given.
    #[must_use]
    pub fn required(self) -> Self {
        Self { absent: Absent::Required, ..self }
    }

    /// Sets what holds when it is left out, in words.
    #[must_use]
    pub fn or(self, words: &'static str) -> Self {
        Self { absent: Absent::Means(words), ..self }
    }

    /// Sets the unit.
    #[must_use]
    pub fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    /// Sets the steps that it makes stale.
    #[must_use]
    pub fn stale(self, stale: Stale) -> Self {
        Self { stale, ..self }
    }

    /// Sets an example, as TOML.
    #[must_use]
    pub fn example(self, value: impl Display) -> Self {
        Self { example: value.to_string(), ..self }
    }

    /// Sets what it is for.
    #[must_use]
    pub fn doc(self, doc: impl Into<String>) -> Self {
        Self { doc: doc.into(), ..self }
    }

    /// The last part of the name.
    pub fn key(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }

    /// The first sentence of the doc, on one line.
    pub fn summary(&self) -> String {
        let first = self.doc.split("\n\n").next().unwrap_or_default();
        let line = first.split_whitespace().collect::<Vec<_>>().join(" ");
        match line.find(". ") {
            Some(end) => line[..=end].to_owned(),
            None => line,
        }
    }

    /// Fails unless `number` is within the bounds; the error is the message.
    ///
    /// # Errors
    /// The message for a number out of bounds.
    pub fn check(&self, number: f64) -> Result<(), String> {
        let key = self.key();
        match &self.form {
            Form::Whole(bounds) => {
                let (least, most) = (*bounds.start(), *bounds.end());
                if number < least as f64 {
                    return Err(format!("`{key}` must be at least {least}, not {number}"));
                }
                if number > most as f64 {
                    return Err(format!("`{key}` must be at most {most}, not {number}"));
                }
                Ok(())
            }
            Form::Bytes(least) if number < *least as f64 => {
                Err(format!("`{key}` must be at least {least} byte"))
            }
            Form::Number(interval) if !interval.has(number) => {
                let mut wanted = self.form.words();
                if !self.unit.is_empty() {
                    wanted += &format!(" ({})", self.unit);
                }
                Err(format!("`{key}` must be {wanted}, not {number}"))
            }
            _ => Ok(()),
        }
    }
}

/// What the value of a setting looks like.
#[derive(Debug, Clone)]
pub enum Form {
    /// A whole number, with both bounds included.
    Whole(RangeInclusive<u64>),
    /// A number.
    Number(Interval),
    /// A list of numbers.
    Numbers(Interval),
    /// `true` or `false`.
    Flag,
    /// A string.
    Text,
    /// One of these strings.
    Words(Vec<&'static str>),
    /// A list of strings.
    Texts,
    /// A string, or a list of them.
    TextOrTexts,
    /// A number of bytes of this or more, or a string of a number and a unit.
    Bytes(u64),
    /// A table, whose keys are settings of their own.
    Table,
    /// A list of tables, whose keys are settings of their own.
    Tables,
    /// A table of any keys.
    AnyKeys,
    /// A table with one of its keys.
    OneKey,
    /// The name of one of its keys, or a table with that key.
    NameOrOneKey,
    /// A list of tables with one of its keys each.
    ListOfOneKey,
    /// A `kind` alone, or a table with it and other keys.
    KindOrTable,
    /// Something else: in words, and as a JSON schema.
    Other(&'static str, fn() -> Value),
}

impl Form {
    /// A whole number within `bounds`.
    pub fn whole(bounds: RangeInclusive<usize>) -> Self {
        Self::Whole(*bounds.start() as u64..=*bounds.end() as u64)
    }

    /// A whole number within bounds that are given as numbers.
    pub fn whole_of(bounds: RangeInclusive<f64>) -> Self {
        Self::Whole(*bounds.start() as u64..=*bounds.end() as u64)
    }

    /// The form in words that fit behind "must be".
    pub fn words(&self) -> String {
        let plain = match self {
            Self::Whole(bounds) => {
                let (least, most) = (bounds.start(), bounds.end());
                return match *most >= i32::MAX as u64 {
                    true => format!("a whole number of {least} or more"),
                    false => format!("a whole number from {least} to {most}"),
                };
            }
            Self::Number(interval) => return interval.words("a number", "a finite number"),
            Self::Numbers(interval) => {
                return interval.words("a list of numbers", "a list of finite numbers");
            }
            Self::Words(words) => {
                let all: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                return match all.as_slice() {
                    [only] => only.clone(),
                    [before @ .., last] => format!("{} or {last}", before.join(", ")),
                    [] => String::new(),
                };
            }
            Self::Flag => "true or false",
            Self::Text => "a string",
            Self::Texts => "a list of strings",
            Self::TextOrTexts => "a string, or a list of strings",
            Self::Bytes(_) => "a number of bytes, such as 20000000000 or \"20GB\"",
            Self::Table | Self::AnyKeys => "a table",
            Self::Tables => "a list of tables",
            Self::OneKey => "a table with one key",
            Self::NameOrOneKey => "a name, or a table with that name as its one key",
            Self::ListOfOneKey => "a list of tables with one key each",
            Self::KindOrTable => "a kind, or a table with its `kind`",
            Self::Other(words, _) => words,
        };
        plain.to_owned()
    }
}

/// The numbers between two bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower bound.
    pub least: f64,
    /// Whether the lower bound itself is left out.
    pub above: bool,
    /// The upper bound; infinite where there is none.
    pub most: f64,
    /// Whether the upper bound itself is left out.
    pub below: bool,
}

impl Interval {
    /// All finite numbers.
    pub const FINITE: Self =
        Self { least: f64::NEG_INFINITY, above: true, most: f64::INFINITY, below: true };
    /// Finite numbers above 0.
    pub const POSITIVE: Self = Self { least: 0.0, ..Self::FINITE };
    /// Finite numbers of 0 or more.
    pub const NOT_NEGATIVE: Self = Self { above: false, ..Self::POSITIVE };

    /// The numbers from `least` to `most`, both included.
    pub const fn between(least: f64, most: f64) -> Self {
        Self { least, above: false, most, below: false }
    }

    /// The numbers from `least` to less than `most`.
    pub const fn below(least: f64, most: f64) -> Self {
        Self { least, above: false, most, below: true }
    }

    /// Whether `number` is one of them.
    pub fn has(self, number: f64) -> bool {
        let Self { least, above, most, below } = self;
        let over = if above { number > least } else { number >= least };
        over && if below { number < most } else { number <= most }
    }

    fn words(self, number: &str, finite: &str) -> String {
        let Self { least, above, most, below } = self;
        match (most.is_finite(), least.is_finite()) {
            (true, _) => {
                let to = if below { "less than " } else { "" };
                format!("{number} from {least} to {to}{most}")
            }
            (false, false) => finite.to_owned(),
            (false, true) if above => format!("{finite} above {least}"),
            (false, true) => format!("{finite} of {least} or more"),
        }
    }
}

/// What holds when a setting is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absent {
    /// It must be given.
    Required,
    /// This value, as TOML.
    Value(String),
    /// What the words say; nothing to say where they are empty.
    Means(&'static str),
}

/// The kinds of steps that a setting makes stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale(u8);

impl Stale {
    /// No step.
    pub const NOTHING: Self = Self(0);
    /// Ingest, and so all that follows.
    pub const EVERYTHING: Self = Self(0b11111);
    /// Everything after ingest.
    pub const AFTER_INGEST: Self = Self(0b11110);
    /// Everything but trainings: what the test split is made of.
    pub const TEST_SPLIT: Self = Self(0b11011);
    /// Training and what follows.
    pub const TRAINING: Self = Self(0b11100);
    /// Probes alone.
    pub const PROBES: Self = Self(0b10000);

    const NAMES: [&str; 5] = ["ingest", "untrained", "train", "encode", "probe"];

    /// The kind of step of this name; `None` where there is none.
    pub fn of(name: &str) -> Option<Self> {
        Self::NAMES.iter().position(|it| *it == name).map(|place| Self(1 << place))
    }

    /// The names of the kinds of steps, in the order of a run.
    pub fn names(self) -> Vec<&'static str> {
        let named = Self::NAMES.iter().enumerate();
        named.filter(|(place, _)| self.0 >> place & 1 == 1).map(|(_, name)| *name).collect()
    }

    /// The steps in words.
    pub fn words(self) -> String {
        match self {
            Self::NOTHING => "nothing".to_owned(),
            _ => self.names().join(", "),
        }
    }
}

impl BitOr for Stale {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The setting of this name; `None` when there is none. In the name, numbers of items are left out, and so is the name
/// of an item where that is needed to find one: `modules.0.epochs` and `modules.a.epochs` are both `modules.epochs`.
pub fn find<'s>(settings: &'s [Setting], name: &str) -> Option<&'s Setting> {
    let exact = |name: &str| settings.iter().find(|it| it.name == name);
    if let Some(found) = exact(name) {
        return Some(found);
    }
    let is_number = |part: &&str| part.parse::<usize>().is_ok();
    let mut parts: Vec<&str> = name.split('.').filter(|part| !is_number(part)).collect();
    exact(&parts.join(".")).or_else(|| {
        let first = exact(parts.first()?)?;
        if !matches!(first.form, Form::Tables) || parts.len() < 3 {
            return None;
        }
        parts.remove(1);
        exact(&parts.join("."))
    })
}

/// The settings directly in the table of this name; those at the top of the file where the name is empty.
pub fn inside<'s>(settings: &'s [Setting], table: &'s str) -> impl Iterator<Item = &'s Setting> {
    settings.iter().filter(move |it| match it.name.rsplit_once('.') {
        Some((parent, _)) => parent == table,
        None => table.is_empty(),
    })
}
