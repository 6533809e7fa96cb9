//! Whether a module was trained.

use serde::{Deserialize, Serialize};

/// Where the weights of a module come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// From its training.
    Trained,
    /// From the seed: what its training starts from.
    Untrained,
}

impl Origin {
    /// Both, in the order of tables.
    pub const ALL: [Origin; 2] = [Origin::Trained, Origin::Untrained];

    /// The name in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Trained => "trained",
            Origin::Untrained => "untrained",
        }
    }
}
