//! The result of a sweep's run, which is committed when the run has ended.

use std::collections::HashMap;

use gimlet_store::Records;
use serde::{Deserialize, Serialize};

use crate::stage::findings::Row;
use crate::stage::record::Keyed;
use crate::stage::{Plan, Step};
use crate::{Error, Result};

/// The findings of a run, and what it took. This outlives the run's datasets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The key of the result: a hash of the keys of all probes.
    pub key: String,
    /// One row per module, trained and untrained. It says what the module takes by itself, even where another run had
    /// trained it before.
    pub rows: Vec<Row>,
    /// Seconds that the run's process took, including the time it waited for others, but without the work that other
    /// runs had done.
    pub seconds: f64,
}

impl Keyed for RunResult {
    fn key(&self) -> &str {
        &self.key
    }
}

impl RunResult {
    /// Makes the key of the result of `plan`.
    pub fn key_of(plan: &Plan) -> String {
        let mut hash = blake3::Hasher::new();
        for step in plan.steps() {
            if let Step::Probe(_) = step {
                plan.keys(step).iter().for_each(|key| {
                    hash.update(key.hash.as_bytes());
                });
            }
        }
        hash.finalize().to_hex().to_string()
    }

    /// Reads all results, by their keys; of several with one key, the newest. Damaged records are passed over.
    ///
    /// # Errors
    /// When a record cannot be read for another reason than damage.
    pub fn all(records: &Records) -> Result<HashMap<String, Self>> {
        let mut found = HashMap::new();
        for record in records.readable::<Self>()? {
            let (_, result) = record.map_err(Error::from)?;
            found.entry(result.key.clone()).or_insert(result);
        }
        Ok(found)
    }
}
