//! Plain words for what serde and the TOML parser report.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::origin::Fault;
use crate::setting::{Form, Setting, find};

/// The least likeness of a name that is suggested for another (Jaro-Winkler; 1 is equal).
const NEAR_MISS: f64 = 0.8;

/// A hint for an unknown `word`: "did you mean …?" with the name of `known` most like it, or all of `known` when none
/// is like it. `None` when `known` is empty.
pub fn suggest<S: AsRef<str>>(word: &str, known: &[S]) -> Option<String> {
    let known: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
    if known.is_empty() {
        return None;
    }
    // Jaro-Winkler finds short words seldom alike, so one slip, such as `f61` for `f16`, is enough.
    let slipped = |name: &&&str| word.len() >= 3 && strsim::damerau_levenshtein(word, name) == 1;
    let likeness = |name: &&&str| strsim::jaro_winkler(word, name);
    let nearest = known.iter().find(slipped).or_else(|| {
        let near = known.iter().filter(|name| likeness(name) >= NEAR_MISS);
        near.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
    });
    Some(match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("known here: `{}`", known.join("`, `")),
    })
}

/// The fault for a text that is not TOML.
pub fn syntax(error: &toml::de::Error) -> Fault {
    let message = format!("this is not TOML: {}", error.message());
    match error.span() {
        Some(span) => Fault::at(span, message),
        None => Fault::of_file(message),
    }
}

/// The fault for TOML that is not a pipeline: `error` came from reading `document` into the types of a pipeline. What
/// is wanted is said in the words of `settings`.
pub fn mistyped(error: &toml::de::Error, document: &DeTable<'_>, settings: &[Setting]) -> Fault {
    let message = error.message();
    let Some(span) = error.span() else { return Fault::of_file(message) };
    let place = Place::find(document, &span).unwrap_or_default();

    if let Some(rest) = message.strip_prefix("missing field ") {
        let key = quoted(rest).next().unwrap_or(rest).to_owned();
        let message = format!("missing key `{key}`{}", place.within());
        // The root has no line to point at.
        let fault = match place.path.is_empty() {
            true => Fault::of_file(message),
            false => Fault::at(span, message),
        };
        return match find(settings, &place.name_of(&key)) {
            Some(missing) => fault.hint(format!("`{}`: {}", missing.name, missing.summary())),
            None => fault,
        };
    }
    if message.starts_with("unknown field ") {
        let (key, table) = place.split();
        let fault = Fault::at(span, format!("unknown key `{key}`{}", table.within()));
        let mut elsewhere = settings.iter().filter(|it| it.key() == key && it.name != key);
        return match (elsewhere.next(), elsewhere.next()) {
            (Some(only), None) => fault.hint(format!(
                "did you mean `{}`? It is described by `gimlet help pipeline {0}`",
                only.name
            )),
            _ => with_suggestion(fault, &key, message),
        };
    }
    if message.starts_with("unknown variant ") {
        let word = quoted(message).next().unwrap_or_default();
        let (key, table) = place.split();
        let unknown = match place.on_key {
            true => return not_a_variant(span, &table),
            false => format!("unknown value `{word}` for `{key}`{}", table.within()),
        };
        return with_suggestion(Fault::at(span, unknown), word, message);
    }
    if let Some((found, expected)) = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .and_then(|rest| rest.rsplit_once(", expected "))
    {
        if found.ends_with(" variant") {
            return not_a_variant(span, &place);
        }
        let found = plain_found(found);
        let expected = match find(settings, &place.name()).filter(|_| place.is_of_a_key()) {
            Some(setting) if !matches!(setting.form, Form::KindOrTable | Form::NameOrOneKey) => {
                setting.form.words()
            }
            _ => plain_expected(expected).to_owned(),
        };
        return Fault::at(span, format!("{} must be {expected}, not {found}", place.subject()));
    }
    if message.starts_with("wanted ") {
        return not_a_variant(span, &place);
    }
    if place.is_loss() && message.starts_with("both ") {
        let hint = "to take another than the file does: `--set loss=NAME`, or \
                    `--set loss={NAME={KEY=VALUE}}`";
        return Fault::at(span, format!("`loss` names {message}")).hint(hint);
    }
    Fault::at(span, format!("{}: {message}", place.subject()))
}

/// The fault for a layer, a loss or a word of a fixed set that is written as something else.
fn not_a_variant(span: Range<usize>, place: &Place) -> Fault {
    let subject = place.subject();
    let table = || Fault::at(span.clone(), format!("{subject} must be a table with one key"));
    if place.in_layers() {
        table().hint("write `{ conv = { channels = 32, kernel = 3 } }` or `{ relu = {} }`")
    } else if place.is_loss() {
        table().hint("write `[loss.infonce]`")
    } else {
        Fault::at(span.clone(), format!("{subject} must be a string"))
    }
}

