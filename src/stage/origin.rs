//! Whether a module was trained.

use serde::{Deserialize, Serialize};

/// Where the weights of a module come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The weights of its training.
    Trained,
    /// The weights drawn from the seed, from which its training starts.
    Untrained,
}

impl Origin {
    /// Both origins, in the order of tables.
    pub const ALL: [Origin; 2] = [Origin::Trained, Origin::Untrained];

    /// The name in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Trained => "trained",
            Origin::Untrained => "untrained",
        }
    }
}
