//! The choice of a network that predicts on a grid of patches.

use serde::{Deserialize, Serialize};

pub(super) use crate::context::pixelcnn::{PixelCnn, operations, shapes};

/// A network whose output predicts, in place of each pooled vector itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Context {
    /// A gated PixelCNN ([`crate::context::pixelcnn`]).
    PixelCnn,
}
