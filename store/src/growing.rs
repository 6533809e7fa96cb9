//! Files that grow.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};

use crate::error::Result;
use crate::location::Location;

/// A file that grows, such as a log. On object storage, its contents are kept in memory and written whole.
#[derive(Debug)]
pub struct Appending {
    at: Location,
    to: To,
    /// How many bytes have been written to the object.
    flushed: usize,
}

#[derive(Debug)]
enum To {
    File(BufWriter<File>),
    Object(Vec<u8>),
}

impl Appending {
    /// Begins a file with `start`, in place of whatever was there.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when it cannot be written.
    pub fn begin(at: &Location, start: Vec<u8>) -> Result<Self> {
        at.replace(&start)?;
        let flushed = start.len();
        let to = match at.on_disk() {
            None => To::Object(start),
            Some(path) => {
                let file = OpenOptions::new().append(true).open(path);
                To::File(BufWriter::new(file.map_err(|error| at.error("write", &error))?))
            }
        };
        Ok(Self { at: at.clone(), to, flushed })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.to {
            To::File(file) => file.write_all(bytes).map_err(|error| self.at.error("write", &error)),
            To::Object(all) => {
                all.extend(bytes);
                Ok(())
            }
        }
    }

    /// Hands what was appended to the operating system, or to object storage.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        match &mut self.to {
            To::File(file) => file.flush().map_err(|error| self.at.error("write", &error)),
            To::Object(all) if all.len() == self.flushed => Ok(()),
            To::Object(all) => {
                self.flushed = all.len();
                self.at.replace(all)
            }
        }
    }
}
