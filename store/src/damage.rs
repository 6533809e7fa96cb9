//! Damage: what is not as it was written, where it is, and the note that is left beside it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::durable;
use crate::error::{Error, Result};
use crate::files;
use crate::records;

/// Something on disk that is not what was written, as exactly as it can be placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// The row group, from 0, where the damage is in a page.
    pub row_group: Option<usize>,
    /// The first damaged row, counted from 0 within its row group.
    pub row: Option<usize>,
    /// The last of the rows in one piece from there on.
    pub last_row: Option<usize>,
    /// The column.
    pub column: Option<String>,
    /// What is wrong.
    pub what: String,
}

impl Damage {
    /// Of a file as a whole.
    pub fn of(file: &Path, what: impl fmt::Display) -> Self {
        let (file, what) = (file.to_path_buf(), what.to_string());
        Self { file, row_group: None, row: None, last_row: None, column: None, what }
    }

    /// In the pages of a column, in a row group.
    pub(crate) fn in_column(mut self, row_group: usize, column: &str) -> Self {
        self.row_group = Some(row_group);
        self.column = Some(column.to_owned());
        self
    }

    /// In the page of a row.
    pub(crate) fn in_row(mut self, row: usize) -> Self {
        self.row = Some(row);
        self.last_row = Some(row);
        self
    }

    /// Takes `next` in, if it is the same damage to the row after.
    pub(crate) fn goes_on_with(&mut self, next: &Self) -> bool {
        let follows = self.last_row.map(|row| row + 1) == next.row && next.row.is_some();
        let same = (&self.file, self.row_group, &self.column, &self.what)
            == (&next.file, next.row_group, &next.column, &next.what);
        if follows && same {
            self.last_row = next.last_row;
        }
        follows && same
    }

    /// Leaves a note beside the file that says that it has to be made anew.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn note(&self) -> Result<()> {
        durable::replace(&note_of(&self.file), &records::to_json(&self.file, self)?)
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

/// The note of damage to a file.
fn note_of(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(note_name(&name))
}

/// Whether a file was noted as damaged.
///
/// # Errors
/// When it cannot be looked.
pub fn is_noted(file: &Path) -> Result<bool> {
    files::is_file(&note_of(file)).map_err(|error| Error::io(file, "look at", &error))
}

/// The name of the note of damage to the file of this name.
pub(crate) fn note_name(name: &str) -> String {
    format!(".{name}.damaged")
}

/// Removes the note of a file that is as it was written again.
///
/// # Errors
/// When it is still there.
pub fn forget(file: &Path) -> Result<()> {
    durable::remove_if_there(&note_of(file))
}

/// The error of reading a file. What the disk does not give back, or what has become shorter, is
/// damaged; that it may not be read says nothing about it.
pub(crate) fn cannot_read(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Damage::of(path, "it is too short").into(),
        _ if is_unreadable(error) => Damage::of(path, format_args!("unreadable: {error}")).into(),
        _ => Error::io(path, "read", error),
    }
}

#[cfg(unix)]
fn is_unreadable(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::IO)
}

#[cfg(not(unix))]
fn is_unreadable(_error: &io::Error) -> bool {
    false
}
