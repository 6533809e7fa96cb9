//! The log of a training as TensorBoard reads it: an events file, which mirrors `log.jsonl`.
//!
//! A file is a sequence of TFRecords ([format](https://www.tensorflow.org/tutorials/load_data/tfrecord)): of
//! each the length, a checksum of that, the bytes and a checksum of these. The bytes are an `Event` of
//! `tensorflow/core/util/event.proto` in Protocol Buffers, of which the fields that are needed are here.
//! TensorBoard takes any file whose name holds `tfevents`, and its folder for a run.

use std::time::{SystemTime, UNIX_EPOCH};

use crc_fast::CrcAlgorithm::Crc32Iscsi;
use gimlet_store::{Appending, Location};
use prost::{Message, Oneof};

use super::log::Entry;
use crate::{Error, Result};

/// What the names of events files begin with.
const PREFIX: &str = "events.out.tfevents.";

/// What the first event of a file says of its format.
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

/// `Summary.Value`.
#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    /// 1: `START`.
    #[prost(int32, tag = "1")]
    status: i32,
}

/// The events file of a training.
pub struct Events {
    file: Appending,
}

impl Events {
    /// A new file in `folder` that says what `entries` say, in place of all that are there. What it says
    /// was trained so many seconds before the last of them was, counted back from now.
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
        // A TensorBoard that has read an older file forgets what it has seen.
        records.extend(record(&event(0, What::SessionLog(SessionLog { status: 1 }))));
        let last = entries.last().map_or(0.0, |entry| entry.seconds);
        for entry in entries {
            records.extend(record(&event_of(entry, now - (last - entry.seconds))));
        }
        let file = Appending::begin(&path, records)?;
        remove_others(folder, &path)?;
        Ok(Self { file })
    }

    /// Appends what an entry of the log says.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn push(&mut self, entry: &Entry) -> Result<()> {
        Ok(self.file.push(&record(&event_of(entry, now())))?)
    }

    /// Hands what was appended to the operating system, or to object storage.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        Ok(self.file.flush()?)
    }
}

/// Removes the events files of a folder, but for one.
fn remove_others(folder: &Location, but: &Location) -> Result<()> {
    for name in folder.names().map_err(|error| Error::io("list", folder.path(), error))? {
        if name.starts_with(PREFIX) && name != but.name() {
            // Somebody may be reading it. The new one sorts behind it, and its start sets it aside.
            let _ = folder.join(&name).remove();
        }
    }
    Ok(())
}

/// Seconds since 1970; 0 where the clock is before that.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |it| it.as_secs_f64())
}

/// The scalars of an entry, at the number of steps that were taken with it.
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

/// CRC-32C, rotated and shifted: a checksum of data that hold checksums is not to be one of them
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
