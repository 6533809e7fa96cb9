//! How maps become the vectors that losses and probes see.

use super::settings::Map;

/// How the maps of a sample become the vectors that losses and probes see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Of an image: the mean of each patch's map, on a square grid of patches.
    Patches {
        /// Patches across, and down.
        grid: usize,
    },
    /// Of sound: each step of the one map. What is stored for probes are means over `frames` equal
    /// parts of the window, or the steps, where there are fewer.
    Steps {
        /// How many vectors of a window are stored, at most.
        frames: usize,
    },
}

impl Pooling {
    /// Maps of a sample.
    pub fn maps(self) -> usize {
        match self {
            Self::Patches { grid } => grid * grid,
            Self::Steps { .. } => 1,
        }
    }

    /// Whether the pooled vectors that are stored are those that the loss sees.
    pub fn stores_what_the_loss_sees(self) -> bool {
        matches!(self, Self::Patches { .. })
    }

    /// Rows and columns of the vectors that the loss sees, of such maps.
    pub fn seen(self, map: Map) -> (usize, usize) {
        match self {
            Self::Patches { grid } => (grid, grid),
            Self::Steps { .. } => (map.width, 1),
        }
    }

    /// Rows and columns of the pooled vectors that are stored, of such maps.
    pub fn stored(self, map: Map) -> (usize, usize) {
        match self {
            Self::Patches { grid } => (grid, grid),
            Self::Steps { frames } => (map.width.min(frames), 1),
        }
    }
}
