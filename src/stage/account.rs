//! The account of an ingest: what was read, what was passed over, and what may be wrong with the data.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::source::{PassedOver, Sample, Source};

/// What an ingest of a split found; it is stored in the summary of the split's manifest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Number of files that samples were read from.
    pub files: usize,
    /// Files of the source that no sample was read from.
    pub passed_over: Vec<PassedOver>,
    /// Number of samples that are stored.
    pub rows: u64,
    /// Samples that were left out because they could not be read or were too short.
    pub skipped: Noted,
    /// Whether the data have labels at all.
    pub labelled: bool,
    /// Samples without a label.
    pub unlabelled: Noted,
    /// Names of the classes that no row has; empty if classes have no names.
    pub classes_without_row: Vec<String>,
    /// Images of one colour, or silent sounds.
    pub constant: Noted,
    /// Sounds that are clipped in a noticeable part.
    pub clipped: Noted,
    /// Images that were turned as EXIF says.
    pub turned: Noted,
    /// Labels of hops that do not fit, one line each.
    pub hops: Vec<String>,
    /// Labels that at least one row has.
    classes: BTreeSet<i64>,
}

/// Samples that a message mentions: their number, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// Number of samples.
    pub count: u64,
    /// The first of the samples, in words: `row 7 (dog/7.png)`.
    pub first: Option<String>,
}

impl Noted {
    /// Counts one more sample.
    pub fn add(&mut self, which: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(which);
    }

    fn and(&mut self, more: Self) {
        self.count += more.count;
        self.first = self.first.take().or(more.first);
    }

    /// A message such as `3 of 40 images are of one colour; the first is row 7 (dog/7.png)`; `None` without samples.
    fn in_words(&self, all: u64, noun: &str, one: &str, several: &str) -> Option<String> {
        let first = self.first.as_deref().unwrap_or("unknown");
        match self.count {
            0 => None,
            1 => Some(format!("1 of {all} {noun}s {one}: {first}")),
            count => Some(format!("{count} of {all} {noun}s {several}; the first is {first}")),
        }
    }
}

impl Account {
    /// The account of a source before any sample is read.
    pub fn of(source: &dyn Source, labelled: bool) -> Self {
        Self {
            files: source.content().files.iter().filter(|it| it.role.holds_samples()).count(),
            passed_over: source.passed_over().to_vec(),
            labelled,
            ..Self::default()
        }
    }

    /// Counts a sample that is stored.
    pub fn add(&mut self, sample: &Sample) {
        let which = || which(sample.id, &sample.source);
        self.rows += 1;
        match sample.label {
            Some(label) => {
                self.classes.insert(label);
            }
            None if self.labelled => self.unlabelled.add(which),
            None => {}
        }
        if sample.remarks.constant {
            self.constant.add(which);
        }
        if sample.remarks.clipped {
            self.clipped.add(which);
        }
        if sample.remarks.turned {
            self.turned.add(which);
        }
    }

    /// Adds the account of other rows of the same split.
    pub fn and(&mut self, more: Self) {
        let Self {
            files: _,
            passed_over: _,
            rows,
            skipped,
            labelled: _,
            unlabelled,
            classes_without_row: _,
            constant,
            clipped,
            turned,
            hops,
            classes,
        } = more;
        self.rows += rows;
        self.skipped.and(skipped);
        self.unlabelled.and(unlabelled);
        self.constant.and(constant);
        self.clipped.and(clipped);
        self.turned.and(turned);
        self.hops.extend(hops);
        self.classes.extend(classes);
    }

    /// Finds the classes that no row has.
    pub fn close(&mut self, names: Option<&[String]>) {
        let missing = names.unwrap_or_default().iter().enumerate();
        let missing = missing.filter(|(label, _)| !self.classes.contains(&(*label as i64)));
        self.classes_without_row = missing.map(|(_, name)| name.clone()).collect();
    }

