//! Reads what is said in sounds from LibriSpeech's files: `84-121123.trans.txt` has one line for each file beside
//! it, with its name without the extension and its text.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::sound_files::SOUNDS;
use super::{PassedOver, plain_file, text_file};
use crate::{Error, Result};

const ENDING: &str = ".trans.txt";

/// The most bytes of a file, and of all texts together.
const LONGEST_FILE: u64 = 16 << 20;
const MOST_BYTES: usize = 512 << 20;

/// Whether a file's name says that it holds transcripts.
pub(super) fn is_named_so(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(ENDING))
}

/// The texts of sounds, by their paths without the extension.
///
/// # Errors
/// When a file cannot be read, is not text, or the texts are too long.
pub(super) fn read(paths: &[PathBuf]) -> Result<HashMap<PathBuf, String>> {
    let mut texts = HashMap::new();
    let mut bytes = 0;
    for path in paths {
        let failed = |error| Error::io("read the transcripts", path, error);
        let all = plain_file::start(path, LONGEST_FILE + 1).map_err(failed)?;
        bytes += all.len();
        let wrong = |what: &str| Error::failed(format!("`{}`: {what}", path.display()));
        if all.len() as u64 > LONGEST_FILE || bytes > MOST_BYTES {
            return Err(wrong("the transcripts are too long"));
        }
        for line in text_file::text(&all, true).map_err(wrong)?.lines() {
            let (id, text) =
                line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
            if !id.is_empty() {
                texts.insert(path.with_file_name(id), text.trim().to_owned());
            }
        }
    }
    Ok(texts)
}

/// Sums up those of `texts` that have no sound file; `None` if all have one. A sound file may be there even if it was
/// not asked for.
pub(super) fn of_no_file(texts: HashMap<PathBuf, String>) -> Option<PassedOver> {
    let is_there = |path: &PathBuf| {
        let Some(name) = path.file_name() else { return false };
        SOUNDS.extensions.iter().any(|extension| {
            let mut name = name.to_os_string();
            name.push(format!(".{extension}"));
            path.with_file_name(name).exists()
        })
    };
    let without: Vec<PathBuf> = texts.into_keys().filter(|path| !is_there(path)).collect();
    let first = without.iter().min()?.clone();
    Some(PassedOver { kind: "transcripts of no file".to_owned(), count: without.len(), first })
}
