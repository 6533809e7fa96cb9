//! Maps of features, and the windows that are slid over them.

use gimlet_kernel::Geometry;
use serde::Serialize;

use super::Misfit;

/// The shape of a map of features, or of an image: `[height, width, channels]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Map {
    /// The number of rows; 1 for sound.
    pub height: usize,
    /// The number of columns; for sound, of steps.
    pub width: usize,
    /// The number of values at each position.
    pub channels: usize,
}

impl Map {
    /// The number of values in the map.
    pub fn len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Whether it holds no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of positions: height times width.
    pub fn positions(&self) -> usize {
        self.height * self.width
    }
}

/// A window that is slid over a padded map. Each setting is given down and across.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The positions that the window covers.
    pub kernel: [usize; 2],
    /// Positions from one window to the next.
    pub stride: [usize; 2],
    /// Positions added on both sides of the map.
    pub padding: [usize; 2],
}

impl Window {
    /// The window that covers one position.
    pub const POINT: Self = Self { kernel: [1; 2], stride: [1; 2], padding: [0; 2] };

    /// A square window.
    pub fn square(kernel: usize, stride: usize, padding: usize) -> Self {
        Self { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2] }
    }

    /// A window along the width, with a height of 1.
    pub fn along(kernel: usize, stride: usize, padding: usize) -> Self {
        Self { kernel: [1, kernel], stride: [1, stride], padding: [0, padding] }
    }

    /// The shape of the map that has one position for each window over `input`, with `channels` channels.
    ///
    /// # Errors
    /// When the window is larger than the padded map.
    pub fn over(self, input: Map, channels: usize) -> Result<Map, Misfit> {
        let side = |axis: usize, side: usize| {
            let room = (side + 2 * self.padding[axis]).checked_sub(self.kernel[axis])?;
            Some(room / self.stride[axis] + 1)
        };
        match (side(0, input.height), side(1, input.width)) {
            (Some(height), Some(width)) => Ok(Map { height, width, channels }),
            _ => Err(self.too_large(input)),
        }
    }

    fn too_large(self, Map { height, width, .. }: Map) -> Misfit {
        let ([down, across], [_, padding]) = (self.kernel, self.padding);
        if down == 1 {
            let what = format!("a kernel of {across}");
            let why = format!("is longer than its {width} steps with {padding} of padding");
            return Misfit { what, why };
        }
        let what = format!("a kernel of {down}x{across}");
        let why = format!("is larger than its map of {height}x{width} with {padding} of padding");
        Misfit { what, why }
    }

    /// The sizes of a convolution with this window.
    pub fn geometry(self, input: Map, out_channels: usize) -> Geometry {
        let Map { height, width, channels } = input;
        let Self { kernel, stride, padding } = self;
        Geometry { height, width, channels, kernel, stride, padding, out_channels }
    }
}
