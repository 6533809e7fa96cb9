//! Runs of small pipelines from end to end: schedules, stops, shards, sweeps. In one binary: each of its own takes as long to link as most take to run.

mod equivalence;
mod from_code;
mod learns_nothing;
mod loss_runs;
mod past;
mod patience;
mod probes;
mod recompute;
mod resume;
mod rounds;
mod shards;
#[cfg(unix)]
mod signals;
mod simultaneous;
mod sound;
mod stores;
mod sweep;
mod views;
#[cfg(unix)]
mod workers;

#[path = "../../examples/custom_loss.rs"]
mod custom_loss;
#[path = "../notes/mod.rs"]
mod notes;
#[path = "../../examples/run_pipeline.rs"]
mod run_pipeline;
#[path = "../sound_files/mod.rs"]
mod sound_files;
#[path = "../tiny/mod.rs"]
mod tiny;
