//! What the samples of a run are made of: the source as it is now. Where the source is gone, one ingest of both splits
//! with the same settings stands for it.

use std::path::{Path, PathBuf};

use gimlet_store::{Generation, Limits, Records};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ingest_summary::IngestSummary;
use super::key::Key;
use super::run_dir::{INGEST, RunDir, folders_in};
use super::step_key::ingest_key;
use crate::pipeline::{PerSplit, Pipeline, Split};
use crate::source::content::{self, HashedFile};
use crate::source::known_files::{Identity, Watch};
use crate::source::{self, Labelled};
use crate::{Error, Kind, Result};

/// The samples of both splits.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// The content of each split, which tells it from others.
    pub identities: PerSplit<Identity>,
    /// Samples that the pipeline asks for, including those that turn out to be broken.
    pub counts: PerSplit<u64>,
    /// Why an earlier ingest stands for the source; `None` where the source is there.
    pub stands_in: Option<String>,
    /// Warnings about the labels of both splits.
    pub warnings: Vec<String>,
    /// How many rows of each split have a label; `None` where that is not known.
    pub labelled: PerSplit<Option<Labelled>>,
    /// Whether the contents of files were not read, because nothing in the run could have been made of them.
    pub is_provisional: bool,
}

/// What an ingest was made of. It is kept as a record beside the ingested samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ingested {
    /// The keys of both splits.
    pub keys: PerSplit<String>,
    /// The settings in the keys, without the source.
    pub settings: PerSplit<Value>,
    /// The source in the keys.
    pub sources: PerSplit<Value>,
    /// The folder that the paths of the pipeline started from; it is in no key.
    pub root: PathBuf,
    /// The files of each split, one per line, as [`line`] writes them: a list of objects would take ten times the
    /// memory.
    files: PerSplit<String>,
}

/// Makes the settings of the key of `ingest` for a split from the description of its content.
type KeyOf<'a> = dyn Fn(Split, Value) -> Result<Value> + 'a;

/// How much of the contents of files is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// All contents.
    Whole,
    /// No contents, unless something in the run may have been made of them.
    IfBegun,
}

impl Provenance {
    /// The samples that `pipeline` asks for. `key` makes the settings of the key of `ingest` from the description of a
    /// split's content.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when the source is gone and nothing can stand for it; another kind when it is there and
    /// cannot be read, or `watch` stops the reading.
    pub fn of(
        pipeline: &Pipeline,
        dir: &RunDir,
        look: Look,
        watch: &dyn Watch,
        key: &KeyOf,
    ) -> Result<Self> {
        let splits = source::open_splits(&pipeline.data, pipeline.seed);
        if matches!(&splits, Err(error) if error.kind() == Kind::NotReady) {
            // A split that is there and cannot be read is an error, even if the other one is gone.
            let (mut there, mut gone) = (Vec::new(), None);
            for split in Split::ALL {
                match source::open(&pipeline.data, split, pipeline.seed) {
                    Ok(source) => there.push((split, source)),
                    Err(error) if error.kind() == Kind::NotReady => gone = gone.or(Some(error)),
                    Err(error) => return Err(error),
                }
            }
            let gone = gone.unwrap_or_else(|| Error::failed("the source is gone"));
            let mut known = PerSplit::default();
            for (split, source) in there {
                known[split] = Some(Identity::of(&source.content(), watch)?.value);
            }
            return stand_in(pipeline, dir, gone, &known, key);
        }
        let source::Splits { sources, warnings, labelled, .. } = splits?;
        let whole = look == Look::Whole || has_begun(dir)?;
        let counts = PerSplit::from_fn(|split| {
            let most = pipeline.data.subset_of(split).unwrap_or(usize::MAX);
            sources[split].rows().min(most) as u64
        });
        let mut is_provisional = false;
        let identities = PerSplit::try_from_fn(|split| {
            let content = sources[split].content();
            if whole || content.files.is_empty() {
                return Identity::of(&content, watch);
            }
            is_provisional = true;
            let mut value = content.made;
            value["files"] = "not looked at".into();
            Ok(Identity::found(value))
        })?;
        Ok(Self { identities, counts, stands_in: None, warnings, labelled, is_provisional })
    }

