//! Prints results to stdout and everything else to stderr.

use std::io::{IsTerminal, Write};

use anyhow::Error;

use super::arguments::GlobalArgs;
use super::grid::paragraph;
use super::processes::Record;
use super::{exit_code, interrupt, invocation, processes, screen};
use crate::{Kind, error};

/// The only place that prints.
pub struct Printer {
    quiet: bool,
    verbose: bool,
}

impl Printer {
    pub fn new(globals: &GlobalArgs) -> Self {
        let GlobalArgs { quiet, verbose, .. } = *globals;
        Self { quiet, verbose }
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

    /// Prints a note that begins with the title of a step; further lines of `text` stay beside the title.
    pub fn step(&self, title: &str, text: &str) {
        const TITLE: usize = 22;
        let width = screen::width_of_notes().map(|it| it.saturating_sub(TITLE + 1).max(TITLE));
        let beside = format!("\n{:TITLE$} ", "");
        self.note(&format!("{title:TITLE$} {}", paragraph(text, width).replace('\n', &beside)));
    }

    /// Prints a line from the stderr of another process of this program.
    pub fn forward(&self, from: &str, line: &str) {
        let _ = writeln!(anstream::stderr(), "{from}: {line}");
    }

    /// Prints a warning on stderr, except with `--quiet`.
    pub fn warn(&self, text: &str) {
        self.note(&format!("\x1b[1;33mwarning\x1b[0m: {text}"));
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
        let mut hint = ours.and_then(error::Error::hint_text).map(str::to_owned);
        if kind == Kind::Interrupted && !processes::is_supervised() {
            hint =
                Some(format!("run the same command again to go on: `{}`", invocation::as_typed()));
        }
        if let Some(hint) = &hint {
            let _ = writeln!(stderr, "\x1b[1;36mhint\x1b[0m: {hint}");
        }
        if kind == Kind::Interrupted {
            return exit_code::of_stop(interrupt::stop().why());
        }
        let hint = hint.map_or_else(String::new, |hint| format!("\nhint: {hint}"));
        processes::tell(&Record::Error(format!("{message}{hint}")));
        exit_code::of(kind)
    }

    /// Whether notes are left out (`--quiet`).
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether details are printed (`--verbose`).
    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Whether stderr is a terminal on which lines can be drawn again.
    pub fn is_watched(&self) -> bool {
        std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|it| it != "dumb")
    }
}
