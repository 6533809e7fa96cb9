//! What others make of the same values, by `others.py`: each measurement is a process of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use gimlet_store::{Compression, CompressionSetting, DType};
use serde::Deserialize;

use crate::arguments::repository;
use crate::data::Data;
use crate::ours::{COLUMN, Ours};
use crate::side::{Job, Measured, Operation, Rate, Result, Side};

#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// In the table.
    name: &'static str,
    /// In `others.py`.
    id: &'static str,
    /// Whether it reads our files.
    ours: bool,
}

pub const FORMATS: [Format; 9] = [
    Format { name: "numpy memmap", id: "numpy", ours: false },
    Format { name: "Arrow IPC, mapped", id: "ipc", ours: false },
    Format { name: "safetensors", id: "safetensors", ours: false },
    Format { name: "Parquet by pyarrow", id: "parquet", ours: false },
    Format { name: "Hugging Face datasets", id: "datasets", ours: false },
    Format { name: "Lance", id: "lance", ours: false },
    Format { name: "our files, by pyarrow", id: "pyarrow", ours: true },
    Format { name: "our files, by DuckDB", id: "duckdb", ours: true },
    Format { name: "our files, by Polars", id: "polars", ours: true },
];

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/store");

/// A Python with the packages of `requirements.txt`, or as many of them as there are.
#[derive(Debug, Clone)]
pub struct Python {
    program: Option<PathBuf>,
}

impl Python {
    /// `GIMLET_PYTHON`, else a virtual environment that is made once, in `target`.
    pub fn find() -> Result<Self> {
        if let Some(program) = std::env::var_os("GIMLET_PYTHON") {
            return Ok(Self { program: Some(program.into()) });
        }
        let folder = repository().join("target/bench-python");
        let program = folder.join("bin/python");
        if !program.exists() {
            let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).status();
            if !made.is_ok_and(|made| made.success()) {
                eprintln!("python3 cannot make a virtual environment: no others are measured");
                return Ok(Self { program: None });
            }
        }
        // One after another: those that can be had are had.
        for line in fs::read_to_string(format!("{HERE}/requirements.txt"))?.lines() {
            let install = ["-m", "pip", "install", "--quiet", line];
            Command::new(&program).args(install).status()?;
        }
        Ok(Self { program: Some(program) })
    }

    /// Of the packages.
    pub fn versions(&self) -> String {
        let Some(program) = &self.program else { return "no Python".into() };
        let output = Command::new(program).arg(script()).arg("versions").output();
        output.map_or_else(
            |error| error.to_string(),
            |output| String::from_utf8_lossy(&output.stdout).trim().into(),
        )
    }
}

pub struct Other {
    format: Format,
    python: Python,
    folder: PathBuf,
    /// What writes the files, if it is not `others.py`.
    ours: Option<Ours>,
}

/// What `others.py` prints.
#[derive(Deserialize)]
struct Answer {
    rows: Option<u64>,
    seconds: Option<f64>,
    /// Why there are none.
    skipped: Option<String>,
}

impl Other {
    pub fn new(data: &Data, python: &Python, format: Format) -> Self {
        let folder = data.folder().join(format.id);
        let none = CompressionSetting::Fixed(Compression::None);
        let ours = format.ours.then(|| Ours::new(data, format.id, DType::F16, none));
        Self { format, python: python.clone(), folder, ours }
    }

    fn run(&self, data: &Data, what: &str, limit: Duration) -> Result<Measured> {
        let Some(program) = &self.python.program else { return Ok(Err("no Python".into())) };
        let shape: Vec<_> = data.shape().iter().map(ToString::to_string).collect();
        let files = match &self.ours {
            Some(ours) => ours.files()?.first().and_then(|file| file.parent()).map(Path::to_owned),
            None => Some(self.folder.clone()),
        };
        let output = Command::new(program)
            .arg(script())
            .args([self.format.id, what, &shape.join(","), COLUMN])
            .args([data.path(), &data.folder().join("order")])
            .arg(files.unwrap_or_default())
            .arg(limit.as_secs_f64().to_string())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let answer = text.lines().last().map(serde_json::from_str::<Answer>);
        match (output.status.success(), answer) {
            (true, Some(Ok(Answer { rows: Some(rows), seconds: Some(seconds), .. }))) => {
                Ok(Ok(Rate { rows, time: Duration::from_secs_f64(seconds) }))
            }
            (true, Some(Ok(Answer { skipped: Some(why), .. }))) => Ok(Err(why)),
            _ => {
                let errors = String::from_utf8_lossy(&output.stderr);
                eprintln!("{errors}");
                Ok(Err(errors.lines().last().unwrap_or("it died").into()))
            }
        }
    }
}

impl Side for Other {
    fn name(&self) -> &str {
        self.format.name
    }

    fn is_foreign(&self) -> bool {
        true
    }

    fn write(&mut self, data: &Data) -> Result<Measured> {
        if let Some(ours) = &mut self.ours {
            return ours.write(data);
        }
        self.remove()?;
        fs::create_dir(&self.folder)?;
        self.run(data, "write", Duration::MAX)
    }

    fn read(&self, job: &Job) -> Result<Measured> {
        match job.operation {
            Operation::ScanWarm => self.run(job.data, "scan-warm", job.limit),
            Operation::ScanCold => self.run(job.data, "scan-cold", job.limit),
            Operation::RandomWarm => self.run(job.data, "random-warm", job.limit),
            Operation::RandomCold => self.run(job.data, "random-cold", job.limit),
            Operation::Write | Operation::RandomColdAdvised => Ok(Err("not for others".into())),
        }
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        match &self.ours {
            Some(ours) => ours.files(),
            None => files_below(&self.folder),
        }
    }

    fn remove(&mut self) -> Result<()> {
        if let Some(ours) = &mut self.ours {
            return ours.remove();
        }
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn script() -> PathBuf {
    Path::new(HERE).join("others.py")
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}
