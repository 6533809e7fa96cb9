//! Our errors as Python's exceptions, which `gimlet/errors.py` defines.

use gimlet::{Error, Kind};
use pyo3::intern;
use pyo3::prelude::*;

/// The name of the exception for a kind of error.
fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Usage => "Usage",
        Kind::Damaged => "Damaged",
        Kind::NotReady => "Missing",
        Kind::Interrupted => "Interrupted",
        _ => "Error",
    }
}

/// What to do about rows that are damaged.
pub const MADE_AGAIN: &str = "`gimlet run` makes those of a run again, and `gimlet.writer` with the same \
                              settings and rows those that it wrote";

/// The exception for an error: its class says the kind, its text the message and the hint.
pub fn exception(error: impl Into<Error>) -> PyErr {
    let error = error.into();
    let (message, hint) = (error.to_string(), error.hint_text());
    let hint = hint.or((error.kind() == Kind::Damaged).then_some(MADE_AGAIN));
    Python::attach(|py| {
        let made = py
            .import(intern!(py, "gimlet.errors"))
            .and_then(|errors| errors.getattr(class(error.kind()))?.call1((message, hint)));
        made.map_or_else(|failed| failed, |made| PyErr::from_value(made))
    })
}

/// The exception for a wrong argument.
pub fn usage(message: impl Into<String>, hint: &str) -> PyErr {
    exception(Error::new(Kind::Usage, message).hint(hint))
}
