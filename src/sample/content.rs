//! What the rows of a source are made of: every file whose bytes can change one, by its content and by its place
//! relative to what the pipeline names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What the rows of a source are made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// What neither a file nor a setting says: the kind of source, or which generator makes it.
    pub made: Value,
    /// The files in the order in which their rows follow each other, then those that rows take something from.
    pub files: Vec<ContentFile>,
}

/// A file whose bytes can change a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentFile {
    /// What it is read for.
    pub role: Role,
    /// Its path relative to what the pipeline names, `/` between its parts; its name where the pipeline names
    /// the file itself.
    pub place: String,
    /// Where to read it.
    pub path: PathBuf,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It holds samples.
    Data,
    /// It holds labels of samples: beside images, or as a CSV file.
    Labels,
    /// It holds the names of classes.
    Names,
    /// It holds a label for every hop of sounds.
    Alignments,
    /// It holds what is said in sounds.
    Transcripts,
    /// A column of another file names it.
    Named,
}

impl Role {
    /// What it is called in records.
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

    /// Whether samples lie in such a file.
    pub fn holds_samples(self) -> bool {
        match self {
            Role::Data | Role::Named => true,
            Role::Labels | Role::Names | Role::Alignments | Role::Transcripts => false,
        }
    }
}

/// A file by its content, as a record of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashedFile {
    /// What it is read for.
    pub role: Role,
    /// Where it lies, from the folder of its source.
    pub place: String,
    /// Its size.
    pub bytes: u64,
    /// 64 hexadecimal digits.
    pub blake3: String,
}

/// Files that lie among those of a source and are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// What they are, for people: `.txt`, `broken link`.
    pub kind: String,
    /// How many there are.
    pub count: usize,
    /// The first of them.
    pub first: PathBuf,
}

impl Content {
    /// Content that no file has a part in.
    pub fn generated(made: Value) -> Self {
        Self { made, files: Vec::new() }
    }

    /// What tells this content from any other, for the key of `ingest`; `files` are [`Self::files`] by their
    /// content, in their order. It says nothing of how a path was spelled, of times, or of where anything lies.
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
