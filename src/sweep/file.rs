//! Reads a sweep file: from its text to the variants.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reference::reference;
use super::{Seeds, Sweep, Variant};
use crate::Result;
use crate::folder::folder_of;
use crate::pipeline::error_wording::{self, suggest};
use crate::pipeline::origin::{self, Fault, Origin};
use crate::quantity::counted;
use crate::setting::{self, inside};
use crate::stage::run_dir::SWEEP_RESULTS;

/// The most runs in a sweep: more are a mistake.
const MOST_RUNS: usize = 10_000;

type Value<'a> = Spanned<DeValue<'a>>;

impl Sweep {
    /// Reads the sweep file at `path`; `overrides` (`key=value`) override its `[set]`.
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] when the file cannot be read; those of [`Sweep::parse`].
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self> {
        Self::parse(&origin::read_file(path, "sweep")?, path, overrides)
    }

    /// Whether the file at `path` is a sweep file: a sweep file names a pipeline, and is none itself.
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] when the file cannot be read.
    pub fn is_sweep(path: &Path) -> Result<bool> {
        let text = origin::read_file(path, "pipeline or sweep")?;
        // Errors in the file are left to its own reader.
        Ok(DeTable::parse(&text).is_ok_and(|root| root.get_ref().contains_key("pipeline")))
    }

    /// Reads a sweep from `text`, the content of `file`. Touches neither disk nor network.
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] for anything wrong with the text: the message shows the line with a caret
    /// below the key or value.
    pub fn parse(text: &str, file: &Path, overrides: &[String]) -> Result<Self> {
        let origin = Origin::new(file, text, &[]);
        read(text, file, overrides).map_err(|fault| origin.error(fault))
    }
}

/// A key of the pipeline and the values it takes: one in a `set`, any number in the grid.
struct Setting {
    key: String,
    span: Range<usize>,
    values: Vec<SetTo>,
}

/// A value as it is written in the file, and as it is shown.
struct SetTo {
    toml: String,
    shown: String,
}

impl Setting {
    fn with(&self, value: &SetTo) -> String {
        format!("{}={}", self.key, value.toml)
    }

    /// The overrides of a `set`.
    fn overrides(settings: &[Self]) -> impl Iterator<Item = String> {
        settings.iter().flat_map(|it| it.values.iter().map(|value| it.with(value)))
    }
}

fn read(text: &str, file: &Path, overrides: &[String]) -> Result<Sweep, Fault> {
    let document = DeTable::parse(text).map_err(|error| error_wording::syntax(&error))?;
    let root = document.get_ref();
    let described = reference();
    refuse_unknown(root, &keys(&described, ""), "")?;

    let name = name(root, file)?;
    let pipeline = string(root, "pipeline")?.ok_or_else(|| {
        let hint = "write `pipeline = \"FILE.toml\"`, a path from the sweep file's folder";
        Fault::of_file("missing key `pipeline`").hint(hint)
    })?;
    let pipeline = folder_of(file).join(pipeline.get_ref());
    let seeds = seeds(root)?;

    let set = match root.get("set") {
        Some(value) => settings(value, "set", text)?,
        None => vec![],
    };
    let common: Vec<String> = Setting::overrides(&set).chain(overrides.iter().cloned()).collect();
    let grid = match root.get("grid") {
        Some(value) => grid(value, text)?,
        None => vec![],
    };
    refuse_both(&set, &grid)?;
    for text in overrides {
        let key = text.split_once('=').map_or("", |(key, _)| key.trim());
        if grid.iter().any(|it| it.key == key) {
            let message = format!("`--set {text}` sets what [grid] sets");
            return Err(Fault::of_file(message).hint("leave it out, or take the key from the grid"));
        }
    }
    let named = named(root, text, &grid)?;
    let variants = combine(&common, &named, &grid, &seeds, &name)?;
    let baseline = match string(root, "baseline")? {
        None => 0,
        Some(asked) => {
            let names: Vec<&str> = variants.iter().map(|it| it.name.as_str()).collect();
            names.iter().position(|it| it == asked.get_ref()).ok_or_else(|| {
                let message = format!("there is no variant `{}`", asked.get_ref());
                with_hint(Fault::at(asked.span(), message), suggest(asked.get_ref(), &names))
            })?
        }
    };
    let grid = grid.into_iter().map(|it| it.key).collect();
    Ok(Sweep { name, pipeline, seeds, grid, variants, baseline })
}

