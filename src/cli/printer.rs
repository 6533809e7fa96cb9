//! Which words go to which stream: results to stdout, everything else to stderr.

use std::io::{IsTerminal, Write};

use anyhow::Error;

use super::{exit_code, interrupt, processes};
use crate::{Kind, error};

/// The one place that prints.
pub struct Printer {
    quiet: bool,
}

impl Printer {
    pub fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// A result, on stdout. A reader that has gone away ends the printing, not the program.
    pub fn result(&self, text: &str) -> anyhow::Result<()> {
        match writeln!(anstream::stdout(), "{text}") {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }

    /// A result as one JSON document, on stdout.
    pub fn json<T: serde::Serialize>(&self, document: &T) -> anyhow::Result<()> {
        self.result(&serde_json::to_string_pretty(document)?)
    }

    /// Something that is good to know, on stderr; not when asked to be quiet.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            // Nowhere is left to say that stderr is gone.
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// What another process of this program has said on its stderr.
    pub fn forward(&self, from: &str, line: &str) {
        let _ = writeln!(anstream::stderr(), "{from}: {line}");
    }

    /// Something that may be wrong, on stderr.
    pub fn warn(&self, text: &str) {
        let _ = writeln!(anstream::stderr(), "\x1b[1;33mwarning\x1b[0m: {text}");
    }

    /// An error with what to do about it, on stderr; returns the exit code of its kind.
    pub fn error(&self, error: &Error) -> u8 {
        let ours = error.downcast_ref::<error::Error>();
        let kind = ours.map_or(Kind::Failed, error::Error::kind);
        let label = match kind {
            Kind::Interrupted => "\x1b[1;33minterrupted\x1b[0m",
            _ => "\x1b[1;31merror\x1b[0m",
        };
        let mut stderr = anstream::stderr();
        // Ours has the text of those beneath it.
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
            // Not through `anstream`, which takes out its first letter.
            let _ = writeln!(std::io::stderr(), "{record}");
        }
        exit_code::of(kind)
    }

    /// Whether notes are left out.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether somebody watches stderr.
    pub fn is_watched(&self) -> bool {
        std::io::stderr().is_terminal()
    }
}
