//! The keys of steps: what each is made of.
//!
//! A key is made of a typed struct. Where that is filled in, the settings are taken apart without `..`, so that a
//! new setting does not compile until every step has said whether it matters to it. These are in no key at all:
//!
//! - `name`, `store.url`, `data.root`, and how the paths of data are spelled: where something lies does not change
//!   what it is. What the files hold is in `source` of the key of `ingest`.
//! - `training.recompute`, `training.checkpoint_seconds`, `store.read_memory`, `store.cache_bytes`: how the work is
//!   done. Its results are the same, bit for bit.
//! - `training.held_out`: what is logged beside a training, and comes back to nothing.
//! - `store.max_bytes` and `activations` of modules and of the store: the key of `encode` has what came of them.
//! - `store.keep_generations`: what is cleaned up. Where older generations are replayed, the key of `train` has it.
//! - `[slurm]`: what a cluster is asked for.

mod encode;
mod ingest;
mod probe;
mod train;
mod untrained;

pub(super) use encode::{encode_key, publish_key, published};
pub(super) use ingest::ingest_key;
pub(super) use probe::probe_key;
pub(super) use train::{Reads, train_key};
pub(super) use untrained::untrained_key;

/// Raised when a step would compute something else from the same settings: what was made before is
/// stale then.
const METHOD_VERSION: u32 = 4;
