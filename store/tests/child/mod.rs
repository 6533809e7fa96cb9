//! A test binary that runs itself as another process.

use std::process::Command;

/// This binary again, to run nothing but the test `name`, whose role the variable `CHILD` says. In
/// the parent, where it is not set, that test has nothing to do.
pub fn again(name: &str, role: &str) -> Command {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", name, "--nocapture", "--test-threads=1", "--quiet"]).env("CHILD", role);
    child
}

/// What this process was started for, if it is a child.
pub fn role() -> Option<String> {
    std::env::var("CHILD").ok()
}
