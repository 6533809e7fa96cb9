//! Settings as text for a terminal, and as a page of Markdown.

use std::fmt::Write;

use super::facts::facts;
use super::paragraphs::wrapped;
use crate::setting::{Form, Setting};

/// The width of terminals that help is for.
const TERMINAL: usize = 80;

/// The longest line of a page.
const PAGE: usize = 120;

/// Settings as text for a terminal; the names are bold where it has colours. `has_steps` says whether a change makes
/// steps stale.
pub fn text<'s>(settings: impl IntoIterator<Item = &'s Setting>, has_steps: bool) -> String {
    let mut all = Vec::new();
    for setting in settings {
        let mut part = format!("\x1b[1m{}\x1b[0m\n", setting.name);
        if !setting.doc.is_empty() {
            part += &format!("{}\n\n", wrapped(&setting.doc, 4, TERMINAL));
        }
        let facts = facts(setting, has_steps).into_iter();
        let facts = facts.map(|(label, fact)| wrapped(&format!("- {label}: {fact}"), 4, TERMINAL));
        part += &facts.collect::<Vec<_>>().join("\n");
        all.push(part);
    }
    all.join("\n\n")
}

/// What a file is, for a terminal.
pub fn about(words: &str) -> String {
    wrapped(words, 0, TERMINAL)
}

/// A page of Markdown with all settings of a kind of file.
pub fn page(title: &str, about: &str, settings: &[Setting], has_steps: bool) -> String {
    let mut page = format!("# {title}\n\n{GENERATED}\n\n{}\n", wrapped(about, 0, PAGE));
    for setting in settings {
        let heading = match setting.form {
            Form::Table | Form::Tables => "##",
            _ if !setting.name.contains('.') => "##",
            _ => "###",
        };
        let _ = write!(page, "\n{heading} `{}`\n\n", setting.name);
        if !setting.doc.is_empty() {
            let _ = write!(page, "{}\n\n", wrapped(&setting.doc, 0, PAGE));
        }
        for (label, fact) in facts(setting, has_steps) {
            let _ = writeln!(page, "{}", wrapped(&format!("- {label}: {fact}"), 0, PAGE));
        }
    }
    page
}

/// The first line of a generated page.
pub const GENERATED: &str =
    "<!-- Made by `gimlet reference docs/reference`. Edit the words in the sources, not here. -->";
