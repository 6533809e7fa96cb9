//! A table of numbers on the page, with its charts beside it and notes below.

use askama::Template;

use super::page::Html;
use crate::Result;

/// A table: rows of cells as text.
#[derive(Debug, Clone, Default, Template)]
#[template(path = "numbers.html")]
pub struct Numbers {
    /// Charts of the same numbers.
    pub charts: Vec<Html>,
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
    /// Sentences below the table.
    pub notes: Vec<String>,
}

impl Numbers {
    /// The table as HTML; empty where it has no rows and no notes.
    ///
    /// # Errors
    /// When the template fails.
    pub fn html(&self) -> Result<Html> {
        match self.rows.is_empty() && self.notes.is_empty() {
            true => Ok(Html::default()),
            false => Html::render(self),
        }
    }
}

/// Writes a share as `12.34 %`, or a dash.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_string(), |share| format!("{:.2} %", 100.0 * share))
}

/// Writes a number with `digits` digits after the point, or a dash.
pub fn decimals(value: Option<f64>, digits: usize) -> String {
    value
        .filter(|it| it.is_finite())
        .map_or_else(|| "–".to_string(), |value| format!("{value:.digits$}"))
}
