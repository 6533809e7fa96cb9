//! Slurm: a bash script that submits a run's steps as jobs, and the state of these jobs in the queue.
//!
//! Slurm only starts processes. The store knows what is done: a job that is run again, by Slurm or by hand, finds what
//! is there and does the rest.
//!
//! - [`Job`]: one or several steps, which jobs have to end before it, and what it runs ([`of_pipeline`]).
//! - [`Script`]: bash that submits jobs with `sbatch`; you may edit it.
//! - [`Submission`]: what was submitted, as a record of the run.
//! - [`Queue`]: what `squeue` says about a submission.

mod cluster;
mod job;
mod queue;
mod script;
mod submission;

pub use job::{Array, Commands, Job, Sharding, of_pipeline, of_sweep};
pub use queue::{Queue, Waiting};
pub use script::Script;
pub use submission::{Submission, Submitted};
