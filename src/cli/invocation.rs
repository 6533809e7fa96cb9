//! Command lines that work when they are copied: of this program, as it was called.

use std::env::args_os;

use crate::report::quoted;

/// The words that call this program: `gimlet` if it was found by its name, otherwise its path as it was typed.
pub fn program() -> String {
    let called = args_os().next().unwrap_or_default().to_string_lossy().into_owned();
    match called.contains(std::path::is_separator) {
        true => quoted(&called),
        false => "gimlet".to_string(),
    }
}

/// The command line that this process was called by.
pub fn as_typed() -> String {
    let words = args_os().skip(1).map(|word| quoted(&word.to_string_lossy()));
    std::iter::once(program()).chain(words).collect::<Vec<_>>().join(" ")
}
