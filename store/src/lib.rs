//! Datasets of tensors in Parquet, in generations.
//!
//! A [`Store`] is the handle: it knows disks and buckets, what was read from them, and what this machine caches of
//! object storage. A [`Dataset`] is a folder on one of them. Each of its [`Generation`]s is a set of rows that is
//! written once, becomes visible when it is complete, and never changes. Any Parquet reader reads its part files by a
//! plain glob; a [`Reader`] fetches single rows from them as fast as from a flat file. `FORMAT.md` in the folder of
//! this crate describes the files.
//!
//! ```
//! use gimlet_store::{Column, DType, Rows, Schema, Spec, Store, Values, key_of};
//!
//! # fn main() -> gimlet_store::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let folder = folder.path().join("digits");
//! // A path of this machine, or `s3://bucket/digits`.
//! let dataset = Store::new().dataset(folder);
//!
//! // Two columns of tensors; ids and labels every dataset has.
//! let schema = Schema::of([
//!     Column::new("image", DType::U8, [28, 28]),
//!     Column::new("pooled", DType::F32, [3]),
//! ]);
//! // What the rows depend on: the same key again is the same generation, and no work.
//! let spec = Spec::new(schema, key_of("digits, view 1"));
//! let mut writer = dataset.begin(spec)?;
//! writer.write(&Rows {
//!     ids: &[7, 8],
//!     labels: &[Some(1), None],
//!     sources: None,
//!     attributes: &[],
//!     tensors: &[Values::U8(&[0; 2 * 28 * 28]), Values::F32(&[0.5, 1.0, 1.5, 2.0, 2.5, 3.0])],
//! })?;
//! // Until here no other process sees anything.
//! let generation = writer.commit(serde_json::json!({ "seconds": 1.5 }))?;
//!
//! let reader = generation.reader(&["pooled"])?;
//! let mut row = [0.0; 3];
//! reader.read_f32("pooled", &[1], &mut row)?;
//! assert_eq!(row, [2.0, 2.5, 3.0]);
//! assert_eq!(reader.keys()?.ids, [7, 8]);
//! # Ok(())
//! # }
//! ```
//!
//! Several processes, on several machines, may write and read a dataset at once. A file gets its name in one step
//! that fails when the name is taken ([`backend::Backend::create`]), so committed data is never replaced. A writer
//! that is killed leaves its complete parts to the next writer of the same key. Reading detects damage
//! ([`ErrorKind::Damaged`]), and a writer with the same key repairs it. [`gc`] removes what nothing needs.
//!
//! The feature `testing` adds faults on demand, and the test suite that every backend must pass.

#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

#[cfg(not(unix))]
compile_error!("the store needs the locks, links and positioned reads of Unix");

pub mod backend;
mod cache;
mod cache_folder;
mod check;
mod checked;
mod checksum;
mod column_chunk;
mod compression;
#[cfg(feature = "testing")]
pub mod conformance;
mod counters;
mod damage;
mod damage_note;
mod dataset;
mod direct_read;
mod error;
mod error_kind;
#[cfg(feature = "testing")]
pub mod faults;
mod file_system;
mod footer;
pub mod gc;
mod growing;
mod half_precision;
mod hashed_file;
mod json;
mod key;
mod key_page;
mod known_manifests;
mod lease;
mod limits;
mod location;
mod manifest;
mod operation;
mod page_header;
mod pages;
mod part_file;
mod part_index;
mod part_record;
mod part_writer;
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
mod store;
mod temp_file;
mod tensor_page;
mod unfinished;
mod unique;
mod writer;

pub use backend::{Entry, Lease};
pub use cache_folder::cache_folder;
pub use check::Heard;
pub use checked::{Checked, Unchecked};
pub use compression::{Compression, CompressionChoice, CompressionSetting};
pub use counters::Looks;
pub use damage::Damage;
pub use dataset::{Dataset, Generation};
pub use error::{Error, Result};
pub use error_kind::{ErrorKind, Failure};
pub use file_system::file_size_limit;
pub use growing::Appending;
pub use key::key_of;
pub use limits::Limits;
pub use location::{Location, path_of};
pub use manifest::{FORMAT_VERSION, Manifest, Part};
pub use reader::Reader;
pub use reader::keys::Keys;
pub use records::Records;
pub use rows::{Rows, Values};
pub use schema::{Column, DType, Schema};
pub use shard::Shard;
pub use statistics::Statistics;
pub use store::Store;
pub use unfinished::Unfinished;
pub use unique::unique;
pub use writer::again::DoneRows;
pub use writer::commit::Finished;
pub use writer::{Spec, Writer};
