//! A pipeline that runs in a second, and the binary that runs it.

// Every test target uses its own part of this.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::Duration;

use assert_cmd::Command;
use gimlet::random::Draws;
use gimlet_store::faults;
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

/// One convolution on colour images that cost nothing.
pub const ONE_CONV: &str = r#"
name = "tiny"
[data.textures]
classes = 2
size = 16
train = 8
test = 4
[view]
grayscale = false
patch = 8
stride = 4
[[modules]]
name = "a"
layers = [{ conv = { channels = 4, kernel = 3 } }]
[loss.infonce]
prediction_steps = 1
negatives = 4
[training]
epochs = 1
batch = 4
"#;

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
            let mut gimlet = self.process(command, args);
            gimlet.stderr(Stdio::null());
            if !killed(&mut gimlet, kills, &mut draws) {
                return kills;
            }
        }
        panic!("`gimlet {command} {args:?}` does not come to its end");
    }

    /// `gimlet COMMAND tiny.toml ARGS` as a process that can be signalled, with nothing on stdin, and stderr piped.
    pub fn process(&self, command: &str, args: &[&str]) -> std::process::Command {
        hangups_reach_children();
        let mut gimlet = std::process::Command::new(assert_cmd::cargo::cargo_bin!("gimlet"));
        gimlet.current_dir(self.folder.path()).env_remove("GIMLET_DATA").env_remove("COLUMNS");
        gimlet.args(["--threads", "2", command, "tiny.toml"]).args(args);
        gimlet.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        gimlet
    }

    /// Begins such a process, and waits until it comes to an operation that `GIMLET_FAULT` would name so. `None`, with
    /// the reason on stderr, in a build without faults.
    pub fn held(&self, at: &str, command: &str, args: &[&str]) -> Option<Held> {
        Held::begin(&mut self.process(command, args), at)
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

/// Has processes that a test begins know SIGHUP where the test itself ignores it, as under `nohup`: what is ignored
/// stays so in children, what is handled does not.
fn hangups_reach_children() {
    #[cfg(unix)]
    {
        use std::sync::{Arc, Once};
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::default()).unwrap();
        });
    }
}

/// Calls `visit` with every file below a folder.
pub fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, visit) } else { visit(&path) }
    }
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A process that is held in the middle of its work, until it is let go or asked to stop: so a test meets it there,
/// however fast or slow the machine is.
pub struct Held {
    pub child: Child,
    hold: PathBuf,
    _folder: TempDir,
}

impl Held {
    /// As [`Tiny::held`]; it must come there.
    pub fn begin(command: &mut std::process::Command, at: &str) -> Option<Self> {
        let mut held = Self::spawn(command, at)?;
        assert!(held.is_there(), "it ended before it came to `{at}`: {:?}", held.child.wait());
        Some(held)
    }

    /// The same without waiting until it comes there.
    pub fn spawn(command: &mut std::process::Command, at: &str) -> Option<Self> {
        if !faults::AVAILABLE {
            eprintln!("skipped: this build has no faults, and so nothing that holds a process");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let hold = folder.path().join("hold");
        command.env("GIMLET_FAULT", format!("{at}:wait")).env("GIMLET_HOLD", &hold);
        let child = command.spawn().unwrap();
        Some(Self { child, hold, _folder: folder })
    }

    /// Waits until it is held; false when it has ended.
    fn is_there(&mut self) -> bool {
        let held = self.hold.with_extension("held");
        loop {
            if held.exists() {
                return true;
            }
            if self.child.try_wait().unwrap().is_some() {
                return held.exists();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Lets it go on.
    pub fn release(&self) {
        std::fs::write(&self.hold, "").unwrap();
    }

    /// Sends a signal to it.
    #[cfg(unix)]
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// How it ends.
    pub fn output(self) -> Output {
        self.child.wait_with_output().unwrap()
    }

    /// Ends it as nothing else does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Begins a process and kills it on its way, when so many were killed before; false when it had come to its end, which
/// must be a good one.
///
/// The first ones, and every fourth, are killed at one of the operations that change the disk, which no machine is too
/// fast for; the others at moments that come later the more there have been, which no machine is too slow for.
pub fn killed(command: &mut std::process::Command, kills: usize, draws: &mut Draws) -> bool {
    let at_operation = kills < 4 || kills.is_multiple_of(4);
    let at = (2 + draws.below(30)).to_string();
    let mut child = match at_operation.then(|| Held::spawn(command, &at)).flatten() {
        Some(mut held) => {
            held.is_there();
            held.child
        }
        None => {
            command.env_remove("GIMLET_FAULT");
            let child = command.spawn().unwrap();
            let longest = 250 + 5 * kills as u32;
            std::thread::sleep(Duration::from_millis(u64::from(20 + draws.below(longest))));
            child
        }
    };
    if let Some(status) = child.try_wait().unwrap() {
        assert!(status.success(), "after {kills} kills: {status}");
        return false;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    true
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
