//! Remembers what the processes of stages have said, so that a plan starts none as long as nothing has changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gimlet_store::Store;
use serde::{Deserialize, Serialize};

use super::described::Described;
use super::{PROTOCOL, VERSION};
use crate::pipeline::PythonStage;

/// What is remembered of one class of one file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    /// The version of torch.
    pub torch: String,
    /// The files whose content decides all this, with their hashes: the stage's own, and torch's file of its version.
    pub watched: BTreeMap<PathBuf, String>,
    /// Of those, the stage's own.
    pub sources: Vec<PathBuf>,
    /// What dry runs have found, by what they were made with.
    #[serde(default)]
    pub described: BTreeMap<String, Described>,
}

impl Memory {
    /// What is remembered of `stage`, unless a file has changed since.
    pub fn of(stage: &PythonStage) -> Option<Self> {
        let bytes = std::fs::read(place(stage)?).ok()?;
        let memory: Self = serde_json::from_slice(&bytes).ok()?;
        let same = |(path, hash): (&PathBuf, &String)| hash_of(path).as_ref() == Some(hash);
        memory.watched.iter().all(same).then_some(memory)
    }

    /// Remembers it. If that fails, the stage is asked again the next time.
    pub fn keep(&self, stage: &PythonStage) {
        let Some(place) = place(stage) else { return };
        let at = Store::new().locate(&place);
        let written = serde_json::to_vec(self)
            .map_err(std::io::Error::other)
            .map(|bytes| at.folder().create_folder().and_then(|()| at.replace(&bytes)));
        if !matches!(written, Ok(Ok(()))) {
            tracing::debug!("what `{}` said is not remembered: {written:?}", stage.place);
        }
    }
}

/// The BLAKE3 of a file in hexadecimal digits; `None` where it cannot be read.
pub(super) fn hash_of(path: &Path) -> Option<String> {
    Some(blake3::hash(&std::fs::read(path).ok()?).to_hex().to_string())
}

/// Where it is remembered. All that tells one Python from another without starting it is in the name.
fn place(stage: &PythonStage) -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).unwrap_or_default();
    let here = std::env::current_dir().ok()?;
    let parts = [
        stage.file.canonicalize().ok()?.into_os_string(),
        stage.folder.canonicalize().ok()?.into_os_string(),
        stage.class.clone().into(),
        // Its path as it is: that of a virtual environment is a link to another Python.
        stage.interpreter.clone().into_os_string(),
        here.into_os_string(),
        variable("PATH"),
        variable("PYTHONPATH"),
        variable("PYTHONHOME"),
        format!("{VERSION} {PROTOCOL}").into(),
    ];
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part.as_encoded_bytes());
        hasher.update(&[0]);
    }
    let name = hasher.finalize().to_hex();
    Some(gimlet_store::cache_folder().join("stages").join(&name.as_str()[..32]))
}
