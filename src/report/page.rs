//! The page: sections in a frame, with its style and script inside.

use std::fmt;

use askama::Template;

use super::seen::Missing;
use crate::{Error, Kind, Result};

/// Markup that is as it should be: what came from a run is escaped in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Html(pub String);

impl Html {
    /// Text as markup.
    pub fn escape(text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for letter in text.chars() {
            match letter {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                other => out.push(other),
            }
        }
        out
    }

    /// A sentence as markup: what is between backticks is code.
    pub fn prose(text: &str) -> String {
        let parts = text.split('`').enumerate().map(|(place, part)| match place % 2 {
            0 => Self::escape(part),
            _ => format!("<code>{}</code>", Self::escape(part)),
        });
        match text.matches('`').count() % 2 {
            0 => parts.collect(),
            // One is alone, and stays what it is.
            _ => Self::escape(text),
        }
    }

    /// What a template makes of its fields.
    ///
    /// # Errors
    /// When it fails.
    pub fn render(template: &impl Template) -> Result<Self> {
        let rendered = template.render();
        rendered
            .map(Self)
            .map_err(|error| Error::failed(format!("could not write the page: {error}")))
    }

    /// Figures side by side, as many as there is room for.
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
    /// What is shown and how it was computed, in a sentence or two.
    pub lead: String,
    /// Its markup.
    pub body: Html,
    /// What could not be shown.
    pub missing: Vec<Missing>,
}

impl Section {
    /// What was made; `None` where something it needs is not there yet, which the section then says.
    ///
    /// # Errors
    /// All others.
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

/// All of it.
#[derive(Template)]
#[template(path = "index.html")]
pub(super) struct Page<'a> {
    pub name: &'a str,
    /// What was run.
    pub subtitle: String,
    /// When the page was made: seconds since 1970.
    pub made: u64,
    pub sections: &'a [Section],
    pub style: &'static str,
    pub script: &'static str,
}

/// The style sheet: the frame's, and those of sections.
pub(super) const STYLE: &str = concat!(
    include_str!("page/style.css"),
    include_str!("page/gallery.css"),
    include_str!("page/map.css"),
    include_str!("page/datasets.css"),
    include_str!("page/cost.css"),
);
/// The script, as well.
pub(super) const SCRIPT: &str = concat!(
    include_str!("page/script.js"),
    include_str!("page/gallery.js"),
    include_str!("page/map.js"),
    include_str!("page/datasets.js"),
);
