//! How the maps of a sample become the vectors that losses and probes see.

use super::settings::Map;

/// How the maps of a sample become the vectors that losses and probes see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// For images and grids: the mean of each patch's map, on the grid of patches.
    Patches {
        /// Rows and columns of the grid.
        grid: [usize; 2],
    },
    /// For sound and sequences: each step of the one map. Stored for probes are the means over `frames` equal parts of the window,
    /// or the steps themselves where there are fewer.
    Steps {
        /// The largest number of vectors that are stored for a window.
        frames: usize,
    },
}

impl Pooling {
    /// The number of maps of a sample.
    pub fn maps(self) -> usize {
        match self {
            Self::Patches { grid: [rows, columns] } => rows * columns,
            Self::Steps { .. } => 1,
        }
    }

    /// Whether the stored pooled vectors are those that the loss sees.
    pub fn stores_what_the_loss_sees(self) -> bool {
        matches!(self, Self::Patches { .. })
    }

    /// Rows and columns of the vectors that the loss sees, for maps of size `map`.
    pub fn seen(self, map: Map) -> (usize, usize) {
        match self {
            Self::Patches { grid: [rows, columns] } => (rows, columns),
            Self::Steps { .. } => (map.width, 1),
        }
    }

    /// Rows and columns of the stored pooled vectors, for maps of size `map`.
    pub fn stored(self, map: Map) -> (usize, usize) {
        match self {
            Self::Patches { grid: [rows, columns] } => (rows, columns),
            Self::Steps { frames } => (map.width.min(frames), 1),
        }
    }
}
