//! The page of `--json`: the fields of each command's document, found by running the commands on a small pipeline.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::pages::GENERATED;
use super::shape::Shape;
use crate::{Error, Result};

/// Two modules on generated textures.
const PIPELINE: &str = r#"
name = "small"

[data.textures]
classes = 3
size = 16
train = 48
test = 24

[view]
patch = 8
stride = 4

[[modules]]
name = "a"
layers = [{ conv = { channels = 4, kernel = 3 } }, { relu = {} }]

[[modules]]
name = "b"
layers = [{ basic = { channels = 8, stride = 2 } }]

[loss.infonce]
prediction_steps = 1
negatives = 4

[training]
epochs = 2
batch = 8

[store]
rows_per_part = 16

[probe]
epochs = 2
batch = 16
"#;

const SWEEP: &str = "pipeline = \"small.toml\"\nseeds = 2\n\n[grid]\nsplit = [\"each\", 1]\n";

/// The command lines in the order in which they run, each with the command that it is an example of.
const LINES: &[(&str, &[&str])] = &[
    ("plan", &["plan", "small.toml"]),
    ("status", &["status", "small.toml"]),
    ("run", &["run", "small.toml"]),
    ("status", &["status", "small.toml"]),
    ("plan", &["plan", "small.toml"]),
    ("probe", &["probe", "small.toml"]),
    ("compare", &["compare", "small.toml", "--variant", "other: seed=1"]),
    ("sweep", &["sweep", "sweep.toml"]),
    ("status SWEEP", &["status", "sweep.toml"]),
    ("report", &["report", "small.toml"]),
    ("curves", &["curves", "small.toml"]),
    ("health", &["health", "small.toml"]),
    ("neurons", &["neurons", "small.toml", "a"]),
    ("nearest", &["nearest", "small.toml", "b", "--sample", "0"]),
    ("map", &["map", "small.toml"]),
    ("inspect", &["inspect", "small.toml"]),
    ("inspect --stats", &["inspect", "small.toml", "--stats"]),
    ("verify", &["verify", "small.toml"]),
    ("run", &["run", "small.toml", "--set", "training.epochs=1"]),
    ("gc", &["gc", "small.toml", "--dry-run", "--keep", "1"]),
    ("help", &["help", "pipeline"]),
];

/// The page. Runs this program in a folder for temporary files.
///
/// # Errors
/// When a command fails, or prints anything but JSON.
pub fn page() -> Result<String> {
    let wrong = |what: String| Error::failed(format!("could not look at `--json`: {what}"));
    let folder = std::env::temp_dir().join(format!("gimlet-reference-{}", std::process::id()));
    let made = std::fs::create_dir(&folder);
    made.map_err(|error| wrong(format!("`{}`: {error}", folder.display())))?;
    let page = page_in(&folder).map_err(wrong);
    // A folder that is left over costs little, and the page does not depend on it.
    let _ = std::fs::remove_dir_all(&folder);
    page
}

/// The page, made in an empty folder; the error says what went wrong.
fn page_in(folder: &Path) -> std::result::Result<String, String> {
    for (name, text) in [("small.toml", PIPELINE), ("sweep.toml", SWEEP)] {
        std::fs::write(folder.join(name), text).map_err(|error| error.to_string())?;
    }
    let mut shapes: Vec<(&str, Shape)> = Vec::new();
    for (command, line) in LINES {
        if *command == "verify" {
            damage(&folder.join("runs/small/datasets")).map_err(|error| error.to_string())?;
        }
        let document = document(folder, line)?;
        match shapes.iter_mut().find(|(name, _)| name == command) {
            Some((_, shape)) => shape.add(&document),
            None => {
                let mut shape = Shape::default();
                shape.add(&document);
                shapes.push((*command, shape));
            }
        }
    }
    let mut page = format!(
        "# JSON\n\n{GENERATED}\n\nWith `--json` a command prints one JSON document on stdout. These are its fields, as a \
         small pipeline shows\nthem: `[]` stands for the items of a list. A list that was empty has no fields here. Fields \
         may be added; none is\nrenamed within a version.\n"
    );
    for (command, shape) in shapes {
        let mut rows = Vec::new();
        shape.rows("", false, &mut rows);
        let _ = write!(
            page,
            "\n## `gimlet {command} --json`\n\n| field | type |\n|---|---|\n{}\n",
            rows.join("\n")
        );
    }
    Ok(page)
}

/// Makes the first part below a folder longer than it was written, so that `gimlet verify` has something to name.
fn damage(folder: &Path) -> std::io::Result<()> {
    let entries = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut entries = entries.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort();
    let is_part = |path: &&PathBuf| path.extension().is_some_and(|it| it == "parquet");
    if let Some(part) = entries.iter().find(is_part) {
        let mut bytes = std::fs::read(part)?;
        bytes.push(0);
        // Parts are read-only: another file takes its place.
        std::fs::remove_file(part)?;
        return std::fs::write(part, bytes);
    }
    entries.iter().rfind(|path| path.is_dir()).map_or(Ok(()), |inner| damage(inner))
}

/// What a command prints; the error is what it said.
fn document(folder: &Path, line: &[&str]) -> std::result::Result<Value, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(line).args(["--json", "--quiet"]).current_dir(folder).stdin(Stdio::null());
    let output = command.output().map_err(|error| error.to_string())?;
    serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("`{}`: {}", line.join(" "), String::from_utf8_lossy(&output.stderr)))
}
