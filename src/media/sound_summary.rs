//! The part of a manifest that only ingested recordings have.

use serde::{Deserialize, Serialize};

use crate::pipeline::Normalise;

/// Results of the ingest of recordings, per split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SoundSummary {
    /// The number of recordings that are shorter than a window.
    pub padded: u64,
    /// The length and the loudness of the recordings.
    #[serde(rename = "sound")]
    pub level: Level,
    /// The names of the hop labels, if they have any.
    pub frame_names: Option<Vec<String>>,
}

/// The length and the loudness of the recordings of a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Samples per second.
    pub rate: u32,
    /// Seconds of all recordings together.
    pub seconds: f64,
    /// Mean and standard deviation of all values.
    #[serde(flatten)]
    pub normalise: Normalise,
}
