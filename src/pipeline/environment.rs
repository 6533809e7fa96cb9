//! What a pipeline takes from the program and the process that reads it.

use std::path::PathBuf;

use crate::layer::Layers;
use crate::loss::Losses;
use crate::schedule::Schedules;

/// The environment variable that holds the folder which relative paths of data start from.
pub const DATA_ROOT_VARIABLE: &str = "GIMLET_DATA";

/// The environment variable that names the Python of modules in PyTorch.
pub const PYTHON_VARIABLE: &str = "GIMLET_PYTHON";

/// What a pipeline takes from the program and the process that reads it.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The folder that relative paths of data start from if the pipeline names none: `GIMLET_DATA`.
    pub data_root: Option<PathBuf>,
    /// The Python that runs modules in PyTorch, whatever the pipeline says: `GIMLET_PYTHON`.
    pub python: Option<PathBuf>,
    /// The losses that a pipeline can name.
    pub losses: Losses,
    /// The layers that a pipeline can name.
    pub layers: Layers,
    /// The schedules that a pipeline can name.
    pub schedules: Schedules,
}

impl Environment {
    /// The environment of this process. An empty variable counts as unset.
    pub fn of_process() -> Self {
        let path = |name| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
        let (data_root, python) = (path(DATA_ROOT_VARIABLE), path(PYTHON_VARIABLE));
        Self { data_root, python, ..Self::default() }
    }
}
