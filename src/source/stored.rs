//! A dataset of ours as a source. Its rows stay where they lie: an ingest keeps only which rows there are, in which
//! order.

use std::path::{Path, PathBuf};

use gimlet_store::{DType, Generation, Store};

use crate::pipeline::Split;
use crate::pipeline::settings::ActivationFiles;
use crate::{Error, Kind, Result};

/// The column of activations in datasets that modules write.
const ACTIVATION: &str = "activation";

/// A generation of a dataset, and its column of activations.
pub struct Stored {
    /// The generation.
    pub generation: Generation,
    /// The name of the column.
    pub column: String,
    /// The shape of a row.
    pub shape: Vec<usize>,
}

impl ActivationFiles {
    /// The paths, globs or dataset that the rows of a split are read from, and the key that names them.
    pub(crate) fn of_split(&self, split: Split) -> (&[String], &'static str) {
        match (split, self.hold_out) {
            (Split::Test, None) => (&self.test, "data.activations.test"),
            _ => (&self.train, "data.activations.train"),
        }
    }

    /// The folder of the dataset that a split is read from, if it names a folder.
    fn folder(&self, split: Split) -> Result<Option<PathBuf>> {
        let (patterns, key) = self.of_split(split);
        if let Some(url) = patterns.iter().find(|it| it.contains("://")) {
            let message = format!("`{url}` (`{key}`) does not lie on this machine");
            return Err(Error::new(Kind::Usage, message).hint(
                "copy it here, or mount it: activations are read from this machine's disks",
            ));
        }
        let folders = patterns.iter().map(|it| self.root.join(it)).filter(|it| it.is_dir());
        let folders: Vec<PathBuf> = folders.collect();
        match (folders.len(), patterns.len()) {
            (0, _) => Ok(None),
            (1, 1) => Ok(folders.into_iter().next()),
            _ => {
                let message = format!("`{key}` names a folder and more");
                Err(Error::failed(message).hint("name one dataset, or files alone"))
            }
        }
    }
}

impl Stored {
    /// The newest generation of the dataset that a split names; `None` where it names files, or a folder of files.
    ///
    /// # Errors
    /// When the dataset has no whole generation, or no such column.
    pub fn newest(files: &ActivationFiles, split: Split) -> Result<Option<Self>> {
        let Some(folder) = files.folder(split)? else { return Ok(None) };
        let dataset = Store::new().dataset(folder.clone());
        match dataset.newest()? {
            Some(generation) => Self::of(generation, files.column.as_deref(), &folder).map(Some),
            None if dataset.was_begun()? => {
                let message = format!("`{}` has no whole generation", folder.display());
                Err(Error::new(Kind::NotReady, message).hint("let what writes it come to its end"))
            }
            None => Ok(None),
        }
    }

    /// The generation that was ingested, which its content tells from others; `store` counts what is read of it.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when the dataset no longer has it.
    pub fn ingested(
        store: &Store,
        files: &ActivationFiles,
        split: Split,
        content: &str,
    ) -> Result<Self> {
        let (patterns, key) = files.of_split(split);
        let gone = |what: String| {
            Error::new(Kind::NotReady, what).hint(format!(
                "activations are read where they lie: bring `{}` back (`{key}`), or run `gimlet ingest` for what \
                 is there now",
                patterns.join("`, `")
            ))
        };
        let Some(folder) = files.folder(split)? else {
            return Err(gone(format!("the dataset of `{key}` is gone")));
        };
        for generation in store.dataset(folder.clone()).readable()? {
            let generation = generation?;
            if content_of(&generation) == content {
                return Self::of(generation, files.column.as_deref(), &folder);
            }
        }
        Err(gone(format!("`{}` no longer has the generation that was ingested", folder.display())))
    }

    fn of(generation: Generation, column: Option<&str>, folder: &Path) -> Result<Self> {
        if let Some(part) = generation.broken_parts()?.first() {
            let message = format!("`{part}` is damaged or missing");
            return Err(Error::new(Kind::Damaged, message)
                .hint(format!("`gimlet verify {}` says more", folder.display())));
        }
        let columns = &generation.manifest().schema.columns;
        let named = |name: &str| columns.iter().find(|it| it.name == name);
        let there: Vec<String> = columns
            .iter()
            .map(|it| format!("`{}` ({:?} {:?})", it.name, it.dtype, it.shape))
            .collect();
        let found = match column {
            Some(name) => named(name),
            None => named(ACTIVATION).or(if let [only] = columns.as_slice() {
                Some(only)
            } else {
                None
            }),
        };
        let Some(found) = found.filter(|it| it.dtype != DType::U8) else {
            let message = format!(
                "`{}` has no column `{}` of activations; it has {}",
                folder.display(),
                column.unwrap_or(ACTIVATION),
                if there.is_empty() { "none".to_owned() } else { there.join(", ") }
            );
            return Err(
                Error::failed(message).hint("set `data.activations.column` to a column of floats")
            );
        };
        let (column, shape) = (found.name.clone(), found.shape.clone());
        Ok(Self { generation, column, shape })
    }
}

/// The content of a generation: a hash of the hashes of its parts, which its manifest has.
pub fn content_of(generation: &Generation) -> String {
    let mut digest = blake3::Hasher::new();
    for part in &generation.manifest().parts {
        digest.update(part.blake3.as_bytes());
    }
    digest.finalize().to_hex().to_string()
}
