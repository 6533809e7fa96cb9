//! The summary of an ingest in the manifest of its dataset.

use gimlet_store::Generation;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::account::Account;
use crate::media::SoundSummary;
use crate::source::BadSample;
use crate::train::took::Took;
use crate::{Error, Kind, Result};

/// The summary in the manifest of an ingested split.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IngestSummary {
    /// Time, memory and bytes that the ingest took.
    #[serde(flatten)]
    pub took: Took,
    /// Samples that were left out.
    pub skipped: Vec<Skipped>,
    /// The names of the classes of each further label.
    pub labels: Map<String, Value>,
    /// The account of what was read, and of what may be wrong with it.
    pub account: Account,
    /// Facts that only the ingest of recordings has.
    #[serde(flatten)]
    pub sound: Option<SoundSummary>,
}

/// A sample that was left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Skipped {
    /// Row of the sample in its source.
    pub id: i64,
    /// Where in the source the sample comes from.
    pub source: String,
    /// Why it was left out.
    pub reason: String,
}

impl From<BadSample> for Skipped {
    fn from(BadSample { id, source, reason, .. }: BadSample) -> Self {
        Self { id, source, reason }
    }
}

impl IngestSummary {
    /// Reads the summary of a dataset; `None` for a dataset that `ingest` has not made.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when it is not what `ingest` writes.
    pub fn of(dataset: &Generation) -> Result<Option<Self>> {
        let summary = &dataset.manifest().summary;
        if summary.get("account").is_none() {
            return Ok(None);
        }
        Self::deserialize(summary).map(Some).map_err(|error| {
            let message = format!("the summary of `{}` is wrong: {error}", dataset.dir());
            Error::new(Kind::Damaged, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::media::Level;
    use crate::pipeline::Normalise;

    #[test]
    fn a_summary_reads_back_with_and_without_sound() {
        let level =
            Level { rate: 8000, seconds: 2.5, normalise: Normalise { mean: 0.1, std: 0.25 } };
        let sound = SoundSummary { padded: 1, level, frame_names: None };
        for sound in [None, Some(sound)] {
            let summary = IngestSummary { sound, ..IngestSummary::default() };
            let told = json!(summary);
            assert_eq!(IngestSummary::deserialize(&told).unwrap(), summary, "{told}");
        }
    }
}
