//! What keys hold of a stage: its source, its arguments, and the versions that run it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::memory::{Memory, hash_of};
use super::process::{Hello, StageProcess};
use super::{VERSION, named};
use crate::pipeline::{PythonStage, StageKey};
use crate::{Error, Result};

/// What the keys of steps hold of a stage, as it is now.
///
/// # Errors
/// When its process cannot be started, or cannot load it.
pub fn key_of(stage: &PythonStage) -> Result<Value> {
    let memory = match Memory::of(stage) {
        Some(memory) => memory,
        None => {
            let (_, hello, files) = StageProcess::start(stage, None)?;
            let memory = learnt(stage, &hello, &files)?;
            memory.keep(stage);
            memory
        }
    };
    Ok(key_from(stage, &memory))
}

/// What keys hold of a stage of which `memory` was learnt.
pub(super) fn key_from(stage: &PythonStage, memory: &Memory) -> Value {
    let PythonStage { place, file: _, folder, class, arguments, key, interpreter: _ } = stage;
    if *key == StageKey::Arguments {
        return json!({ "file": place, "class": class, "arguments": arguments });
    }
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.clone());
    let hashes = memory.sources.iter().map(|path| {
        let place = path.strip_prefix(&folder).unwrap_or(path);
        let place = place.to_string_lossy().replace('\\', "/");
        (place, memory.watched.get(path).cloned().unwrap_or_default())
    });
    let source: BTreeMap<String, String> = hashes.collect();
    json!({
        "class": class,
        "arguments": arguments,
        "source": source,
        "torch": memory.torch,
        "gimlet": VERSION,
    })
}

/// What is to be remembered of a process that has just loaded `stage`. `files` are those that it has imported from the
/// folder of the pipeline file.
pub(super) fn learnt(stage: &PythonStage, hello: &Hello, files: &[String]) -> Result<Memory> {
    let sources: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
    let mut watched = BTreeMap::new();
    for path in sources.iter().chain([&PathBuf::from(&hello.torch_file)]) {
        let hash = hash_of(path).ok_or_else(|| {
            let message =
                format!("could not read `{}`, which `{}` imports", path.display(), named(stage));
            Error::failed(message)
        })?;
        watched.insert(path.clone(), hash);
    }
    Ok(Memory { torch: hello.torch.clone(), watched, sources, described: BTreeMap::new() })
}
