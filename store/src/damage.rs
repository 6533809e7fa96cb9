//! Damage: what differs from what was written, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Something on disk that differs from what was written, placed as exactly as possible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// The row group, from 0, where the damage is in a page.
    pub row_group: Option<usize>,
    /// The first damaged row, counted from 0 within its row group.
    pub row: Option<usize>,
    /// The last damaged row, where damage covers consecutive rows from `row` on.
    pub last_row: Option<usize>,
    /// The column.
    pub column: Option<String>,
    /// What is wrong.
    pub what: String,
}

impl Damage {
    /// Damage to a whole file.
    pub fn of(file: &Path, what: impl fmt::Display) -> Self {
        let (file, what) = (file.to_path_buf(), what.to_string());
        Self { file, row_group: None, row: None, last_row: None, column: None, what }
    }

    /// Places the damage in the pages of a column in a row group.
    pub(crate) fn in_column(mut self, row_group: usize, column: &str) -> Self {
        self.row_group = Some(row_group);
        self.column = Some(column.to_owned());
        self
    }

    /// Places the damage in the page of a row.
    pub(crate) fn in_row(mut self, row: usize) -> Self {
        self.row = Some(row);
        self.last_row = Some(row);
        self
    }

    /// Extends this damage by `next`, if that is the same damage to the following row.
    pub(crate) fn goes_on_with(&mut self, next: &Self) -> bool {
        let follows = self.last_row.map(|row| row + 1) == next.row && next.row.is_some();
        let same = (&self.file, self.row_group, &self.column, &self.what)
            == (&next.file, next.row_group, &next.column, &next.what);
        if follows && same {
            self.last_row = next.last_row;
        }
        follows && same
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: damaged: ", self.file.display())?;
        if let Some(group) = self.row_group {
            write!(f, "row group {group}, ")?;
        }
        match (self.row, self.last_row) {
            (Some(row), Some(last)) if last > row => write!(f, "rows {row} to {last}, ")?,
            (Some(row), _) => write!(f, "row {row}, ")?,
            _ => {}
        }
        if let Some(column) = &self.column {
            write!(f, "column `{column}`: ")?;
        }
        f.write_str(&self.what)
    }
}
