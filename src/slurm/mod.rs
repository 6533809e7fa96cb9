//! Slurm: a bash script that submits a run's steps as jobs, and what the queue says of them.
//!
//! The scheduler only starts processes. What is done stands in the store: a job that is run again, by
//! Slurm or by hand, finds what is there and does the rest.
//!
//! - [`Job`]: a step, or several that are one job, what it waits for, and what it runs ([`jobs`]).
//! - [`Script`]: bash that submits jobs by `sbatch`; people may edit it.
//! - [`Submission`]: what was submitted, as a record of the run.
//! - [`Queue`]: what `squeue` says of it.

mod cluster;
mod job;
mod queue;
mod script;
mod submission;

pub use job::{Array, Commands, Job, Sharding, of_pipeline, of_sweep};
pub use queue::{Queue, Waiting};
pub use script::Script;
pub use submission::{Submission, Submitted};