fn with_suggestion(fault: Fault, word: &str, message: &str) -> Fault {
    let known: Vec<_> = match message.rsplit_once(", expected ") {
        Some((_, names)) => quoted(names).collect(),
        None => Vec::new(),
    };
    match suggest(word, &known) {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

/// The parts of `text` between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn plain_expected(expected: &str) -> &str {
    match expected {
        "usize" | "u64" => "a whole number of 0 or more",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        plain => plain,
    }
}

fn plain_found(found: &str) -> String {
    match found {
        "map" => "a table".to_owned(),
        "sequence" => "a list".to_owned(),
        _ => match found.split_once(' ') {
            Some(("string", text)) => format!("the string {text}"),
            _ => quoted(found).next().unwrap_or(found).to_owned(),
        },
    }
}

/// A step from a table or list to what lies in it.
#[derive(Clone)]
enum Step {
    Key(String),
    /// The index, and the name of the item if it has one.
    Item(usize, Option<String>),
}

/// The place of a key or a value in a document.
#[derive(Clone, Default)]
struct Place {
    path: Vec<Step>,
    /// Whether this is the place of the last key itself, not of its value.
    on_key: bool,
}

impl Place {
    fn find(document: &DeTable<'_>, span: &Range<usize>) -> Option<Self> {
        let mut path = Vec::new();
        let on_key = find_in_table(document, span, &mut path)?;
        Some(Self { path, on_key })
    }

    /// The last key of the path, and the table it lies in.
    fn split(&self) -> (String, Place) {
        let mut table = self.clone();
        while let Some(step) = table.path.pop() {
            if let Step::Key(key) = step {
                return (key, table);
            }
        }
        (String::new(), table)
    }

    /// The name of the setting, without items.
    fn name(&self) -> String {
        let keys = self.path.iter().filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Item(..) => None,
        });
        keys.collect::<Vec<_>>().join(".")
    }

    /// The name of the setting `key` in this table.
    fn name_of(&self, key: &str) -> String {
        match self.path.is_empty() {
            true => key.to_owned(),
            false => format!("{}.{key}", self.name()),
        }
    }

    /// Whether this is the value of a key, not an item of a list.
    fn is_of_a_key(&self) -> bool {
        matches!(self.path.last(), Some(Step::Key(_)))
    }

    fn in_modules(&self) -> bool {
        matches!(self.path.as_slice(), [Step::Key(key), Step::Item(..), ..] if key == "modules")
    }

    fn is_loss(&self) -> bool {
        matches!(self.path.as_slice(), [Step::Key(key)] if key == "loss")
    }

    /// Whether this is one item of a list of layers.
    fn in_layers(&self) -> bool {
        let [.., Step::Key(key), Step::Item(..)] = self.path.as_slice() else { return false };
        key == "layers" && self.in_modules()
    }

    /// The place in words, as a subject: "`batch` in [training]".
    fn subject(&self) -> String {
        if self.in_layers() {
            return format!("a layer{}", self.within());
        }
        let (key, table) = self.split();
        match self.path.last() {
            None => "a pipeline".to_owned(),
            Some(Step::Key(_)) => format!("`{key}`{}", table.within()),
            Some(Step::Item(..)) if key == "modules" => "a module".to_owned(),
            Some(Step::Item(..)) => format!("an item of `{key}`{}", table.within()),
        }
    }

    /// The table in words: " in [training]", " in `conv` of module `a`"; empty for the root.
    fn within(&self) -> String {
        if let [Step::Key(_), Step::Item(index, name), rest @ ..] = self.path.as_slice()
            && self.in_modules()
        {
            let module = match name {
                Some(name) => format!("module `{name}`"),
                None => format!("module {index}"),
            };
            return match rest.last() {
                Some(Step::Key(key)) if key != "layers" => format!(" in `{key}` of {module}"),
                _ => format!(" in {module}"),
            };
        }
        let name = self.name();
        if name.is_empty() { name } else { format!(" in [{name}]") }
    }
}

/// Extends `path` to the key or value at `span`, and tells whether it is a key; `None` when it is not in this table.
fn find_in_table(table: &DeTable<'_>, span: &Range<usize>, path: &mut Vec<Step>) -> Option<bool> {
    for (key, value) in table {
        path.push(Step::Key(key.get_ref().to_string()));
        if key.span() == *span {
            return Some(true);
        }
        if let Some(on_key) = find_in_value(value, span, path) {
            return Some(on_key);
        }
        path.pop();
    }
    None
}

fn find_in_value(
    value: &Spanned<DeValue<'_>>,
    span: &Range<usize>,
    path: &mut Vec<Step>,
) -> Option<bool> {
    if value.span() == *span {
        return Some(false);
    }
    match value.get_ref() {
        DeValue::Table(table) => find_in_table(table, span, path),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let name = item.get_ref().get("name").and_then(|name| name.get_ref().as_str());
                path.push(Step::Item(index, name.map(str::to_owned)));
                if let Some(on_key) = find_in_value(item, span, path) {
                    return Some(on_key);
                }
                path.pop();
            }
            None
        }
        _ => None,
    }
}
