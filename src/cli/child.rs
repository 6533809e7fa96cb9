//! Command lines for the processes of this program that a command starts.

use std::ffi::OsString;
use std::process::Command;

use super::invocation;
use crate::Result;

/// Arguments that a command passes on to the processes it starts.
pub trait Passed {
    /// The arguments as words of a command line.
    fn words(&self) -> Vec<OsString>;
}

/// The words of all of `arguments`.
pub fn words(arguments: &[&dyn Passed]) -> Vec<OsString> {
    arguments.iter().flat_map(|it| it.words()).collect()
}

/// The command `name` of this program, with these arguments.
///
/// # Errors
/// When the system cannot tell where this program is.
pub fn command(name: &str, arguments: &[&dyn Passed]) -> Result<Command> {
    let program = invocation::starts()?;
    let mut command = Command::new(&program[0]);
    command.args(&program[1..]).arg(name).args(words(arguments));
    Ok(command)
}
