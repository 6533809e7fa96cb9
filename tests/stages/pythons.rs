//! The Pythons that tests run stages with, and pipelines with stages.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tiny::{PIPELINE, Tiny, text};

/// What answers for a stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answers {
    /// `pretended.py`, run by any Python.
    Pretended,
    /// The package of this repository, with torch.
    Torch,
}

/// A folder with a pipeline, its stages, and the Python that runs them.
pub struct Bench {
    pub tiny: Tiny,
    pub answers: Answers,
}

/// A module with layers, under this name.
pub const LAYERS: &str = "layers = [{ basic = { channels = 4 } }]";

/// A stage.
pub const STAGE: &str = "python = \"stages.py:Scale\"";

/// The tiny pipeline with modules of these bodies, called `a`, `b` and so on.
pub fn pipeline(bodies: &[&str]) -> String {
    let (before, rest) = PIPELINE.split_at(PIPELINE.find("[[modules]]").unwrap());
    let rest = &rest[rest.find("[loss.infonce]").unwrap()..];
    let modules = bodies.iter().zip(["a", "b", "c"]);
    let modules = modules.map(|(body, name)| format!("[[modules]]\nname = \"{name}\"\n{body}\n\n"));
    format!("{before}{}{rest}", modules.collect::<String>())
}

/// Runs a test with each that can answer for stages. Says what is not tested where there is none.
pub fn each(what: &str, test: impl Fn(Answers)) {
    for answers in [Answers::Pretended, Answers::Torch] {
        if is_there(answers, what) {
            test(answers);
        }
    }
}

/// Whether stages can be answered for in this way; says so where not.
pub fn is_there(answers: Answers, what: &str) -> bool {
    let (python, imports) = match answers {
        Answers::Pretended => ("python3".into(), "import json"),
        Answers::Torch => (with_torch(), "import torch"),
    };
    let found = Command::new(&python).args(["-c", imports]).output();
    let there = found.is_ok_and(|it| it.status.success());
    if !there {
        let why =
            format!("`{}` cannot `{imports}`: name a Python by GIMLET_PYTHON", python.display());
        let text = format!("skipped: {what} is not tested with {answers:?}: {why}\n");
        std::io::stderr().write_all(text.as_bytes()).unwrap();
    }
    there
}

/// The Python that may have torch.
fn with_torch() -> PathBuf {
    std::env::var_os("GIMLET_PYTHON").map_or_else(|| "python3".into(), PathBuf::from)
}

impl Bench {
    /// A bench with modules of these bodies.
    pub fn new(answers: Answers, bodies: &[&str]) -> Self {
        let bench = Self { tiny: Tiny::with(&pipeline(bodies)), answers };
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(here.join("tests/stages/stages.py"), bench.tiny.path("stages.py")).unwrap();
        match answers {
            Answers::Pretended => {
                let server =
                    std::fs::read_to_string(here.join("tests/stages/pretended.py")).unwrap();
                let server =
                    server.replace("\"VERSION\"", &format!("{:?}", env!("CARGO_PKG_VERSION")));
                std::fs::write(bench.tiny.path("pretended.py"), server).unwrap();
                bench.python(&format!(
                    "exec python3 '{}'",
                    bench.tiny.path("pretended.py").display()
                ));
            }
            Answers::Torch => bench.python(&format!(
                "PYTHONPATH='{}' exec '{}' \"$@\"",
                here.join("python").display(),
                with_torch().display()
            )),
        }
        bench
    }

    /// Puts a shell script in place of the Python.
    pub fn python(&self, script: &str) {
        let path = self.tiny.path("python");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// `gimlet COMMAND tiny.toml ARGS`, as a process.
    pub fn process(&self, command: &str, args: &[&str]) -> Command {
        let mut gimlet = self.tiny.process(command, args);
        gimlet.env("GIMLET_PYTHON", self.tiny.path("python"));
        gimlet.env("GIMLET_CACHE_DIR", self.tiny.path("cache"));
        gimlet.stdout(std::process::Stdio::piped());
        gimlet
    }

    /// Runs a command that must end well; returns its stdout and stderr.
    pub fn ok(&self, command: &str, args: &[&str]) -> (String, String) {
        let output = self.process(command, args).output().unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{:?}: gimlet {command} {args:?}: {err}", self.answers);
        (out, err)
    }

    /// Runs a command that must fail; returns its stderr.
    pub fn fails(&self, command: &str, args: &[&str]) -> String {
        let output = self.process(command, args).output().unwrap();
        let err = text(&output.stderr);
        assert!(
            !output.status.success(),
            "{:?}: gimlet {command} {args:?} ended well",
            self.answers
        );
        assert!(err.contains("error: ") && !err.contains("panicked"), "{err}");
        err
    }

    /// Runs a command with `--json` and reads the document.
    pub fn json(&self, command: &str, args: &[&str]) -> serde_json::Value {
        let all = [&["--json"][..], args].concat();
        serde_json::from_str(&self.ok(command, &all).0).unwrap()
    }

    /// The steps that are not done, as `gimlet status` has them.
    pub fn open_steps(&self, args: &[&str]) -> Vec<String> {
        let status = self.json("status", args);
        let open = status["stages"].as_array().unwrap().iter().filter(|it| it["state"] != "done");
        let title = |it: &serde_json::Value| {
            format!("{} {}", it["step"].as_str().unwrap(), it["stage"].as_str().unwrap())
        };
        open.map(title).collect()
    }
}
