//! The log of a training for TensorBoard: an events file with the contents of `log.jsonl`.
//!
//! A file is a sequence of TFRecords ([format](https://www.tensorflow.org/tutorials/load_data/tfrecord)). Each
//! has a length, a checksum of the length, the bytes, and a checksum of the bytes. The bytes are an `Event`
//! from `tensorflow/core/util/event.proto` in Protocol Buffers; only the fields we need are defined here.
//! TensorBoard reads every file whose name contains `tfevents`, and takes its folder for a run.

use std::time::{SystemTime, UNIX_EPOCH};

use crc_fast::CrcAlgorithm::Crc32Iscsi;
use gimlet_store::{Appending, Location};
use prost::{Message, Oneof};

use super::log::Entry;
use crate::{Error, Result};

/// The start of the names of events files.
const PREFIX: &str = "events.out.tfevents.";

/// The format, as the first event of a file names it.
const VERSION: &str = "brain.Event:2";

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

/// A scalar: `Summary.Value`.
#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    /// The status; 1 is `START`.
    #[prost(int32, tag = "1")]
    status: i32,
}

/// The events file of a training.
pub struct Events {
    file: Appending,
}

impl Events {
    /// Begins a new file in `folder` with `entries`, in place of all older ones. The time of the last entry is
    /// now; the other times are counted back from it by the entries' seconds of training.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(folder: &Location, entries: &[Entry]) -> Result<Self> {
        let now = now();
        let name = format!("{PREFIX}{}.gimlet.{}.0", now as u64, std::process::id());
        let path = folder.join(name);
        let mut records = Vec::new();
        let event = |step, what| Event { wall_time: now, step, what: Some(what) };
        records.extend(record(&event(0, What::FileVersion(VERSION.to_string()))));
        // Makes a TensorBoard that has read an older file drop its data.
        records.extend(record(&event(0, What::SessionLog(SessionLog { status: 1 }))));
        let last = entries.last().map_or(0.0, |entry| entry.seconds);
        for entry in entries {
            records.extend(record(&event_of(entry, now - (last - entry.seconds))));
        }
        let file = Appending::begin(&path, records)?;
        remove_others(folder, &path)?;
        Ok(Self { file })
    }

    /// Appends an entry of the log.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn push(&mut self, entry: &Entry) -> Result<()> {
        Ok(self.file.push(&record(&event_of(entry, now())))?)
    }

    /// Hands the appended bytes to the operating system, or to object storage.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        Ok(self.file.flush()?)
    }
}

/// Removes the events files of a folder, except `but`.
fn remove_others(folder: &Location, but: &Location) -> Result<()> {
    for name in folder.names().map_err(|error| Error::io("list", folder.path(), error))? {
        if name.starts_with(PREFIX) && name != but.name() {
            // Failing is fine: another process may be reading the file. The new file sorts after it, and its
            // start event supersedes it.
            let _ = folder.join(&name).remove();
        }
    }
    Ok(())
}

/// Seconds since 1970; 0 if the clock is earlier.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |it| it.as_secs_f64())
}

/// The event with the scalars of an entry. Its step is the number of steps taken, this one included.
fn event_of(entry: &Entry, wall_time: f64) -> Event {
    let values = [
        ("train/loss", Some(entry.loss as f32)),
        ("train/accuracy", entry.accuracy.map(|it| it as f32)),
        ("held_out/loss", entry.held_out),
        ("held_out/accuracy", entry.held_out_accuracy),
    ];
    let scalar = |(tag, value): (&str, Option<f32>)| {
        value.map(|value| Scalar { tag: tag.to_string(), simple_value: Some(value) })
    };
    let summary = Summary { value: values.into_iter().filter_map(scalar).collect() };
    let step = i64::try_from(entry.step + 1).unwrap_or(i64::MAX);
    Event { wall_time, step, what: Some(What::Summary(summary)) }
}

/// An event as a TFRecord.
fn record(event: &Event) -> Vec<u8> {
    let bytes = event.encode_to_vec();
    let length = (bytes.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(bytes.len() + 16);
    record.extend(length);
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(&bytes);
    record.extend(masked_crc(&bytes).to_le_bytes());
    record
}

/// CRC-32C, rotated and shifted. Plain checksums work badly on data that contain checksums
/// (`tensorflow/core/lib/hash/crc32c.h`).
fn masked_crc(bytes: &[u8]) -> u32 {
    let crc = crc_fast::checksum(Crc32Iscsi, bytes) as u32;
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_that_of_tensorflow() {
        // As TensorBoard 2.20 computes them: `tensorboard.compat.tensorflow_stub.pywrap_tensorflow`.
        assert_eq!(masked_crc(b"123456789"), 0xc78a_b0e5);
        assert_eq!(masked_crc(&24u64.to_le_bytes()), 0x224b_7fa3);
    }
}
