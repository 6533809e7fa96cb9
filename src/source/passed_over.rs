//! Sums up files that lie among the data and are not read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::content::PassedOver;

/// Sums up files by their endings, and links whose target is missing; all are given by their places.
pub fn by_kind(
    files: impl IntoIterator<Item = String>,
    broken: impl IntoIterator<Item = String>,
) -> Vec<PassedOver> {
    let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files {
        let kind = match Path::new(&file).extension() {
            Some(ending) => format!(".{}", ending.to_string_lossy().to_lowercase()),
            None => "without an ending".to_owned(),
        };
        kinds.entry(kind).or_default().push(file);
    }
    for link in broken {
        kinds.entry("broken link".to_owned()).or_default().push(link);
    }
    let summed = kinds.into_iter().map(|(kind, files)| PassedOver {
        kind,
        count: files.len(),
        first: files.into_iter().min().map(PathBuf::from).unwrap_or_default(),
    });
    summed.collect()
}
