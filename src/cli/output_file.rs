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
    /// As if it had been given under another name.
    pub fn new(output: PathBuf, force: bool) -> Self {
        Self { output, force }
    }

    /// Where it goes, before any work.
    ///
    /// # Errors
    /// [`Kind::Usage`] when there is something already that is not to be replaced.
    pub fn check(&self) -> Result<Location> {
        match self.output.exists() && !self.force {
            true => Err(self.taken()),
            false => Ok(Store::new().locate(&self.output)),
        }
    }

    /// Gives a finished file its name.
    ///
    /// # Errors
    /// As [`Self::check`]; when it cannot be written.
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
