//! A first hour with one's own data: each command is one that the one before names, and what they print is kept.
//!
//! The clone, the build and the quickstart are `.ci/jobs/fresh-clone`.

use std::path::Path;

use insta::{Settings, assert_snapshot};
use tempfile::TempDir;

use crate::init::{photos, words};
use crate::tiny::{gimlet, text};

/// A pattern for this very text.
fn regex_of(text: &str) -> String {
    text.chars()
        .map(|it| if it.is_alphanumeric() { it.to_string() } else { format!("\\{it}") })
        .collect()
}

/// A terminal session in a folder: every command as typed, and what it printed.
struct Hour {
    folder: TempDir,
    session: String,
}

impl Hour {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), session: String::new() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Types a command, which must end well.
    fn types(&mut self, command: &str) {
        let output = gimlet(self.path()).args(command.split(' ')).output().unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "gimlet {command}: {err}");
        // How often a step tells how far it is depends on how fast the machine is.
        let said = |it: &&str| !it.contains("epoch ") && !it.contains(" left");
        let err: Vec<&str> = err.lines().filter(said).collect();
        self.session += &format!("$ gimlet {command}\n{}\n{out}\n", err.join("\n"));
    }

    /// Compares the session with the one that is kept: without its numbers, and with one space for many.
    fn is_as_kept(&self, name: &str) {
        let mut settings = Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let program = regex_of(env!("CARGO_BIN_EXE_gimlet"));
        settings.add_filter(&program, "gimlet");
        // Who wins by how much, and where a line is wrapped, depends on the machine.
        settings.add_filter(r"(?m)^(linear|k-NN): `.*\n", "");
        settings.add_filter(r"\n[ \t]+", " ");
        settings.add_filter(r"-?\d+([.,]\d+)*( (B|kB|MB|GB|s|min|h)\b)*", "#");
        settings.add_filter(r"#( #)+", "#");
        settings.add_filter(r"[ \t]+", " ");
        settings.add_filter(r"[-─═━]{3,}", "---");
        settings.bind(|| assert_snapshot!(name, self.session));
    }

    /// Types what a newcomer types after `init DATA`.
    fn walks(&mut self, data: &str) {
        self.types(&format!("init {data}"));
        self.types(&format!("plan {data}.toml"));
        self.types(&format!("run {data}.toml --set training.epochs=1 --set probe.epochs=5"));
        self.types(&format!("report {data}.toml --set training.epochs=1 --set probe.epochs=5"));
        let settings = "--set training.epochs=1 --set probe.epochs=5";
        self.types(&format!("export {data}.toml {settings} --output {data}.safetensors"));
        for written in [format!("{data}.safetensors"), format!("runs/{data}/report/index.html")] {
            assert!(self.path().join(&written).metadata().unwrap().len() > 10_000, "{written}");
        }
    }
}

#[test]
fn with_images() {
    let mut hour = Hour::new();
    photos(&hour.path().join("photos"), 20);
    hour.walks("photos");
    hour.is_as_kept("first_hour_with_images");
}

#[test]
fn with_recordings() {
    let mut hour = Hour::new();
    words(&hour.path().join("words"));
    hour.walks("words");
    hour.is_as_kept("first_hour_with_recordings");
}
