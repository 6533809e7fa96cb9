//! Arithmetic and settings, in this process: kernels, losses, modules, measures, pipeline files. In one binary: each of its own takes as long to link as most take to run.

mod builder;
mod context;
mod figure;
mod golden;
mod golden_sound;
mod infonce;
mod kernels;
mod losses;
mod module;
mod own_layer;
mod pipeline;
mod reference;
mod representation;
mod schedule_settings;
mod stale_steps;

#[path = "../golden_case/mod.rs"]
mod golden_case;
#[path = "../parquet_file/mod.rs"]
mod parquet_file;
#[path = "../sound_files/mod.rs"]
mod sound_files;
