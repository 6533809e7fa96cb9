//! Modules that are written in PyTorch: `python` of `[[modules]]`, and `[python]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A module that is written in PyTorch.
#[derive(Debug, Clone, PartialEq)]
pub struct PythonStage {
    /// The file as the pipeline names it.
    pub place: String,
    /// The file, found from the folder of the pipeline file.
    pub file: PathBuf,
    /// The folder of the pipeline file. Sources below it are in keys.
    pub folder: PathBuf,
    /// The name of the class.
    pub class: String,
    /// What the class is made with.
    pub arguments: Map<String, Value>,
    /// What keys hold of it.
    pub key: StageKey,
    /// The Python that runs it: a path, or a name that is looked up in `PATH`.
    pub interpreter: PathBuf,
}

/// What keys of steps hold of a module that is written in PyTorch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StageKey {
    /// Sources, arguments, and the versions of torch and gimlet.
    #[default]
    Source,
    /// File, class and arguments alone.
    Arguments,
}
