//! Which network predicts.

use serde::{Deserialize, Serialize};

pub(super) use crate::context::pixelcnn::{PixelCnn, operations, shapes};

/// What predicts, in place of each pooled vector itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Context {
    /// A gated PixelCNN.
    PixelCnn,
}
