//! How samples are seen: from a decoded image to normalised patches; sound, at one rate ([`resample`]).
//!
//! The first half runs once, at ingest ([`ingest`]: size and channels); the second whenever a
//! sample is used ([`frame`]: crop and flip; [`patches`]: scale, normalise, cut).

mod ingest;
mod patches;
mod resample;

pub use ingest::{Pixels, ingest};
pub use patches::{Frame, Framing, PatchShape, frame, patch_shape, patches};
pub use resample::resample;
