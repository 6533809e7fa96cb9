//! Files that lie where data is looked for and are not read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::locate::relative_name;

/// Files of one kind that were passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// For people, in the plural: "`.txt` files", "broken links".
    pub kind: String,
    pub count: usize,
    /// The first of them in the order of names, as a user would name it.
    pub first: String,
}

/// Sums up files by their endings, in the order of kinds.
pub fn by_kind(root: &Path, files: &[PathBuf], broken: &[PathBuf]) -> Vec<PassedOver> {
    let mut kinds: BTreeMap<String, Vec<&PathBuf>> = BTreeMap::new();
    for file in files {
        let kind = match file.extension() {
            Some(ending) => format!("`.{}` files", ending.to_string_lossy().to_lowercase()),
            None => "files without an ending".to_owned(),
        };
        kinds.entry(kind).or_default().push(file);
    }
    if !broken.is_empty() {
        kinds.insert("broken links".to_owned(), broken.iter().collect());
    }
    let summed = kinds.into_iter().map(|(kind, files)| {
        let first = files.iter().min().map(|file| relative_name(root, file));
        PassedOver { kind, count: files.len(), first: first.unwrap_or_default() }
    });
    summed.collect()
}
