//! Train neural networks one gradient-isolated module at a time, from disk.
//!
//! A [`Pipeline`](pipeline::Pipeline) says where samples come from, how they are seen, which modules are trained on
//! them and with which loss. It is read from a TOML file (its [keys](pipeline::reference())), or built in code. A
//! [`Run`](stage::Run) computes a pipeline in one directory. Its steps are ingest, train, encode and probe; each reads
//! committed files and writes committed files. A finished step is not run again, and a stopped step goes on from its
//! checkpoint.
//!
//! ```
//! use gimlet::layer::{Conv, Layer, Relu};
//! use gimlet::pipeline::{ImageView, NewModule, Pipeline, Textures, Training};
//! use gimlet::stage::{Run, RunDir, Session, findings, progress::Silent};
//! use gimlet::stop::Stop;
//!
//! let textures = Textures { classes: 3, size: 16, train: 48, test: 24, ..Textures::default() };
//! let conv = Conv { channels: 8, kernel: 3, stride: 1, padding: 1 }.shared();
//! let pipeline = Pipeline::builder("textures", textures, ImageView::new(8, 4))
//!     .module(NewModule::new("a", [conv, Relu.shared()]))
//!     .loss(gimlet::loss::clapp::Settings { prediction_steps: 1, ..Default::default() })
//!     .training(Training { epochs: 2, batch: 8, ..Training::default() })
//!     .build()?;
//!
//! let folder = tempfile::tempdir().unwrap();
//! let stop = Stop::new();
//! let run = Run::open(&pipeline, RunDir::at(folder.path()), Session::new(&stop, &Silent))?;
//! run.all_steps()?;
//! for row in findings::collect(&run.standing, &run.standing.status()?)? {
//!     println!("{} {:?}: {:?}", row.probe.module, row.probe.origin, row.probe.accuracy);
//! }
//! # Ok::<(), gimlet::Error>(())
//! ```
//!
//! `examples/custom_loss.rs` adds a [loss](loss::Recipe) of its own, and `examples/run_pipeline.rs` runs a pipeline
//! file. A run stores tensors in Parquet files, which the crate [`gimlet_store`] reads and writes.

#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

pub mod axis;
#[cfg(feature = "cli")]
pub mod cli;
pub mod context;
pub mod device;
pub mod error;
pub mod exchange;
mod folder;
pub mod init;
pub mod layer;
pub mod loss;
pub mod media;
pub mod module;
pub mod parameters;
mod parquet_table;
pub mod pipeline;
pub mod probe;
pub mod python;
mod quantity;
pub mod random;
mod registry;
pub mod report;
pub mod sample;
pub mod schedule;
pub mod setting;
pub mod slurm;
pub mod source;
pub mod stage;
pub mod stop;
pub mod sweep;
pub mod train;
pub mod view;

pub use error::{Error, Kind, Result};
