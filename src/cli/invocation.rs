//! How this program was called, and how it is called again: by people, who copy a command line, and by itself.

use std::ffi::OsString;
use std::sync::OnceLock;

use crate::report::quoted;
use crate::{Error, Result};

/// How the interpreter of another language called this program. Not set where it is a process of its own.
static HOSTED: OnceLock<Hosted> = OnceLock::new();

struct Hosted {
    /// The words that start this program in another process.
    starts: Vec<OsString>,
    arguments: Vec<OsString>,
}

/// Says that this program runs inside another one, which was called with `arguments`. `starts` are the words that start
/// this program in another process; there is at least one. Only the first call counts.
pub fn is_hosted(starts: Vec<OsString>, arguments: Vec<OsString>) {
    let _ = HOSTED.set(Hosted { starts, arguments });
}

/// The words that start this program in another process: its path, and in an interpreter what that is told.
///
/// # Errors
/// When the system cannot tell where this program is.
pub fn starts() -> Result<Vec<OsString>> {
    if let Some(hosted) = HOSTED.get() {
        return Ok(hosted.starts.clone());
    }
    let path = std::env::current_exe().map_err(|error| {
        Error::failed(format!("could not find this program: {error}")).because(error)
    })?;
    Ok(vec![path.into()])
}

/// The arguments that this program was called with.
pub fn arguments() -> Vec<OsString> {
    match HOSTED.get() {
        Some(hosted) => hosted.arguments.clone(),
        None => std::env::args_os().skip(1).collect(),
    }
}

/// The words that call this program: `gimlet` if it was found by its name, otherwise its path as it was typed.
pub fn program() -> String {
    let called = match HOSTED.get() {
        Some(_) => String::new(),
        None => std::env::args_os().next().unwrap_or_default().to_string_lossy().into_owned(),
    };
    match called.contains(std::path::is_separator) {
        true => quoted(&called),
        false => "gimlet".to_string(),
    }
}

/// The command line that this process was called by.
pub fn as_typed() -> String {
    let words = arguments().into_iter().map(|word| quoted(&word.to_string_lossy()));
    std::iter::once(program()).chain(words).collect::<Vec<_>>().join(" ")
}
