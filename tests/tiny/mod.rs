//! A pipeline that runs in a second, and the binary that runs it.

// Every test target uses its own part of this.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use assert_cmd::Command;
use gimlet::random::Draws;
use tempfile::TempDir;

/// Two modules on generated textures: a grid of 3x3 patches, six steps an epoch.
pub const PIPELINE: &str = r#"
name = "tiny"
seed = 5

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
layers = [{ conv = { channels = 4, kernel = 3 } }, { basic = { channels = 4 } }]

[[modules]]
name = "b"
layers = [{ basic = { channels = 8, stride = 2 } }]

[loss.infonce]
prediction_steps = 1
negatives = 4

[training]
epochs = 2
batch = 8
learning_rate = 1e-3

[store]
rows_per_part = 16

[probe]
epochs = 5
batch = 16
"#;

/// A third module for [`PIPELINE`].
pub const THIRD: &str = r#"
[[modules]]
name = "c"
layers = [{ basic = { channels = 12, stride = 2 } }]
"#;

/// [`PIPELINE`] with three modules.
pub fn three_modules() -> String {
    PIPELINE.replace("[loss.infonce]", &format!("{THIRD}\n[loss.infonce]"))
}

/// A folder with the pipeline in it, and room for its runs.
pub struct Tiny {
    folder: TempDir,
}

impl Tiny {
    pub fn new() -> Self {
        Self::with(PIPELINE)
    }

    pub fn with(pipeline: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tiny.toml"), pipeline).unwrap();
        Self { folder }
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// `gimlet COMMAND tiny.toml ARGS` in the folder.
    pub fn command(&self, command: &str, args: &[&str]) -> Command {
        let mut gimlet = gimlet(self.folder.path());
        gimlet.arg(command).arg("tiny.toml").args(args);
        gimlet
    }

    /// What the command printed and how it ended.
    pub fn output(&self, command: &str, args: &[&str]) -> Output {
        self.command(command, args).output().unwrap()
    }

    /// Runs a command that must end well; returns its stdout and stderr.
    pub fn ok(&self, command: &str, args: &[&str]) -> (String, String) {
        let output = self.output(command, args);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "gimlet {command} {args:?}: {err}");
        (out, err)
    }

    /// Runs a command that must end with this exit code; returns its stderr.
    pub fn fails(&self, code: i32, command: &str, args: &[&str]) -> String {
        let output = self.output(command, args);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "gimlet {command} {args:?}: {err}");
        assert!(err.contains("error: "), "{err}");
        assert!(!err.contains("panicked"), "{err}");
        err
    }

    /// Runs a command with `--json` and reads the document.
    pub fn json(&self, command: &str, args: &[&str]) -> serde_json::Value {
        let mut all = vec!["--json"];
        all.extend(args);
        serde_json::from_str(&self.ok(command, &all).0).unwrap()
    }

    /// The bytes of the one weights' file of a module.
    pub fn weights(&self, run_dir: &str, module: &str) -> Vec<u8> {
        let path = self.find(&format!("{run_dir}/modules/{module}"), "weights.safetensors");
        std::fs::read(path).unwrap()
    }

    /// The tensors of a module's weights' file, which also says under which key it was made.
    pub fn tensors(&self, run_dir: &str, module: &str) -> Vec<u8> {
        let bytes = self.weights(run_dir, module);
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        bytes[8 + header..].to_vec()
    }

    /// Runs a command that is killed after moments drawn from `seed`, again and again, until it comes to
    /// its end; returns how often it was killed.
    pub fn killed_until_done(&self, seed: u64, command: &str, args: &[&str]) -> usize {
        let mut draws = gimlet::random::generator(seed, "kills", &[]);
        for kills in 0..200 {
            let mut gimlet = std::process::Command::new(assert_cmd::cargo::cargo_bin!("gimlet"));
            gimlet.current_dir(self.folder.path()).args(["--threads", "2", command, "tiny.toml"]);
            gimlet.args(args).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = gimlet.spawn().unwrap();
            std::thread::sleep(moment(kills, &mut draws));
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "attempt {}: {status}", kills + 1);
                return kills;
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
        panic!("`gimlet {command} {args:?}` does not come to its end");
    }

    /// The one file below `folder` whose name is `name`.
    pub fn find(&self, folder: &str, name: &str) -> PathBuf {
        let mut found = Vec::new();
        walk(&self.path(folder), &mut |path| {
            if path.file_name().is_some_and(|it| it == name) {
                found.push(path.to_path_buf());
            }
        });
        assert_eq!(found.len(), 1, "{name} in {folder}: {found:?}");
        found.remove(0)
    }

    /// What a run has made: the hash of every part and of all weights, and the losses in its logs.
    pub fn contents(&self, run_dir: &str) -> Vec<(String, String)> {
        let mut all = Vec::new();
        walk(&self.path(run_dir), &mut |path| {
            let name = path.strip_prefix(self.path(run_dir)).unwrap().display().to_string();
            if name.ends_with(".parquet") || name.ends_with("weights.safetensors") {
                all.push((name, blake3::hash(&std::fs::read(path).unwrap()).to_string()));
            } else if name.ends_with("log.jsonl") {
                let losses: Vec<String> = std::fs::read_to_string(path)
                    .unwrap()
                    .lines()
                    .map(|line| {
                        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
                        format!("{} {} {}", entry["step"], entry["loss"], entry["accuracy"])
                    })
                    .collect();
                all.push((name, losses.join("\n")));
            }
        });
        all.sort();
        all
    }
}

/// Calls `visit` with every file below a folder.
pub fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, visit) } else { visit(&path) }
    }
}

/// After how long a process is killed, when so many have been before. The first are killed so soon that no machine
/// is done by then.
pub fn moment(kills: usize, draws: &mut Draws) -> Duration {
    let longest = if kills < 3 { 40 } else { 250 };
    Duration::from_millis(u64::from(20 + draws.below(longest)))
}

/// The binary, on two threads, in a folder.
pub fn gimlet(folder: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("gimlet"));
    command.current_dir(folder).env_remove("GIMLET_DATA").args(["--threads", "2"]);
    command
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