    /// The provenance of samples of which nothing is known.
    pub fn of_nothing() -> Self {
        Self {
            identities: PerSplit::from_fn(|_| Identity::found("gone".into())),
            counts: PerSplit { train: 1, test: 1 },
            stands_in: None,
            warnings: Vec::new(),
            labelled: PerSplit::default(),
            is_provisional: true,
        }
    }
}

/// Whether anything in a run may have been made of its source.
fn has_begun(dir: &RunDir) -> Result<bool> {
    for split in Split::ALL {
        let dataset = dir.dataset(INGEST, split);
        if dataset.was_begun()? || !dataset.generations()?.is_empty() {
            return Ok(true);
        }
    }
    Ok(!folders_in(&dir.location().join("modules"))?.is_empty())
}

/// Finds the ingest that stands for a source that is gone, wholly or in part. `known` describes the splits that are
/// there.
///
/// Where several ingests with different contents fit, it takes the newest of those whose paths started from the same
/// folder as now: in one folder, the later data have replaced the earlier.
fn stand_in(
    pipeline: &Pipeline,
    dir: &RunDir,
    gone: Error,
    known: &PerSplit<Option<Value>>,
    key: &KeyOf,
) -> Result<Provenance> {
    let root = root_of(pipeline);
    let mut fitting: Vec<(Ingested, PerSplit<Generation>)> = Vec::new();
    for record in records(dir).readable::<Ingested>()? {
        let (_, record) = record?;
        let fits = known.iter().all(|(split, known)| {
            // The classes come from both splits.
            let same = |it: &Value| {
                without("classes", it.clone()) == without("classes", record.sources[split].clone())
            };
            known.as_ref().is_none_or(same)
        });
        if !fits || !record.fits(key)? || fitting.iter().any(|(it, _)| it.sources == record.sources)
        {
            continue;
        }
        let there = |split: Split| dir.dataset(INGEST, split).find(&record.keys[split]);
        if let (Some(train), Some(test)) = (there(Split::Train)?, there(Split::Test)?) {
            fitting.push((record, PerSplit { train, test }));
        }
    }
    let same_root = fitting.iter().position(|(it, _)| it.root == root);
    let place = match (fitting.len(), same_root) {
        (0, _) => {
            let hint = gone.hint_text().unwrap_or_default().to_owned();
            return Err(Error::new(Kind::NotReady, gone.to_string()).hint(format!(
                "{hint}; no ingest in `{}` was made with these settings, which could stand for the data",
                dir.path().display()
            )));
        }
        (1, _) => 0,
        (_, Some(place)) => place,
        (several, None) => {
            let message = format!("{gone}, and {several} ingests could stand for it");
            return Err(Error::new(Kind::NotReady, message).hint(format!(
                "bring the data back, or set `data.root` to where they lay: `{}` was the last",
                fitting[0].0.root.display()
            )));
        }
    };
    let (record, generations) = fitting.swap_remove(place);
    let count = |it: &Generation| -> Result<u64> {
        let skipped = IngestSummary::of(it)?.map_or(0, |it| it.skipped.len());
        Ok(it.rows() + skipped as u64)
    };
    let numbers = generations.as_ref().map(Generation::number);
    Ok(Provenance {
        identities: record.sources.map(Identity::found),
        counts: PerSplit::try_from_fn(|split| count(&generations[split]))?,
        stands_in: Some(format!(
            "{gone}: what was ingested of it before stands for it (generations {} of train, {} of test)",
            numbers.train, numbers.test
        )),
        warnings: Vec::new(),
        labelled: PerSplit::default(),
        is_provisional: false,
    })
}

