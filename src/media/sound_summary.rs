//! What the manifest of ingested recordings says of them alone.

use serde::{Deserialize, Serialize};

use crate::pipeline::Normalise;

/// What the ingest of recordings says about a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SoundSummary {
    /// Recordings that are shorter than a window.
    pub padded: u64,
    /// How long and how loud they are.
    #[serde(rename = "sound")]
    pub level: Level,
    /// The names of the labels of hops, where they have some.
    pub frame_names: Option<Vec<String>>,
}

/// How long and how loud the recordings of a split are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Samples a second.
    pub rate: u32,
    /// Seconds of all recordings together.
    pub seconds: f64,
    /// Mean and standard deviation of all values.
    #[serde(flatten)]
    pub normalise: Normalise,
}
