//! `--set key=value`: values that replace what a pipeline file says.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error_wording::suggest;
use super::origin::{Fault, Origin};

/// The largest number of names in the path of a key: more than any key has.
const DEEPEST: usize = 16;

type Value<'a> = Spanned<DeValue<'a>>;

/// Sets the values of all overrides of `origin` in `document`, in order. Each keeps its position in `origin`.
///
/// # Errors
/// An override without `=`, or one whose key leads through something that has no keys.
pub fn apply<'a>(origin: &Origin<'a>, document: &mut Spanned<DeTable<'a>>) -> Result<(), Fault> {
    for (start, text) in origin.overrides() {
        let span = start..start + text.len();
        let Some((key, value)) = text.split_once('=') else {
            return Err(Fault::at(span, "an override needs a key and a value")
                .hint("write it as `--set training.epochs=3`"));
        };
        let segments = segments(key, start);
        if segments.iter().any(|segment| segment.get_ref().is_empty()) {
            return Err(Fault::at(span, "an override needs a key with a name between its dots")
                .hint("write it as `--set training.epochs=3`"));
        }
        if segments.len() > DEEPEST {
            return Err(Fault::at(span, "no key lies that deep"));
        }
        let value = parse_value(value, start + key.len() + 1);
        set_in_table(document.get_mut(), &segments, value)?;
    }
    Ok(())
}

fn segments(key: &str, start: usize) -> Vec<Spanned<&str>> {
    let mut next = start;
    key.split('.')
        .map(|segment| {
            let span = next..next + segment.len();
            next = span.end + 1;
            Spanned::new(span, segment.trim())
        })
        .collect()
}

/// Reads `text` as TOML. Text that is not TOML is a string, so that a path needs no quotes.
fn parse_value(text: &str, start: usize) -> Value<'_> {
    match DeValue::parse(text.trim()) {
        Ok(value) => shift(value, start),
        Err(_) => {
            Spanned::new(start..start + text.len(), DeValue::String(Cow::Borrowed(text.trim())))
        }
    }
}

/// Moves every position in `value` by `by` bytes.
fn shift(value: Value<'_>, by: usize) -> Value<'_> {
    let moved = |span: Range<usize>| span.start + by..span.end + by;
    let span = moved(value.span());
    let value = match value.into_inner() {
        DeValue::Array(items) => {
            DeValue::Array(items.into_iter().map(|item| shift(item, by)).collect())
        }
        DeValue::Table(entries) => DeValue::Table(
            entries
                .into_iter()
                .map(|(key, value)| {
                    (Spanned::new(moved(key.span()), key.into_inner()), shift(value, by))
                })
                .collect(),
        ),
        scalar => scalar,
    };
    Spanned::new(span, value)
}

fn set_in_table<'a>(
    table: &mut DeTable<'a>,
    path: &[Spanned<&'a str>],
    value: Value<'a>,
) -> Result<(), Fault> {
    let Some((first, rest)) = path.split_first() else { return Ok(()) };
    let key = *first.get_ref();
    match table.get_mut(key) {
        Some(there) => set(there, key, rest, value),
        None => {
            let mut made = Spanned::new(first.span(), DeValue::Table(DeTable::new()));
            set(&mut made, key, rest, value)?;
            table.insert(Spanned::new(first.span(), Cow::Borrowed(key)), made);
            Ok(())
        }
    }
}

/// Sets the value at `path` below `there`, which is the value of `key`.
fn set<'a>(
    there: &mut Value<'a>,
    key: &str,
    path: &[Spanned<&'a str>],
    value: Value<'a>,
) -> Result<(), Fault> {
    let Some((first, rest)) = path.split_first() else {
        *there = value;
        return Ok(());
    };
    match there.get_mut() {
        DeValue::Table(table) => set_in_table(table, path, value),
        DeValue::Array(items) => {
            let name = *first.get_ref();
            let at = item_at(items.iter(), name);
            match at.and_then(|at| items.get_mut(at)) {
                Some(item) => set(item, name, rest, value),
                None => Err(no_item(items.iter(), key, first)),
            }
        }
        _ => Err(Fault::at(
            first.span(),
            format!("`{key}` is a single value: there is no `{}` in it", first.get_ref()),
        )),
    }
}

/// The index of the item whose name is `name`, else `name` as an index.
fn item_at<'v, 'a: 'v>(items: impl Iterator<Item = &'v Value<'a>>, name: &str) -> Option<usize> {
    let names: Vec<_> = items.map(item_name).collect();
    names
        .iter()
        .position(|item| *item == Some(name))
        .or_else(|| name.parse().ok().filter(|index| *index < names.len()))
}

fn item_name<'v>(item: &'v Value<'_>) -> Option<&'v str> {
    match item.get_ref() {
        DeValue::Table(table) => match table.get("name")?.get_ref() {
            DeValue::String(name) => Some(name),
            _ => None,
        },
        _ => None,
    }
}

fn no_item<'v, 'a: 'v>(
    items: impl Iterator<Item = &'v Value<'a>>,
    key: &str,
    asked: &Spanned<&str>,
) -> Fault {
    let items: Vec<_> = items.collect();
    let names: Vec<_> = items.iter().filter_map(|item| item_name(item)).collect();
    let message = format!("there is no `{}` in `{key}`", asked.get_ref());
    let fault = Fault::at(asked.span(), message);
    match suggest(asked.get_ref(), &names) {
        Some(hint) => fault.hint(hint),
        None => fault.hint(format!("the file has {} of them, numbered from 0", items.len())),
    }
}