    /// Describes what was read, passed over and labelled, in one to three lines; `noun` is "image" or "recording".
    pub fn lines(&self, noun: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let mut read = match self.files {
            0 => String::new(),
            1 => "from 1 file".to_owned(),
            files => format!("from {files} files"),
        };
        if self.labelled {
            let separator = if read.is_empty() { "" } else { "; " };
            let classes = self.classes.len();
            let of = if classes == 1 { "1 class".to_owned() } else { format!("{classes} classes") };
            let labels = match self.rows - self.unlabelled.count {
                labelled if labelled == self.rows => format!("all labelled, {of}"),
                0 => "none labelled".to_owned(),
                labelled => format!("{labelled} of {} labelled, {of}", self.rows),
            };
            read += &format!("{separator}{labels}");
        }
        lines.extend((!read.is_empty()).then_some(read));
        if !self.passed_over.is_empty() {
            let over = self
                .passed_over
                .iter()
                .map(|it| format!("{} {} (first {})", it.count, it.kind, it.first.display()));
            lines.push(format!("passed over: {}", over.collect::<Vec<_>>().join(", ")));
        }
        lines.extend(self.turned.in_words(
            self.rows,
            noun,
            "was turned as its EXIF says",
            "were turned as their EXIF says",
        ));
        lines
    }

    /// Lists what may be wrong, each with the first row that it concerns.
    pub fn warnings(&self, noun: &str) -> Vec<String> {
        let (one, several) = match noun {
            "image" => ("is of one colour", "are of one colour"),
            _ => ("is silent", "are silent"),
        };
        let mut found = Vec::new();
        found.extend(self.skipped.in_words(
            self.rows + self.skipped.count,
            noun,
            "was left out",
            "were left out",
        ));
        found.extend(self.unlabelled.in_words(
            self.rows,
            noun,
            "has no label: the probe leaves it out",
            "have no label, and the probe leaves them out",
        ));
        found.extend(self.constant.in_words(self.rows, noun, one, several));
        found.extend(self.clipped.in_words(self.rows, noun, "is clipped", "are clipped"));
        found.extend(self.hops.iter().cloned());
        let missing = &self.classes_without_row;
        if self.labelled && !missing.is_empty() {
            const SHOWN: usize = 8;
            let names: Vec<_> = missing.iter().take(SHOWN).map(|it| format!("`{it}`")).collect();
            let more = if missing.len() > SHOWN { ", …" } else { "" };
            let classes = if missing.len() == 1 { "class has" } else { "classes have" };
            found.push(format!("{} {classes} no row: {}{more}", missing.len(), names.join(", ")));
        }
        found
    }
}

/// Names a row in messages: `row 7 (dog/7.png)`.
pub fn which(id: i64, source: &str) -> String {
    if source.is_empty() { format!("row {id}") } else { format!("row {id} ({source})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(count: u64, first: &str) -> Noted {
        Noted { count, first: Some(first.to_owned()) }
    }

    #[test]
    fn an_account_says_what_was_read_and_what_may_be_wrong() {
        let passed = PassedOver { kind: ".webp".into(), count: 24, first: "dog/0.webp".into() };
        let mut account = Account {
            files: 40,
            passed_over: vec![passed],
            rows: 40,
            labelled: true,
            unlabelled: noted(1, "row 3 (c.png)"),
            constant: noted(2, "row 5 (e.png)"),
            classes: [0, 2].into(),
            ..Account::default()
        };
        account.close(Some(&["cat", "dog", "eel"].map(String::from)));
        assert_eq!(
            account.lines("image"),
            [
                "from 40 files; 39 of 40 labelled, 2 classes",
                "passed over: 24 .webp (first dog/0.webp)"
            ]
        );
        assert_eq!(
            account.warnings("image"),
            [
                "1 of 40 images has no label: the probe leaves it out: row 3 (c.png)",
                "2 of 40 images are of one colour; the first is row 5 (e.png)",
                "1 class has no row: `dog`"
            ]
        );
        let whole = Account { rows: 8, labelled: true, classes: [0].into(), ..Account::default() };
        assert_eq!(whole.lines("recording"), ["all labelled, 1 class"]);
        assert!(whole.warnings("recording").is_empty());
    }

    #[test]
    fn parts_of_an_account_add_up() {
        let part = |rows, first: &str, class| Account {
            rows,
            constant: noted(1, first),
            classes: [class].into(),
            ..Account::default()
        };
        let mut all = part(3, "a", 0);
        all.and(part(4, "b", 1));
        assert_eq!((all.rows, all.constant, all.classes.len()), (7, noted(2, "a"), 2));
    }
}
