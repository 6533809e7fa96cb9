//! The `[[modules]]` tables.

use std::iter::{once, repeat_n};
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

use super::bounds::{COUNT, SIZE, optional_positive, optional_whole, whole, within};
use super::origin::Fault;
use super::preset::{self, Preset};
use super::raw::{self, Optional};
use super::settings::{Activations, Module, Training};
use super::split;
use super::wording::suggest;
use crate::layer::{Bounded, Entry, Layer};

/// Names that stages, tables and messages use for something else.
const RESERVED: [&str; 3] = ["ingest", "probe", "untrained"];

/// The most blocks one layer of a pipeline file stands for.
const MAX_BLOCKS: usize = 1024;

/// The most layers of all modules together: a short file may stand for a great many.
const MAX_LAYERS: usize = 4096;

/// A checked module, and where in the file each of its layers comes from.
pub struct Planned {
    pub module: Module,
    pub origins: Vec<Range<usize>>,
    /// Where it says how many epochs it trains, if it does.
    pub own_epochs: Option<Range<usize>>,
}

/// What modules have that do not say it themselves.
pub struct Defaults<'a> {
    pub training: &'a Training,
    pub activations: Activations,
}

/// Checks the modules, and that each expects the channels that the one before it gives; the first
/// gets `channels`. Cuts them again where `split` says so.
pub fn resolve(
    modules: &Spanned<Vec<Spanned<raw::Module>>>,
    split: &Optional<raw::Split>,
    defaults: &Defaults<'_>,
    channels: usize,
    document: &DeTable<'_>,
) -> Result<Vec<Planned>, Fault> {
    if modules.get_ref().is_empty() {
        return Err(Fault::at(modules.span(), "a pipeline needs at least one module"));
    }
    let mut planned = Vec::new();
    let mut all_layers = Vec::new();
    let mut before = ("the view".to_owned(), channels);
    let mut room = MAX_LAYERS;
    for (index, raw) in modules.get_ref().iter().enumerate() {
        let raw = raw.get_ref();
        check_name(&raw.name, &modules.get_ref()[..index])?;
        let name = raw.name.get_ref();
        let Stack { layers, expected } = stack(raw, room, &|at, layer, key| {
            let layers = document.get("modules")?.get_ref().get(index)?.get_ref().get("layers")?;
            Some(layers.get_ref().get(at)?.get_ref().get(layer)?.get_ref().get(key)?.span())
        })?;
        room -= layers.len();
        if let Some(expected) = expected
            && *expected.get_ref() != before.1
        {
            let message = format!(
                "module `{name}` expects {expected} channels, {} gives {}",
                before.0, before.1
            );
            return Err(Fault::at(expected.span(), message));
        }
        let given = layers.iter().fold(before.1, |c, layer| layer.get_ref().out_channels(c));
        if split.is_some() {
            refuse_own_settings(raw)?;
            all_layers.extend(layers);
        } else {
            let mut made = plan(name.clone(), layers, defaults);
            let module = &mut made.module;
            if let Some(epochs) = optional_whole(&raw.epochs, "epochs", COUNT)? {
                module.epochs = epochs;
                made.own_epochs = raw.epochs.as_ref().map(Spanned::span);
            }
            if let Some(rate) = optional_positive(&raw.learning_rate, "learning_rate")? {
                module.learning_rate = rate;
            }
            if let Some(activations) = &raw.activations {
                module.activations = *activations.get_ref();
            }
            planned.push(made);
        }
        before = (format!("`{name}`"), given);
    }
    if let Some(split) = split {
        let cut = split::cut(all_layers, split)?.into_iter().enumerate();
        planned = cut.map(|(index, layers)| plan(format!("m{index}"), layers, defaults)).collect();
    }
    planned.iter().try_for_each(check_order)?;
    Ok(planned)
}

/// A context is what its module's loss predicts with: nothing of the module follows it.
fn check_order(planned: &Planned) -> Result<(), Fault> {
    let Module { layers, name, .. } = &planned.module;
    let context = layers.iter().position(|layer| layer.is_context());
    match context.filter(|place| place + 1 < layers.len()) {
        None => Ok(()),
        Some(place) => {
            let context = layers[place].name();
            let message =
                format!("a {context} is the last layer of its module, and `{name}` goes on");
            Err(Fault::at(planned.origins[place].clone(), message))
        }
    }
}

/// A module that says nothing of its own.
fn plan(name: String, layers: Vec<Spanned<Arc<dyn Layer>>>, defaults: &Defaults<'_>) -> Planned {
    Planned {
        origins: layers.iter().map(Spanned::span).collect(),
        own_epochs: None,
        module: Module {
            name,
            layers: layers.into_iter().map(Spanned::into_inner).collect(),
            epochs: defaults.training.epochs,
            learning_rate: defaults.training.learning_rate,
            activations: defaults.activations,
        },
    }
}

