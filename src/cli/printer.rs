//! Prints results to stdout and everything else to stderr.

use std::io::{IsTerminal, Write};

use anyhow::Error;

use super::{exit_code, interrupt, processes};
use crate::{Kind, error};

/// The only place that prints.
pub struct Printer {
    quiet: bool,
}

impl Printer {
    pub fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// Prints a result on stdout. If the reader has gone, that ends the printing, not the program.
    pub fn result(&self, text: &str) -> anyhow::Result<()> {
        match writeln!(anstream::stdout(), "{text}") {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }

    /// Prints a result as one JSON document on stdout.
    pub fn json<T: serde::Serialize>(&self, document: &T) -> anyhow::Result<()> {
        self.result(&serde_json::to_string_pretty(document)?)
    }

    /// Prints a note on stderr, except with `--quiet`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            // If stderr is gone, there is nowhere left to say so.
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// Prints a line from the stderr of another process of this program.
    pub fn forward(&self, from: &str, line: &str) {
        let _ = writeln!(anstream::stderr(), "{from}: {line}");
    }

    /// Prints a warning on stderr.
    pub fn warn(&self, text: &str) {
        let _ = writeln!(anstream::stderr(), "\x1b[1;33mwarning\x1b[0m: {text}");
    }

    /// Prints an error and its hint on stderr; returns the exit code of its kind.
    pub fn error(&self, error: &Error) -> u8 {
        let ours = error.downcast_ref::<error::Error>();
        let kind = ours.map_or(Kind::Failed, error::Error::kind);
        let label = match kind {
            Kind::Interrupted => "\x1b[1;33minterrupted\x1b[0m",
            _ => "\x1b[1;31merror\x1b[0m",
        };
        let mut stderr = anstream::stderr();
        // Our errors contain the text of their causes.
        let message = ours.map_or_else(|| format!("{error:#}"), error::Error::to_string);
        let _ = writeln!(stderr, "{label}: {message}");
        let hint = ours.and_then(error::Error::hint_text);
        if let Some(hint) = hint {
            let _ = writeln!(stderr, "\x1b[1;36mhint\x1b[0m: {hint}");
        }
        if kind == Kind::Interrupted {
            return exit_code::of_stop(interrupt::stop().why());
        }
        let hint = hint.map_or_else(String::new, |hint| format!("\nhint: {hint}"));
        if let Some(record) = processes::record_of_error(&format!("{message}{hint}")) {
            // Not through `anstream`, which would remove its first character.
            let _ = writeln!(std::io::stderr(), "{record}");
        }
        exit_code::of(kind)
    }

    /// Whether notes are left out (`--quiet`).
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether stderr is a terminal.
    pub fn is_watched(&self) -> bool {
        std::io::stderr().is_terminal()
    }
}
