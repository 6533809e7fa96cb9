//! What a pipeline takes from the program and the process that reads it.

use std::path::PathBuf;

use crate::layer::Layers;
use crate::loss::Losses;
use crate::schedule::Schedules;

/// The environment variable that holds the folder which relative paths of data start from.
pub const DATA_ROOT_VARIABLE: &str = "GIMLET_DATA";

/// What a pipeline takes from the program and the process that reads it.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The folder that relative paths of data start from if the pipeline names none: `GIMLET_DATA`.
    pub data_root: Option<PathBuf>,
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
        let data_root = std::env::var_os(DATA_ROOT_VARIABLE).filter(|root| !root.is_empty());
        Self { data_root: data_root.map(PathBuf::from), ..Self::default() }
    }
}
