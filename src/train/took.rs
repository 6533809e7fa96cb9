//! The cost of a step: measured, recorded, and shown in tables.

use std::ops::Add;

use gimlet_store::Generation;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::profile::Breakdown;
use crate::{Error, Kind, Result};

/// The cost of a step, over all attempts and rounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Took {
    /// Seconds of work.
    pub seconds: f64,
    /// Seconds that a training waited for data, part of its `seconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<f64>,
    /// The highest resident memory of the process, in bytes, if the system reports it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<u64>,
    /// Bytes read from datasets. `None` for `ingest`, which reads the source, and for imported weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_bytes: Option<u64>,
    /// Bytes that the step leaves on disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Seconds that a training spent in each part of its steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breakdown: Option<Breakdown>,
}

impl Took {
    /// Reads the cost of making a dataset from its manifest.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when the manifest lacks it.
    pub fn of(dataset: &Generation) -> Result<Self> {
        Self::deserialize(&dataset.manifest().summary).map_err(|error| {
            let path = dataset.dir();
            Error::new(Kind::Damaged, format!("`{path}` does not say what it took: {error}"))
        })
    }

    /// Adds the cost of later work; memory is the higher of both.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self {
            seconds: self.seconds + more.seconds,
            wait_seconds: sum(self.wait_seconds, more.wait_seconds),
            peak_memory: self.peak_memory.max(more.peak_memory),
            read_bytes: sum(self.read_bytes, more.read_bytes),
            bytes: sum(self.bytes, more.bytes),
            breakdown: sum(self.breakdown, more.breakdown),
        }
    }

    /// Merges the costs of two datasets that one pass made: each has the cost of the whole pass, and its own
    /// bytes.
    #[must_use]
    pub fn of_one_pass(self, other: Self) -> Self {
        Self {
            seconds: self.seconds.max(other.seconds),
            peak_memory: self.peak_memory.max(other.peak_memory),
            read_bytes: self.read_bytes.max(other.read_bytes),
            bytes: sum(self.bytes, other.bytes),
            ..self
        }
    }

    /// Adds seconds of waiting for data, which are part of `seconds`.
    pub fn waited(&mut self, seconds: f64) {
        *self.wait_seconds.get_or_insert(0.0) += seconds;
    }

    /// The share of its seconds that a training waited for data.
    pub fn wait_share(&self) -> Option<f64> {
        let share = |wait| if self.seconds > 0.0 { wait / self.seconds } else { 0.0 };
        self.wait_seconds.map(share)
    }
}

/// Adds two numbers, of which either may be unknown.
pub(crate) fn sum<T: Add<Output = T>>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    }
}

/// Serialises the cost of a step as fields beside others. A field is `null` if its number is unknown or the
/// step is not done.
pub fn or_nulls<S: Serializer>(took: &Option<Took>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_map(Some(5))?;
    fields.serialize_entry("bytes", &took.and_then(|it| it.bytes))?;
    fields.serialize_entry("seconds", &took.map(|it| it.seconds))?;
    fields.serialize_entry("wait_seconds", &took.and_then(|it| it.wait_seconds))?;
    fields.serialize_entry("peak_memory", &took.and_then(|it| it.peak_memory))?;
    fields.serialize_entry("read_bytes", &took.and_then(|it| it.read_bytes))?;
    fields.end()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sum_takes_what_only_one_side_knows() {
        let one =
            Took { seconds: 2.0, peak_memory: Some(5), read_bytes: Some(1), ..Took::default() };
        let other = Took { seconds: 3.0, peak_memory: Some(4), bytes: Some(7), ..Took::default() };
        let both = one.and(other);
        assert_eq!((both.seconds, both.peak_memory), (5.0, Some(5)));
        assert_eq!((both.read_bytes, both.bytes, both.wait_share()), (Some(1), Some(7), None));
        assert_eq!(one.of_one_pass(other).seconds, 3.0);
    }

    #[test]
    fn a_misspelt_field_is_an_error() {
        assert!(serde_json::from_value::<Took>(json!({ "secnods": 1.0 })).is_err());
        let took: Took = serde_json::from_value(json!({ "seconds": 1.0, "labels": {} })).unwrap();
        assert_eq!(took, Took { seconds: 1.0, ..Took::default() });
    }
}
