//! Where the text of a pipeline comes from; errors point into it.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::overrides;
use crate::error::{Error, Kind};

/// The longest file of settings, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Reads the text of a file of settings; `called` names it in messages: "pipeline".
///
/// # Errors
/// [`Kind::Usage`] when it cannot be read.
pub fn read_file(path: &Path, called: &str) -> Result<String, Error> {
    let read = || {
        let mut text = String::new();
        // A longer file is refused, also one without an end, such as a device.
        File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
        match text.len() as u64 {
            ..=MAX_BYTES => Ok(text),
            _ => Err(std::io::Error::other(format!("it has more than {MAX_BYTES} bytes"))),
        }
    };
    read().map_err(|error| {
        let message = format!("could not read the {called} file `{}`: {error}", path.display());
        Error::new(Kind::Usage, message).hint(format!("give the path of a {called} file (TOML)"))
    })
}

/// A fault of a pipeline, at a position that an [`Origin`] can show, or at a setting.
#[derive(Debug)]
pub struct Fault {
    span: Option<Range<usize>>,
    /// Paths of keys, such as `modules.0.epochs`. The fault is shown at the first one that the file has.
    paths: Vec<String>,
    message: String,
    hint: Option<String>,
}

impl Fault {
    /// A fault in the text at `span`.
    pub fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span: Some(span), ..Self::of_file(message) }
    }

    /// A fault in the file as a whole.
    pub fn of_file(message: impl Into<String>) -> Self {
        Self { span: None, paths: Vec::new(), message: message.into(), hint: None }
    }

    /// A fault in the setting at `path`.
    pub fn of(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::of_file(message).or_of(path)
    }

    /// Shows the setting at `path` where the file does not have those named before.
    pub fn or_of(mut self, path: impl Into<String>) -> Self {
        self.paths.push(path.into());
        self
    }

    /// Gives the fault its position in `document`, if one of its settings is there.
    pub fn located(self, document: &DeTable<'_>) -> Self {
        let found = self.paths.iter().find_map(|path| Some(find(document, path)?.span()));
        Self { span: self.span.or(found), ..self }
    }

    /// The error for a pipeline of this name that was built in code.
    pub fn in_code(self, name: &str) -> Error {
        let of = self.paths.first().map_or_else(String::new, |path| format!(", `{path}`"));
        let message = format!("pipeline `{name}`{of}: {}", self.message);
        self.saying(message)
    }

    /// The error for a pipeline file, without a position.
    pub fn in_file(self, file: &Path) -> Error {
        let message = format!("{}: {}", file.display(), self.message);
        self.saying(message)
    }

    fn saying(self, message: String) -> Error {
        let error = Error::new(Kind::Usage, message);
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    /// Adds what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The value at a path of keys and indices.
pub fn find<'a, 'd>(document: &'a DeTable<'d>, path: &str) -> Option<&'a Spanned<DeValue<'d>>> {
    let mut keys = path.split('.');
    let first = document.get(keys.next()?)?;
    keys.try_fold(first, |value, key| match value.get_ref() {
        DeValue::Array(items) => items.get(key.parse::<usize>().ok()?),
        value => value.get(key),
    })
}

/// The text of a pipeline file; nothing for a pipeline that was built in code. Two pipelines that say the same are shown
/// the same, whatever their texts.
#[derive(Clone, Default)]
pub struct Kept(pub Option<Arc<Text>>);

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

/// The text of a pipeline and the overrides given with it, kept for faults that are found once the samples are known.
#[derive(Debug)]
pub struct Text {
    text: String,
    overrides: Vec<String>,
    /// The paths of the layers of each module.
    pub origins: Vec<Vec<String>>,
}

impl Text {
    /// The error of a fault, shown at its place.
    pub fn error(&self, file: &Path, fault: Fault) -> Error {
        let origin = Origin::new(file, &self.text, &self.overrides);
        let Ok(mut document) = DeTable::parse(&self.text) else { return origin.error(fault) };
        match overrides::apply(&origin, &mut document) {
            Ok(()) => origin.error(fault.located(document.get_ref())),
            Err(_) => origin.error(fault),
        }
    }
}

/// A pipeline file and the overrides given with it.
///
/// They share one range of positions: first the bytes of the file, then those of the overrides, in order. So a span
/// alone tells where a value came from.
pub struct Origin<'a> {
    file: &'a Path,
    text: &'a str,
    overrides: &'a [String],
}

impl<'a> Origin<'a> {
    /// The origin of `text`, read from `file`, with `overrides` (`key=value`).
    pub fn new(file: &'a Path, text: &'a str, overrides: &'a [String]) -> Self {
        Self { file, text, overrides }
    }

    /// The text, kept beside a pipeline whose layers come from the paths `origins`.
    pub fn kept(&self, origins: Vec<Vec<String>>) -> Text {
        Text { text: self.text.to_owned(), overrides: self.overrides.to_vec(), origins }
    }

    /// Each override with the position of its first byte.
    pub fn overrides(&self) -> impl Iterator<Item = (usize, &'a str)> {
        let mut next = self.text.len() + 1;
        self.overrides.iter().map(move |text| {
            let start = next;
            next += text.len() + 1;
            (start, text.as_str())
        })
    }

    /// The override that `span` lies in; `None` when it lies in the file.
    pub fn override_at(&self, span: &Range<usize>) -> Option<&'a str> {
        self.overrides()
            .find(|(start, text)| (*start..=start + text.len()).contains(&span.start))
            .map(|(_, text)| text)
    }

    /// The error that a user sees. For a fault in the file it shows the line and a caret; for a fault in an override it
    /// names the override.
    pub fn error(&self, fault: Fault) -> Error {
        let Some(span) = &fault.span else { return fault.in_file(self.file) };
        let message = match self.override_at(span) {
            Some(text) => format!("`--set {text}`: {}", fault.message),
            None => self.snippet(span, &fault.message),
        };
        fault.saying(message)
    }

    fn snippet(&self, span: &Range<usize>, message: &str) -> String {
        let path = self.file.display().to_string();
        let snippet = Snippet::source(self.text)
            .path(path.as_str())
            .annotation(AnnotationKind::Primary.span(self.first_line(span)));
        let report = [Level::ERROR.no_name().primary_title(message).element(snippet)];
        Renderer::plain().render(&report)
    }

    /// The part of `span` on its first line.
    fn first_line(&self, span: &Range<usize>) -> Range<usize> {
        let start = span.start.min(self.text.len());
        let line = self.text.get(span.clone()).and_then(|text| text.lines().next());
        start..start + line.unwrap_or_default().len()
    }
}
