//! What is committed of a run of a sweep when it has ended.

use std::collections::HashMap;

use gimlet_store::Records;
use serde::{Deserialize, Serialize};

use crate::stage::findings::Row;
use crate::stage::record::Keyed;
use crate::stage::{Plan, Step};
use crate::{Error, Result};

/// What a run found, and what it took. It outlives the run's datasets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Of what was found: a hash of the keys of all probes.
    pub key: String,
    /// Each module, trained and not. What a module took is what it takes alone, also where another run
    /// had done it before.
    pub rows: Vec<Row>,
    /// How long the run's process took, in seconds: without what other runs had done, with the time it
    /// waited for others.
    pub seconds: f64,
}

impl Keyed for RunResult {
    fn key(&self) -> &str {
        &self.key
    }
}

impl RunResult {
    /// The key of the result of `plan`.
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

    /// All results there are, by their keys; of those with one key the newest. Damaged records are passed
    /// over.
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
