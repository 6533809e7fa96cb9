//! What is said of a setting beside its words: its form, what holds without it, what it makes stale, an example.

use serde::Serialize;

use crate::setting::{Absent, Form, Setting};

/// A label, and what stands behind it.
pub type Fact = (&'static str, String);

/// The facts of a setting, in order.
pub fn facts(setting: &Setting, has_steps: bool) -> Vec<Fact> {
    let mut facts = vec![("Value", value(setting))];
    match &setting.absent {
        Absent::Required => facts.push(("When left out", "it must be given".to_owned())),
        Absent::Value(text) => facts.push(("When left out", format!("`{text}`"))),
        Absent::Means("") => {}
        Absent::Means(words) => facts.push(("When left out", (*words).to_owned())),
    }
    if has_steps {
        facts.push(("Makes stale", setting.stale.words()));
    }
    if !setting.example.is_empty() {
        facts.push(("Example", format!("`{} = {}`", setting.key(), setting.example)));
    }
    facts
}

/// The form of a value, with its unit.
fn value(setting: &Setting) -> String {
    let words = setting.form.words();
    match setting.unit {
        "" | "bytes" => words,
        unit => format!("{words} ({unit})"),
    }
}

/// A setting as `--json` shows it.
#[derive(Serialize)]
pub struct Document<'s> {
    name: &'s str,
    value: String,
    unit: Option<&'s str>,
    least: Option<f64>,
    most: Option<f64>,
    words: &'s [&'static str],
    required: bool,
    default: Option<&'s str>,
    left_out: Option<&'s str>,
    stale: Vec<&'static str>,
    example: Option<&'s str>,
    doc: &'s str,
}

impl<'s> Document<'s> {
    /// The document of a setting.
    pub fn of(setting: &'s Setting) -> Self {
        let Setting { name, form, absent, unit, stale, example, doc } = setting;
        let finite = |number: f64| number.is_finite().then_some(number);
        let (least, most) = match form {
            Form::Whole(bounds) => (finite(*bounds.start() as f64), finite(*bounds.end() as f64)),
            Form::Number(it) | Form::Numbers(it) => (finite(it.least), finite(it.most)),
            Form::Bytes(least) => (finite(*least as f64), None),
            _ => (None, None),
        };
        let some = |text: &'s str| (!text.is_empty()).then_some(text);
        Self {
            name,
            value: form.words(),
            unit: some(unit),
            least,
            most,
            words: if let Form::Words(words) = form { words.as_slice() } else { &[] },
            required: *absent == Absent::Required,
            default: if let Absent::Value(text) = absent { Some(text) } else { None },
            left_out: if let Absent::Means(words) = absent { some(words) } else { None },
            stale: stale.names(),
            example: some(example),
            doc,
        }
    }
}
