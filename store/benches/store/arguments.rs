//! What the command line asks for.

use std::path::PathBuf;

use crate::side::{Result, Side};

const USAGE: &str = "\
Usage: cargo bench --bench store -- [OPTIONS]

  --write FILE      put the tables into FILE, between the lines that mark their place
  --folder FOLDER   where the files go; they are removed in the end [the system's temporary folder]
  --gigabytes N     of values, as halves, for each shape of row [2]
  --rounds N        how often each of ours is measured beside a plain file [5]; others: 3 at most
  --only NAMES      what to measure beside plain files, separated by semicolons [everything]";

pub struct Arguments {
    pub write: Option<PathBuf>,
    pub folder: PathBuf,
    pub bytes: u64,
    pub rounds: usize,
    only: Option<Vec<String>>,
    /// As they were given.
    pub given: Vec<String>,
}

impl Arguments {
    /// `None`: help was asked for, and given.
    pub fn parse() -> Result<Option<Self>> {
        let mut parsed = Self {
            write: None,
            folder: std::env::temp_dir(),
            bytes: 2_000_000_000,
            rounds: 5,
            only: None,
            given: Vec::new(),
        };
        // Cargo gives `--bench` to every benchmark.
        parsed.given = std::env::args().skip(1).filter(|given| given != "--bench").collect();
        let mut given = parsed.given.clone().into_iter();
        while let Some(name) = given.next() {
            if name == "--help" {
                println!("{USAGE}");
                return Ok(None);
            }
            let value = given.next().ok_or_else(|| format!("{name}: what?\n\n{USAGE}"))?;
            match name.as_str() {
                // Cargo runs benchmarks in the folder of their package.
                "--write" => parsed.write = Some(repository().join(value)),
                "--folder" => parsed.folder = repository().join(value),
                "--gigabytes" => parsed.bytes = (value.parse::<f64>()? * 1e9) as u64,
                "--rounds" => parsed.rounds = value.parse::<usize>()?.max(1),
                "--only" => parsed.only = Some(value.split(';').map(String::from).collect()),
                _ => return Err(format!("there is no {name}\n\n{USAGE}").into()),
            }
        }
        Ok(Some(parsed))
    }

    /// Whether any of these was asked for.
    pub fn wants(&self, sides: &[Box<dyn Side>]) -> bool {
        self.only.as_ref().is_none_or(|only| {
            sides.iter().any(|side| only.iter().any(|name| *name == side.name()))
        })
    }
}

/// The folder of the workspace, which the command line is relative to.
pub fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
