//! The page: sections in a frame, with the style sheet and the script inside.

use std::fmt;

use askama::Template;

use super::run_view::Missing;
use crate::{Error, Kind, Result};

/// Finished markup: text that came from a run is already escaped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Html(pub String);

impl Html {
    /// Escapes text for use as markup.
    pub fn escape(text: &str) -> String {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        text.replace('"', "&quot;").replace('\'', "&#39;")
    }

    /// A sentence as markup: text between backticks becomes code.
    pub fn prose(text: &str) -> String {
        let parts = text.split('`').enumerate().map(|(place, part)| match place % 2 {
            0 => Self::escape(part),
            _ => format!("<code>{}</code>", Self::escape(part)),
        });
        match text.matches('`').count() % 2 {
            0 => parts.collect(),
            // A backtick without a partner stays as it is.
            _ => Self::escape(text),
        }
    }

    /// Renders a template.
    ///
    /// # Errors
    /// When the template fails.
    pub fn render(template: &impl Template) -> Result<Self> {
        let failed = |error| Error::failed(format!("could not write the page: {error}"));
        template.render().map(Self).map_err(failed)
    }

    /// A grid of figures, as many side by side as fit.
    pub fn grid(figures: impl IntoIterator<Item = Html>) -> Self {
        let inside: String = figures.into_iter().map(|it| it.0).collect();
        Self(format!("<div class=\"grid\">{inside}</div>"))
    }
}

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One part of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// Its anchor.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// One or two sentences: what is shown, and how it was computed.
    pub lead: String,
    /// Its markup.
    pub body: Html,
    /// What could not be shown.
    pub missing: Vec<Missing>,
}

impl Section {
    /// Unwraps `made`. Where something it needs is missing, notes that in the section and returns `None`.
    ///
    /// # Errors
    /// All other errors in `made`.
    pub fn made<T>(&mut self, made: Result<T>) -> Result<Option<T>> {
        match made {
            Ok(made) => Ok(Some(made)),
            Err(error) if error.kind() == Kind::NotReady => {
                self.missing.push(Missing::of(&error));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// The whole page.
#[derive(Template)]
#[template(path = "index.html")]
pub(super) struct Page<'a> {
    pub name: &'a str,
    /// One line that says what was run.
    pub subtitle: String,
    /// When the page was made: seconds since 1970.
    pub made: u64,
    pub sections: &'a [Section],
    pub style: &'static str,
    pub script: &'static str,
}

/// The style sheets of the frame and the sections.
pub(super) const STYLE: &str = concat!(
    include_str!("page/style.css"),
    include_str!("page/gallery.css"),
    include_str!("page/map.css"),
    include_str!("page/datasets.css"),
    include_str!("page/cost.css"),
);
/// The scripts of the frame and the sections.
pub(super) const SCRIPT: &str = concat!(
    include_str!("page/script.js"),
    include_str!("page/gallery.js"),
    include_str!("page/map.js"),
    include_str!("page/datasets.js"),
);
