//! Datasets of tensors in Parquet, in generations.
//!
//! A [`Dataset`] is a folder. Each of its [`Generation`]s is a set of rows that is written once,
//! becomes visible when it is complete, and never changes. Its part files are Parquet that every
//! reader of Parquet reads by a plain glob; a [`Reader`] fetches single rows from them as fast as
//! from a flat file. `FORMAT.md` beside this crate says what lies on disk.

#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod cache;
mod check;
mod checksum;
mod column_chunk;
mod compression;
pub mod damage;
mod dataset;
mod direct_read;
pub mod durable;
mod error;
pub mod faults;
pub mod files;
mod footer;
pub mod gc;
mod half_precision;
mod hashed_file;
mod kept;
mod key_page;
mod known_manifests;
mod lease;
mod limits;
mod looks;
mod manifest;
mod naming;
mod object;
mod page_header;
mod pages;
mod part_file;
mod part_index;
mod part_record;
mod part_writer;
mod plain_file;
mod positioned;
mod quantise;
mod reader;
mod records;
mod row_group;
mod rows;
mod schema;
mod seal;
mod shard;
mod statistics;
mod tensor_page;
pub mod thrift;
mod writer;

pub use check::{Checked, Heard, Unchecked};
pub use compression::{Compression, CompressionChoice, CompressionSetting};
pub use damage::Damage;
pub use dataset::{Dataset, Generation};
pub use error::{Error, ErrorKind, Result, file_size_limit};
pub use kept::{bytes_fetched, keep_at_most};
pub use lease::Lease;
pub use limits::Limits;
pub use looks::{Looks, looks};
pub use manifest::{FORMAT_VERSION, Manifest, Part};
pub use object::cache_folder;
pub use positioned::bytes_read;
pub use reader::{Keys, Reader};
pub use records::Records;
pub use rows::{Rows, Values};
pub use schema::{Column, DType, Schema};
pub use shard::Shard;
pub use statistics::Statistics;
pub use writer::{Finished, Spec, Writer};