/// Finds the newest ingest with the settings of a pipeline, whatever its content.
///
/// # Errors
/// When a record cannot be read.
pub fn newest_of(pipeline: &Pipeline, dir: &RunDir) -> Result<Option<Ingested>> {
    for record in records(dir).readable::<Ingested>()? {
        let (_, record) = record?;
        if record.fits(&|split, source| Ok(ingest_key(pipeline, split, source)?.settings))? {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// The folder that the paths of a pipeline start from, however it is spelled.
fn root_of(pipeline: &Pipeline) -> PathBuf {
    let Some(root) = pipeline.data.source.root() else { return PathBuf::new() };
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    root.canonicalize().or_else(|_| std::path::absolute(root)).unwrap_or(root.to_path_buf())
}

fn without(name: &str, mut settings: Value) -> Value {
    if let Some(settings) = settings.as_object_mut() {
        settings.remove(name);
    }
    settings
}

/// The records of ingested files, newest first.
pub fn records(dir: &RunDir) -> Records {
    // One line per file: some hundred megabytes for the largest data sets.
    dir.sources().with_limits(Limits { record: 4 << 30, ..Limits::default() })
}

impl Ingested {
    /// Describes what is ingested under `keys`.
    pub fn new(pipeline: &Pipeline, provenance: &Provenance, keys: PerSplit<&Key>) -> Self {
        let identities = provenance.identities.as_ref();
        let files = identities.map(|it| {
            let lines: Vec<String> = it.files().iter().map(line).collect();
            lines.join("\n")
        });
        Self {
            keys: keys.map(|key| key.hash.clone()),
            settings: keys.map(|key| without("source", key.settings.clone())),
            sources: identities.map(|it| it.value.clone()),
            root: root_of(pipeline),
            files,
        }
    }

    /// Whether it was made with the present settings, as `key` describes them.
    fn fits(&self, key: &KeyOf) -> Result<bool> {
        for split in Split::ALL {
            let now = key(split, self.sources[split].clone())?;
            if without("source", now) != self.settings[split] {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The files of a split, with their hashes.
    pub fn files(&self, split: Split) -> Vec<HashedFile> {
        self.files[split].lines().filter_map(file_of).collect()
    }

    /// Writes this as a record of the run, unless the newest record says the same.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, dir: &RunDir) -> Result<()> {
        let newest = records(dir).readable::<Self>()?.next().transpose()?;
        if newest.is_none_or(|(_, it)| it != *self) {
            records(dir).commit(|_| self)?;
        }
        Ok(())
    }
}

/// Writes a file as one line: `data 512 0a1b… c0/003.wav`. Names may have any character; backslashes and line ends are
/// escaped.
fn line(HashedFile { role, place, bytes, blake3 }: &HashedFile) -> String {
    let role = role.name();
    let place = place.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
    format!("{role} {bytes} {blake3} {place}")
}

fn file_of(line: &str) -> Option<HashedFile> {
    let mut parts = line.splitn(4, ' ');
    let role = serde_json::from_value(parts.next()?.into()).ok()?;
    let bytes = parts.next()?.parse().ok()?;
    let blake3 = parts.next()?.to_owned();
    let (mut place, mut escaped) = (String::new(), false);
    for character in parts.next()?.chars() {
        match (escaped, character) {
            (false, '\\') => {}
            (true, 'n') => place.push('\n'),
            (true, 'r') => place.push('\r'),
            (_, character) => place.push(character),
        }
        escaped = !escaped && character == '\\';
    }
    Some(HashedFile { role, place, bytes, blake3 })
}

/// Lists what differs between the files that were ingested under a source's `identity` and those of `now`, one phrase
/// per file; `None` where the ingested files are not known.
///
/// # Errors
/// When a record cannot be read.
pub fn differences(
    dir: &RunDir,
    split: Split,
    identity: &Value,
    now: &Identity,
) -> Result<Option<Vec<String>>> {
    for record in records(dir).readable::<Ingested>()? {
        let (_, record) = record?;
        if record.sources[split] == *identity {
            return Ok(Some(content::differences(&record.files(split), &now.files())));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::content::Role;

    #[test]
    fn a_line_holds_any_name() {
        for place in ["a/b.wav", "with space", "line\nend", "back\\slash\\n", "\r\\"] {
            let file = HashedFile {
                role: Role::Names,
                place: place.to_owned(),
                bytes: 12,
                blake3: "0a".to_owned(),
            };
            assert_eq!(file_of(&line(&file)), Some(file), "{place:?}");
        }
    }
}
