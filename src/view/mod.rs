//! The view of samples: from a decoded image to normalised patches, from a waveform to a normalised window.
//!
//! The first half runs once, at ingest: [`ingest`] (size and channels), [`judge`] (silent or too loud) and
//! [`resample`] (rate). The second half runs whenever a sample is used: [`Framing`] (crop and flip), [`patches`]
//! (scale, normalise, cut), [`window_start`] and [`window`].

mod ingest;
mod judge;
mod patches;
mod resample;
mod sound;

pub use ingest::ingest;
pub use judge::{Verdict, judge};
pub use patches::{Frame, Framing, PatchShape, patch_shape, patches};
pub use resample::resample;
pub use sound::{resampled_len, window, window_start};
