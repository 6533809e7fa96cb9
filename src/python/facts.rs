//! What decides the results of a stage beside its arguments: its source, and the version of torch.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::memory::{Memory, hash_of};
use super::process::{Hello, StageProcess};
use super::{VERSION, named};
use crate::pipeline::{PythonStage, StageKey};
use crate::{Error, Result};

/// What decides the results of a stage beside its arguments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Facts {
    torch: String,
    /// The hashes of the files that it imports from the folder of the pipeline file, by their paths there.
    source: BTreeMap<String, String>,
}

/// What the keys of steps hold of a stage.
///
/// # Errors
/// When its process cannot be started, or cannot load it.
pub fn key_of(stage: &PythonStage) -> Result<Value> {
    let PythonStage { place, file: _, folder: _, class, arguments, key, interpreter: _ } = stage;
    let asked = facts(stage);
    let named = json!({ "file": place, "class": class, "arguments": arguments });
    match key {
        // Whatever it is, it has to be there.
        StageKey::Arguments => asked.map(|_| named),
        StageKey::Source => {
            let Facts { torch, source } = asked?;
            Ok(json!({
                "class": class,
                "arguments": arguments,
                "source": source,
                "torch": torch,
                "gimlet": VERSION,
            }))
        }
    }
}

/// What decides the results of a stage: as it is remembered, or as its process says.
pub(super) fn facts(stage: &PythonStage) -> Result<Facts> {
    match Memory::of(stage) {
        Some(memory) => Ok(of(stage, &memory)),
        None => {
            let (_, hello, files) = StageProcess::start(stage, None)?;
            let memory = learnt(stage, &hello, &files)?;
            memory.keep(stage);
            Ok(of(stage, &memory))
        }
    }
}

/// What is to be remembered of a process that has just loaded `stage`.
pub(super) fn learnt(stage: &PythonStage, hello: &Hello, files: &[String]) -> Result<Memory> {
    let sources: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
    let mut watched = BTreeMap::new();
    for path in sources.iter().chain([&PathBuf::from(&hello.torch_file)]) {
        let hash = hash_of(path).ok_or_else(|| {
            let message = format!("could not read `{}`, which `{}` imports", path.display(), named(stage));
            Error::failed(message)
        })?;
        watched.insert(path.clone(), hash);
    }
    Ok(Memory { torch: hello.torch.clone(), watched, sources, described: BTreeMap::new() })
}

fn of(stage: &PythonStage, memory: &Memory) -> Facts {
    let folder = stage.folder.canonicalize().unwrap_or_else(|_| stage.folder.clone());
    let source = memory.sources.iter().map(|path| {
        let place = path.strip_prefix(&folder).unwrap_or(path);
        let place = place.to_string_lossy().replace('\\', "/");
        (place, memory.watched.get(path).cloned().unwrap_or_default())
    });
    Facts { torch: memory.torch.clone(), source: source.collect() }
}

impl Facts {
    /// The facts of a process that has just loaded `stage`.
    pub fn of(stage: &PythonStage, hello: &Hello, files: &[String]) -> Result<Self> {
        Ok(of(stage, &learnt(stage, hello, files)?))
    }
}