fn check_name(name: &Spanned<String>, earlier: &[Spanned<raw::Module>]) -> Result<(), Fault> {
    let text = name.get_ref();
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let wrong = if text.is_empty() || !text.chars().all(allowed) {
        format!("a module's name has letters, digits, `-` and `_`, which `{text}` does not")
    } else if RESERVED.contains(&text.as_str()) {
        format!("a module cannot be called `{text}`: the name has another meaning")
    } else if earlier.iter().any(|module| module.get_ref().name.get_ref() == text) {
        format!("two modules are called `{text}`")
    } else {
        return Ok(());
    };
    Err(Fault::at(name.span(), wrong))
}

/// A module that is cut up has no settings of its own.
fn refuse_own_settings(raw: &raw::Module) -> Result<(), Fault> {
    let keys = [
        ("training", "epochs", raw.epochs.as_ref().map(Spanned::span)),
        ("training", "learning_rate", raw.learning_rate.as_ref().map(Spanned::span)),
        ("store", "activations", raw.activations.as_ref().map(Spanned::span)),
    ];
    for (table, key, span) in keys {
        if let Some(span) = span {
            let message =
                format!("module `{}` is cut up by `split`: it has no `{key}`", raw.name.get_ref());
            return Err(Fault::at(span, message).hint(format!("set `{table}.{key}`")));
        }
    }
    Ok(())
}

/// The layers of one module as its table has them.
struct Stack {
    layers: Vec<Spanned<Arc<dyn Layer>>>,
    /// The channels of its input, if it says.
    expected: Option<Spanned<usize>>,
}

/// Where a setting of a layer is given, by the number of its entry in `layers`, its name and the key.
type SettingSpan<'a> = dyn Fn(usize, &str, &str) -> Option<Range<usize>> + 'a;

/// `room` is for how many layers there is.
fn stack(raw: &raw::Module, room: usize, span: &SettingSpan<'_>) -> Result<Stack, Fault> {
    let name = raw.name.get_ref();
    if let Some(expected) = &raw.in_channels {
        whole(expected, "in_channels", SIZE)?;
    }
    match (&raw.layers, &raw.preset) {
        (Some(_), Some(preset)) => Err(Fault::at(
            preset.span(),
            format!("module `{name}` has both `layers` and a `preset`"),
        )),
        (None, None) => Err(Fault::at(
            raw.name.span(),
            format!("module `{name}` has neither `layers` nor a `preset`"),
        )),
        (Some(layers), None) => {
            if let Some(width) = &raw.width {
                let message = "`width` is the width of a `preset`: `layers` have their own";
                return Err(Fault::at(width.span(), message));
            }
            if layers.get_ref().is_empty() {
                return Err(Fault::at(layers.span(), format!("module `{name}` has no layer")));
            }
            let mut all = Vec::new();
            for (at, raw) in layers.get_ref().iter().enumerate() {
                let span_of =
                    |layer: &str, key: &str| span(at, layer, key).unwrap_or_else(|| raw.span());
                let layers = expand(raw.get_ref(), &span_of)?;
                all.extend(layers.map(|layer| Spanned::new(raw.span(), layer)));
                check_room(all.len(), room, raw.span())?;
            }
            Ok(Stack { layers: all, expected: raw.in_channels.clone() })
        }
        (None, Some(preset)) => preset_stack(raw, preset, room),
    }
}

fn preset_stack(raw: &raw::Module, name: &Spanned<String>, room: usize) -> Result<Stack, Fault> {
    let width = optional_whole(&raw.width, "width", 1..=preset::MAX_WIDTH)?;
    let Some(found) = Preset::find(name.get_ref(), width.unwrap_or(preset::WIDTH)) else {
        let fault = Fault::at(name.span(), format!("unknown preset `{}`", name.get_ref()));
        return Err(match suggest(name.get_ref(), &preset::NAMES) {
            Some(hint) => fault.hint(hint),
            None => fault,
        });
    };
    check_room(found.layers.len(), room, name.span())?;
    let made_for = found.in_channels.map(|channels| Spanned::new(name.span(), channels));
    Ok(Stack {
        layers: found.layers.into_iter().map(|layer| Spanned::new(name.span(), layer)).collect(),
        expected: raw.in_channels.clone().or(made_for),
    })
}

fn check_room(layers: usize, room: usize, span: Range<usize>) -> Result<(), Fault> {
    if layers <= room {
        return Ok(());
    }
    Err(Fault::at(span, format!("the modules have more than {MAX_LAYERS} layers in all")))
}

/// The layer, or the row of blocks, that one entry of `layers` stands for; `span` is where a setting of it is given.
fn expand(
    entry: &Entry,
    span: &dyn Fn(&str, &str) -> Range<usize>,
) -> Result<impl Iterator<Item = Arc<dyn Layer>>, Fault> {
    let Entry { first, next, blocks } = entry;
    let row = Bounded { key: "blocks", value: *blocks, bounds: 1..=MAX_BLOCKS };
    for Bounded { key, value, bounds } in first.bounds().into_iter().chain(once(row)) {
        within(value, key, &bounds).map_err(|wrong| Fault::at(span(first.name(), key), wrong))?;
    }
    Ok(once(first.clone()).chain(repeat_n(next.clone(), blocks - 1)))
}