fn with_hint(fault: Fault, hint: Option<String>) -> Fault {
    match hint {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

/// The keys of a table.
fn keys<'s>(settings: &'s [setting::Setting], table: &'s str) -> Vec<&'s str> {
    inside(settings, table).map(setting::Setting::key).collect()
}

/// Fails on the first unknown key of a table. `within` is empty, or names the table: " in [[variants]]".
fn refuse_unknown(table: &DeTable<'_>, known: &[&str], within: &str) -> Result<(), Fault> {
    let unknown = |key: &&Spanned<_>| !known.contains(&AsRef::<str>::as_ref(key.get_ref()));
    // The first in the file: the table may have another order.
    let first = table.keys().filter(unknown).min_by_key(|key| key.span().start);
    let Some(key) = first else { return Ok(()) };
    let message = format!("unknown key `{}`{within}", key.get_ref());
    Err(with_hint(Fault::at(key.span(), message), suggest(key.get_ref(), known)))
}

fn string<'t>(table: &'t DeTable<'_>, key: &str) -> Result<Option<Spanned<&'t str>>, Fault> {
    let Some(value) = table.get(key) else { return Ok(None) };
    match value.get_ref() {
        DeValue::String(text) => Ok(Some(Spanned::new(value.span(), text.as_ref()))),
        _ => Err(Fault::at(value.span(), format!("`{key}` must be a string"))),
    }
}

/// Reads the sweep's name, which is also the name of a folder.
fn name(root: &DeTable<'_>, file: &Path) -> Result<String, Fault> {
    const GOOD: &str = "letters, digits, - and _";
    let good = |name: &str| {
        let plain = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_';
        !name.is_empty() && name.chars().all(plain) && name != SWEEP_RESULTS
    };
    let Some(name) = string(root, "name")? else {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let hint = format!("give it a `name` of {GOOD}, and not `{SWEEP_RESULTS}`");
        let bad = || Fault::of_file("no sweep can be called as this file is").hint(hint);
        return if good(&stem) { Ok(stem) } else { Err(bad()) };
    };
    if good(name.get_ref()) {
        return Ok((*name.get_ref()).to_owned());
    }
    let message = format!("no sweep can be called `{}`", name.get_ref());
    let hint = format!("take {GOOD}, and not `{SWEEP_RESULTS}`");
    Err(Fault::at(name.span(), message).hint(hint))
}

fn seeds(root: &DeTable<'_>) -> Result<Seeds, Fault> {
    let Some(value) = root.get("seeds") else { return Ok(Seeds::Count(1)) };
    let wrong = |span| {
        let message = "`seeds` must be a list of whole numbers of 0 or more, or how many";
        Err(Fault::at(span, message).hint("write `seeds = [1, 2, 3]` or `seeds = 3`"))
    };
    match value.get_ref() {
        DeValue::Array(items) if !items.is_empty() => {
            let mut seeds = Vec::new();
            for item in items {
                match whole(item) {
                    Some(seed) if seeds.contains(&seed) => {
                        let message = format!("the seed {seed} is there twice");
                        return Err(Fault::at(item.span(), message).hint("name each seed once"));
                    }
                    Some(seed) => seeds.push(seed),
                    None => return wrong(item.span()),
                }
            }
            Ok(Seeds::These(seeds))
        }
        _ => match whole(value) {
            Some(count) if count > 0 => Ok(Seeds::Count(count)),
            _ => wrong(value.span()),
        },
    }
}

/// Reads a whole number of 0 or more that TOML can write; `None` for anything else.
fn whole(value: &Value<'_>) -> Option<u64> {
    let number = value.get_ref().as_integer()?;
    let number = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
    u64::try_from(number).ok()
}

/// Reads the single settings in a table, in the order of the file.
fn settings(value: &Value<'_>, called: &str, text: &str) -> Result<Vec<Setting>, Fault> {
    let DeValue::Table(table) = value.get_ref() else {
        let hint = format!("write `[{called}]` and below it `training.epochs = 4`");
        return Err(Fault::at(value.span(), format!("`{called}` must be a table")).hint(hint));
    };
    let mut found = Vec::new();
    for (key, value) in flat(table, text) {
        check_key(&key)?;
        let values = vec![set_to(value, key.get_ref(), text)?];
        found.push(Setting { span: key.span(), key: key.into_inner(), values });
    }
    Ok(found)
}

/// Reads the settings of the grid, whose values are lists.
fn grid(value: &Value<'_>, text: &str) -> Result<Vec<Setting>, Fault> {
    const HINT: &str = "write `split = [\"each\", 2, 1]`";
    let DeValue::Table(table) = value.get_ref() else {
        return Err(Fault::at(value.span(), "`grid` must be a table").hint(HINT));
    };
    let mut found = Vec::new();
    for (key, value) in flat(table, text) {
        check_key(&key)?;
        let items = match value.get_ref() {
            DeValue::Array(items) if !items.is_empty() => items,
            _ => {
                let message = format!("`{}` in [grid] must be a list of values", key.get_ref());
                return Err(Fault::at(value.span(), message).hint(HINT));
            }
        };
        let mut values: Vec<SetTo> = Vec::new();
        for item in items {
            let value = set_to(item, key.get_ref(), text)?;
            if values.iter().any(|it| it.shown == value.shown) {
                let message = format!("`{}` has the value {} twice", key.get_ref(), value.toml);
                return Err(Fault::at(item.span(), message).hint("name each value once"));
            }
            values.push(value);
        }
        found.push(Setting { span: key.span(), key: key.into_inner(), values });
    }
    Ok(found)
}

/// The values of a table and of the tables in it, with their dotted keys, in the order of the file. A table in braces
/// is one value.
fn flat<'t, 'a>(table: &'t DeTable<'a>, text: &str) -> Vec<(Spanned<String>, &'t Value<'a>)> {
    let mut found = Vec::new();
    for (key, value) in table {
        let in_braces = text.get(value.span()).is_some_and(|it| it.starts_with('{'));
        match value.get_ref() {
            DeValue::Table(inner) if !in_braces => {
                for (rest, value) in flat(inner, text) {
                    let dotted = format!("{}.{}", key.get_ref(), rest.get_ref());
                    found.push((Spanned::new(rest.span(), dotted), value));
                }
            }
            _ => found.push((Spanned::new(key.span(), key.get_ref().to_string()), value)),
        }
    }
    found.sort_by_key(|(key, _)| key.span().start);
    found
}

fn check_key(key: &Spanned<String>) -> Result<(), Fault> {
    let refuse = |message: String, hint: &str| Err(Fault::at(key.span(), message).hint(hint));
    match key.get_ref().as_str() {
        "seed" => refuse("`seed` is set for each run".to_owned(), "name them at the top: `seeds`"),
        "name" => refuse(
            "`name` cannot be set: all runs of a sweep share one directory".to_owned(),
            "the sweep has a `name` of its own, at the top",
        ),
        other if other.contains('=') || other.split('.').any(|it| it.trim().is_empty()) => {
            let hint = "name it as `--set` does: `training.epochs`";
            refuse(format!("`{other}` is no key of a pipeline"), hint)
        }
        _ => Ok(()),
    }
}

fn set_to(value: &Value<'_>, key: &str, text: &str) -> Result<SetTo, Fault> {
    let toml = text.get(value.span()).unwrap_or_default();
    // Tables with headers of their own cannot be written as one value.
    if DeValue::parse(toml).is_err() {
        let message = format!("the value of `{key}` must be written in one piece");
        return Err(Fault::at(value.span(), message).hint("write it behind `=`"));
    }
    let shown = match value.get_ref() {
        DeValue::String(text) => text.to_string(),
        _ => toml.split_whitespace().collect::<Vec<_>>().join(" "),
    };
    Ok(SetTo { toml: toml.to_owned(), shown })
}

/// Refuses a key that is set both in the grid and elsewhere.
fn refuse_both(set: &[Setting], grid: &[Setting]) -> Result<(), Fault> {
    let both = set.iter().find(|it| grid.iter().any(|other| other.key == it.key));
    let Some(both) = both else { return Ok(()) };
    let message = format!("`{}` is also in [grid]", both.key);
    Err(Fault::at(both.span.clone(), message).hint("name it in one of them"))
}

/// Reads the named variants, and what they set.
fn named(
    root: &DeTable<'_>,
    text: &str,
    grid: &[Setting],
) -> Result<Vec<(String, Vec<Setting>)>, Fault> {
    const HINT: &str = "write `[[variants]]`, and below it `name = \"…\"` and `set = { … }`";
    let Some(value) = root.get("variants") else { return Ok(vec![]) };
    let items = match value.get_ref() {
        DeValue::Array(items) if !items.is_empty() => items,
        _ => return Err(Fault::at(value.span(), "`variants` must be tables").hint(HINT)),
    };
    let mut found: Vec<(String, Vec<Setting>)> = Vec::new();
    for item in items {
        let DeValue::Table(table) = item.get_ref() else {
            return Err(Fault::at(item.span(), "a variant must be a table").hint(HINT));
        };
        refuse_unknown(table, &keys(&reference(), "variants"), " in [[variants]]")?;
        let name = string(table, "name")?.ok_or_else(|| {
            Fault::at(item.span(), "missing key `name` in [[variants]]").hint(HINT)
        })?;
        let shown = name.get_ref().trim();
        if shown.is_empty() || shown.contains(char::is_control) {
            let message = "the name of a variant must be one line of text";
            return Err(Fault::at(name.span(), message).hint(HINT));
        }
        if found.iter().any(|(other, _)| other == shown) {
            let message = format!("two variants are called `{shown}`");
            return Err(Fault::at(name.span(), message).hint("give each a name of its own"));
        }
        let set = match table.get("set") {
            Some(value) => settings(value, "set", text)?,
            None => vec![],
        };
        refuse_both(&set, grid)?;
        found.push((shown.to_owned(), set));
    }
    Ok(found)
}

/// Combines every named variant with every combination of the grid.
fn combine(
    common: &[String],
    named: &[(String, Vec<Setting>)],
    grid: &[Setting],
    seeds: &Seeds,
    sweep: &str,
) -> Result<Vec<Variant>, Fault> {
    let seeds = match seeds {
        Seeds::These(seeds) => seeds.len(),
        Seeds::Count(count) => usize::try_from(*count).unwrap_or(usize::MAX),
    };
    let counts = grid.iter().map(|it| it.values.len()).chain([named.len().max(1), seeds]);
    let runs = counts.fold(1usize, usize::saturating_mul);
    if runs > MOST_RUNS {
        let message = format!("this makes {}, more than {MOST_RUNS}", counted(runs, "run"));
        return Err(Fault::of_file(message).hint("take fewer values, variants or seeds"));
    }
    let bare = |overrides| Variant { name: String::new(), grid: vec![], overrides };
    let mut variants = vec![bare(common.to_vec())];
    if !named.is_empty() {
        let variant = |(name, set): &(String, Vec<Setting>)| Variant {
            name: name.clone(),
            ..bare(common.iter().cloned().chain(Setting::overrides(set)).collect())
        };
        variants = named.iter().map(variant).collect();
    }
    for setting in grid {
        let with = |variant: &Variant| {
            let variant = variant.clone();
            setting.values.iter().map(move |value| {
                let mut next = variant.clone();
                let part = format!("{}={}", setting.key, value.shown);
                let between = if next.name.is_empty() { "" } else { ", " };
                next.name = format!("{}{between}{part}", next.name);
                next.grid.push(value.shown.clone());
                next.overrides.push(setting.with(value));
                next
            })
        };
        variants = variants.iter().flat_map(with).collect();
    }
    if let [only] = variants.as_mut_slice()
        && only.name.is_empty()
    {
        only.name = sweep.to_owned();
    }
    let mut names = HashSet::new();
    if let Some(twice) = variants.iter().find(|it| !names.insert(&it.name)) {
        let message = format!("two variants are called `{}`", twice.name);
        return Err(Fault::of_file(message).hint("give each a name of its own"));
    }
    Ok(variants)
}
