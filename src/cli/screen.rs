//! How wide what is printed may be.

use console::Term;

/// Columns of lines on stdout; `None` if they may have any length, as in a file or a pipe.
pub fn width() -> Option<usize> {
    of(&Term::stdout())
}

/// Columns of lines on stderr; `None` if they may have any length.
pub fn width_of_notes() -> Option<usize> {
    of(&Term::stderr())
}

/// The number in `COLUMNS`, which also counts without a terminal; otherwise the terminal's columns.
fn of(term: &Term) -> Option<usize> {
    let asked = std::env::var("COLUMNS").ok().and_then(|it| it.parse().ok());
    let columns = asked.or_else(|| term.size_checked().map(|(_, columns)| usize::from(columns)));
    columns.filter(|it| *it > 0)
}
