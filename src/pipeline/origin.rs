//! Where the text of a pipeline comes from, and errors that point into it.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::error::{Error, Kind};

/// The longest file of settings, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The text of a file of settings; `called` is what it is: "pipeline".
///
/// # Errors
/// [`Kind::Usage`] when it cannot be read.
pub fn read_file(path: &Path, called: &str) -> Result<String, Error> {
    let read = || {
        let mut text = String::new();
        // What is longer, or has no end, is no such file.
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

/// Something wrong with a pipeline, at a position that an [`Origin`] can show.
#[derive(Debug)]
pub struct Fault {
    span: Option<Range<usize>>,
    message: String,
    hint: Option<String>,
}

impl Fault {
    /// A fault in the text at `span`.
    pub fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span: Some(span), message: message.into(), hint: None }
    }

    /// A fault of the file as a whole.
    pub fn of_file(message: impl Into<String>) -> Self {
        Self { span: None, message: message.into(), hint: None }
    }

    /// Adds what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A pipeline file and the overrides given with it.
///
/// They share one range of positions: the bytes of the file come first, those of the overrides
/// after it, in order. So a span alone tells which of them a value came from.
pub struct Origin<'a> {
    file: &'a Path,
    text: &'a str,
    overrides: &'a [String],
}

impl<'a> Origin<'a> {
    /// The origin of what `text`, read from `file`, and `overrides` (`key=value`) say together.
    pub fn new(file: &'a Path, text: &'a str, overrides: &'a [String]) -> Self {
        Self { file, text, overrides }
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

    /// The error a user sees: the line and a caret below it for what the file says, the override
    /// by name for what an override says.
    pub fn error(&self, fault: Fault) -> Error {
        let message = match &fault.span {
            None => format!("{}: {}", self.file.display(), fault.message),
            Some(span) => match self.override_at(span) {
                Some(text) => format!("`--set {text}`: {}", fault.message),
                None => self.snippet(span, &fault.message),
            },
        };
        let error = Error::new(Kind::Usage, message);
        match fault.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
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
