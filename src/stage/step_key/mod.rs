//! The keys of steps, and what each key is made of.
//!
//! A key is made of a typed struct. The code that fills it in takes the settings apart without `..`, so a new setting
//! does not compile until every step has said whether it matters to it. These settings are in no key at all:
//!
//! - `name`, `store.url`, `data.root`, and how the paths of data are spelled: where something is stored does not change
//!   its content. The content of the files is in `source` of the key of `ingest`.
//! - `training.recompute`, `training.checkpoint_seconds`, `store.read_memory`, `store.cache_bytes`: how the work is
//!   done. Its results are the same, bit for bit.
//! - `training.held_out`: what is logged during a training. It does not influence the weights.
//! - `store.max_bytes` and `activations` of modules and of the store: the key of `encode` has the choice that follows
//!   from them.
//! - `store.keep_generations`: what is cleaned up. Only where older generations are replayed, the key of `train` has
//!   it.
//! - `[slurm]`: the resources that a cluster is asked for.

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

/// Version of the methods of all steps. Raise it when a step would compute something else from the same settings: then
/// earlier results become stale.
const METHOD_VERSION: u32 = 4;
