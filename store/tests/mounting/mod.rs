//! A process that may mount a file system which nobody else sees, and which goes with the process.

use std::io::Write;
use std::process::Command;

/// Mounts 500 kB at `$PLACE`, for a shell.
pub const MOUNT: &str = r#"mount -t tmpfs -o size=500k,mode=777 tmpfs "$PLACE""#;

/// The beginning of a command in a name space of its own, which takes root, or a system that lets
/// anybody be root in one. Where it is not to be had, says that `what` is not tested.
pub fn in_a_name_space(what: &str) -> Option<Command> {
    let mut why = String::new();
    for options in [&["--mount"][..], &["--mount", "--map-root-user"]] {
        let folder = tempfile::tempdir().unwrap();
        let command = || {
            let mut command = Command::new("unshare");
            command.args(options);
            command
        };
        match command().args(["sh", "-c", MOUNT]).env("PLACE", folder.path()).output() {
            Ok(output) if output.status.success() => return Some(command()),
            Ok(output) => why = String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => why = format!("there is no `unshare`: {error}"),
        }
    }
    skipped(what, &why);
    None
}

/// Says so past the test harness, which swallows what a test prints that passes.
pub fn skipped(what: &str, why: &str) {
    let text = format!("skipped: {what} is not tested: {}\n", why.trim());
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}
