//! The command line.

use std::path::PathBuf;

use crate::Result;

const HELP: &str = "\
A training step of ours beside PyTorch's. It takes about half an hour, on a machine that does nothing else.

usage: cargo bench --bench compare -- [options]

  --rounds N      measure N steps of each side, in turn (default: 7)
  --threads N     of each side (default: 2)
  --only TEXT     compare only the modules whose names contain TEXT (\"staged\": the whole job)
  --write FILE    put the tables into FILE, between the lines that mark their place
";

pub struct Arguments {
    pub rounds: usize,
    pub threads: usize,
    pub only: Option<String>,
    pub write: Option<PathBuf>,
    /// Be the side of ours: of this case, in this file.
    pub worker: Option<(String, PathBuf)>,
}

impl Arguments {
    /// `None` when help was asked for, and given.
    pub fn parse() -> Result<Option<Self>> {
        let mut parsed = Self { rounds: 7, threads: 2, only: None, write: None, worker: None };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            if argument == "--help" {
                print!("{HELP}");
                return Ok(None);
            }
            // Cargo's own.
            if argument == "--bench" {
                continue;
            }
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--rounds" => parsed.rounds = value()?.parse::<usize>()?.max(1),
                "--threads" => parsed.threads = value()?.parse::<usize>()?.max(1),
                "--only" => parsed.only = Some(value()?),
                "--write" => parsed.write = Some(repository().join(value()?)),
                "--worker" => parsed.worker = Some((value()?, value()?.into())),
                _ => return Err(format!("`{argument}` is not an option\n\n{HELP}").into()),
            }
        }
        Ok(Some(parsed))
    }

    pub fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }
}

/// The folder of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
