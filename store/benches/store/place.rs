//! The place of a benchmark's tables in a file.

use std::error::Error;
use std::fmt::Display;
use std::fs;
use std::path::Path;

/// Puts `tables` between the lines `marks` of a file, in place of those of an earlier run.
pub fn fill(
    path: &Path,
    marks: [&str; 2],
    tables: &impl Display,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let old = fs::read_to_string(path)?;
    let place = |mark| old.find(mark).ok_or_else(|| format!("{}: no {mark}", path.display()));
    let (begin, end) = (place(marks[0])? + marks[0].len(), place(marks[1])?);
    let after = old.get(end..).filter(|_| begin <= end).ok_or("the marks are the wrong way")?;
    Ok(fs::write(path, format!("{}\n\n{tables}\n{after}", &old[..begin]))?)
}
