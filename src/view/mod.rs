//! How samples are seen: from a decoded image to normalised patches.
//!
//! The first half runs once, at ingest ([`ingest`]: size and channels); the second whenever a
//! sample is used ([`frame`]: crop and flip; [`patches`]: scale, normalise, cut).

mod ingest;
mod patches;
mod sound;

pub use ingest::{Pixels, ingest};
pub use patches::{Frame, Framing, PatchShape, frame, patch_shape, patches};
pub use sound::{resampled_len, window, window_start};
