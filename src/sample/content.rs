//! The content that the rows of a source depend on: every file whose bytes can change a row, by its content and by its
//! place relative to what the pipeline names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The content that the rows of a source are made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// What neither a file nor a setting says: the kind of source, or which generator makes it.
    pub made: Value,
    /// First the files with samples, in the order of their rows, then other files that rows take something from.
    pub files: Vec<ContentFile>,
}

/// A file whose bytes can change a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentFile {
    /// The purpose that it is read for.
    pub role: Role,
    /// Its path relative to what the pipeline names, with `/` between parts; only its name if the pipeline names the
    /// file itself.
    pub place: String,
    /// Where to read it.
    pub path: PathBuf,
}

/// The purpose of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The file holds samples.
    Data,
    /// The file holds labels of samples: beside images, or as a CSV file.
    Labels,
    /// The file holds the names of classes.
    Names,
    /// The file holds a label for every hop of sounds.
    Alignments,
    /// The file holds what is said in sounds.
    Transcripts,
    /// The file is named in a column of another file.
    Named,
}

impl Role {
    /// The name of the role in records.
    pub fn name(self) -> &'static str {
        match self {
            Role::Data => "data",
            Role::Labels => "labels",
            Role::Names => "names",
            Role::Alignments => "alignments",
            Role::Transcripts => "transcripts",
            Role::Named => "named",
        }
    }

    /// Whether a file with this role holds samples.
    pub fn holds_samples(self) -> bool {
        match self {
            Role::Data | Role::Named => true,
            Role::Labels | Role::Names | Role::Alignments | Role::Transcripts => false,
        }
    }
}

/// A file and the hash of its content, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashedFile {
    /// The purpose that it was read for.
    pub role: Role,
    /// Its path relative to the folder of its source.
    pub place: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its BLAKE3, 64 hexadecimal digits.
    pub blake3: String,
}

/// Files of one kind that lie among those of a source and are not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// Their kind, for people: `.txt`, `broken link`.
    pub kind: String,
    /// Their number.
    pub count: usize,
    /// The path of the first.
    pub first: PathBuf,
}

impl Content {
    /// Content that does not depend on any file.
    pub fn generated(made: Value) -> Self {
        Self { made, files: Vec::new() }
    }

    /// Identifies this content, for the key of `ingest`; `files` are [`Self::files`] with their hashes, in the same
    /// order. The spelling of paths, file times, and where the data lies do not matter.
    pub fn identity(&self, files: &[HashedFile]) -> Value {
        if files.is_empty() {
            return self.made.clone();
        }
        let mut digest = blake3::Hasher::new();
        for HashedFile { role, place, bytes: _, blake3 } in files {
            for text in [role.name(), place, blake3] {
                digest.update(&(text.len() as u64).to_le_bytes());
                digest.update(text.as_bytes());
            }
        }
        let mut identity = self.made.clone();
        identity["files"] =
            json!({ "count": files.len(), "blake3": digest.finalize().to_hex().to_string() });
        identity
    }
}

/// What differs between the files of two contents, one phrase per file: `train-labels-idx1-ubyte: other content`.
pub fn differences(old: &[HashedFile], new: &[HashedFile]) -> Vec<String> {
    let by_place = |files: &[HashedFile]| {
        let mut all: BTreeMap<(String, Role), Vec<String>> = BTreeMap::new();
        for file in files {
            all.entry((file.place.clone(), file.role)).or_default().push(file.blake3.clone());
        }
        all
    };
    let (before, now) = (by_place(old), by_place(new));
    let mut all: Vec<_> = before.keys().chain(now.keys()).collect();
    all.sort();
    all.dedup();
    let mut found = Vec::new();
    for key in all {
        let what = match (before.get(key), now.get(key)) {
            (Some(old), Some(new)) if old == new => continue,
            (Some(_), Some(_)) => "other content",
            (Some(_), None) => "is gone",
            (None, _) => "is new",
        };
        found.push(format!("`{}`: {what}", key.0));
    }
    if found.is_empty() && old != new {
        found.push("the files come in another order".to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(place: &str, content: &str) -> HashedFile {
        let blake3 = blake3::hash(content.as_bytes()).to_hex().to_string();
        HashedFile { role: Role::Data, place: place.into(), bytes: content.len() as u64, blake3 }
    }

    #[test]
    fn an_identity_is_of_places_and_contents_in_their_order() {
        let content = Content::generated(json!({ "kind": "folder" }));
        let of = |files: &[HashedFile]| content.identity(files);
        let both = [file("a/1", "x"), file("b/1", "y")];
        assert_eq!(of(&both), of(&both.clone()));
        let others = [
            vec![file("a/1", "x"), file("b/1", "z")],
            vec![file("a/1", "x"), file("b/2", "y")],
            vec![file("b/1", "y"), file("a/1", "x")],
            vec![file("a/1", "x")],
        ];
        for other in others {
            assert_ne!(of(&both), of(&other), "{other:?}");
        }
    }

    #[test]
    fn differences_name_the_files() {
        let old = [file("a", "1"), file("b", "1"), file("c", "1")];
        let new = [file("a", "1"), file("b", "2"), file("d", "1")];
        assert_eq!(differences(&old, &new), ["`b`: other content", "`c`: is gone", "`d`: is new"]);
        assert!(differences(&old, &old).is_empty());
        let turned = [file("b", "1"), file("a", "1"), file("c", "1")];
        assert_eq!(differences(&old, &turned), ["the files come in another order"]);
    }
}
