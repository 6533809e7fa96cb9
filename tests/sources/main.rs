//! Samples of every kind of source. In one binary: each of its own takes as long to link as most take to run.

mod activation_files;
mod activations;
mod images;
mod own;
mod phones;
mod sound_formats;
mod sounds;

#[path = "../parquet_file/mod.rs"]
mod parquet_file;
#[path = "../sound_files/mod.rs"]
mod sound_files;
#[path = "../tiny/mod.rs"]
mod tiny;
