//! Arithmetic and settings, in this process: kernels, losses, modules, measures, pipeline files. In one binary: each of its own takes as long to link as most take to run.

mod context;
mod figure;
mod golden;
mod golden_sound;
mod infonce;
mod kernels;
mod losses;
mod module;
mod pipeline;
mod representation;
mod schedule_settings;

#[path = "../golden_case/mod.rs"]
mod golden_case;
