//! The file that a command writes.

use std::path::PathBuf;

use clap::Args;
use gimlet_store::{Location, Store, Unfinished};

use crate::{Error, Kind, Result};

/// For commands that write one file.
#[derive(Args)]
pub struct OutputFileArgs {
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Write it also where there is a file already
    #[arg(long)]
    force: bool,
}

impl OutputFileArgs {
    /// Builds these arguments for a file that has another flag.
    pub fn new(output: PathBuf, force: bool) -> Self {
        Self { output, force }
    }

    /// Checks the file before any work; returns its location.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the file exists and may not be replaced.
    pub fn check(&self) -> Result<Location> {
        match self.output.exists() && !self.force {
            true => Err(self.taken()),
            false => Ok(Store::new().locate(&self.output)),
        }
    }

    /// Publishes a finished file under its name.
    ///
    /// # Errors
    /// The errors of [`Self::check`]; when it cannot be written.
    pub fn publish(&self, file: Unfinished) -> Result<()> {
        match self.force {
            true => file.replace()?,
            false if !file.publish()? => return Err(self.taken()),
            false => {}
        }
        Ok(())
    }

    fn taken(&self) -> Error {
        let message = format!("`{}` is there already", self.output.display());
        Error::new(Kind::Usage, message).hint("name another file, or replace it with `--force`")
    }
}
