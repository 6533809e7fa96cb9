//! The labels of rows in a CSV file, by the rows' ids.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::table::Given;
use super::{plain_file, shorten};
use crate::{Error, Result};

/// The most bytes of a CSV file.
const LONGEST: u64 = 256 << 20;

/// Reads the labels of the rows with these ids. A row without a line, or whose line has no label, has none.
///
/// # Errors
/// When it is no CSV file with the columns `id` and `label`, has two lines for one id, or none for any of the rows.
pub fn read(path: &Path, ids: &[i64]) -> Result<Given> {
    let shown = path.display();
    let failed = |error| Error::io("read the labels", path, error);
    let file = plain_file::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() > LONGEST {
        return Err(Error::failed(format!("`{shown}` has more than {LONGEST} bytes"))
            .hint("write the labels beside the activations instead"));
    }
    let wrong = |error: csv::Error| {
        Error::failed(format!("`{shown}` is not a CSV file: {error}")).hint(
            "save it in UTF-8, with commas; a field with a comma in it stands in double quotes",
        )
    };
    let mut reader = csv::Reader::from_reader(file);
    let header = reader.headers().map_err(wrong)?.clone();
    let place = |column: &str| {
        header.iter().position(|it| it.trim_start_matches('\u{feff}').trim() == column).ok_or_else(
            || {
                let there: Vec<String> = header.iter().map(|it| format!("`{it}`")).collect();
                let message =
                    format!("`{shown}` has no column `{column}`; it has {}", shorten(&there));
                Error::failed(message).hint("its first line names the columns: `id` and `label`")
            },
        )
    };
    let (id, label) = (place("id")?, place("label")?);
    let mut lines: HashMap<i64, (u64, Option<String>)> = HashMap::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let line = record.position().map_or(0, csv::Position::line);
        let text = record.get(id).unwrap_or_default().trim();
        let Ok(id) = text.parse::<i64>() else {
            let message =
                format!("line {line} of `{shown}`: the id `{text}` is not a whole number");
            return Err(Error::failed(message)
                .hint("an id is the row's `id`, else its number counted from 0"));
        };
        let label = record.get(label).map(str::trim).filter(|it| !it.is_empty());
        if let Some((before, _)) = lines.insert(id, (line, label.map(str::to_owned))) {
            let message = format!("`{shown}` has id {id} twice: in lines {before} and {line}");
            return Err(Error::failed(message).hint("leave one line for each id"));
        }
    }
    let texts = ids.iter().map(|id| lines.get(id).and_then(|(_, label)| label.clone()));
    let texts: Vec<Option<String>> = texts.collect();
    if texts.iter().all(Option::is_none) {
        let message = format!(
            "`{shown}` has no label for any of {} rows, whose first id is {}",
            ids.len(),
            ids.first().copied().unwrap_or(0)
        );
        return Err(Error::failed(message)
            .hint("its column `id` has the ids of rows; rows without ids are counted from 0"));
    }
    Ok(Given::Texts(texts))
}

/// The file that `data.activations.labels` names.
///
/// # Errors
/// When it does not exist.
pub fn find(root: &Path, name: &str) -> Result<PathBuf> {
    let path = root.join(name);
    if path.exists() {
        return Ok(path);
    }
    let message = format!("there is no file `{}` (`data.activations.labels`)", path.display());
    Err(Error::failed(message).hint("a relative path starts from `data.root`"))
}
