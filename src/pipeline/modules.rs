//! The `[[modules]]` tables.

use std::ops::Range;

use toml::Spanned;

use super::bounds::{COUNT, SIZE, optional_positive, optional_whole, whole};
use super::origin::Fault;
use super::preset::{self, Preset};
use super::raw::{self, Optional};
use super::settings::{Activations, Layer, Module, Training};
use super::shapes::EXPANSION;
use super::split;
use super::wording::suggest;

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
        let Stack { layers, expected } = stack(raw, room)?;
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

/// A GRU makes the context that its module's loss predicts with: nothing of the module follows it.
fn check_order(planned: &Planned) -> Result<(), Fault> {
    let Module { layers, name, .. } = &planned.module;
    let gru = layers.iter().position(|layer| matches!(layer, Layer::Gru { .. }));
    match gru.filter(|place| place + 1 < layers.len()) {
        None => Ok(()),
        Some(place) => {
            let message = format!("a gru is the last layer of its module, and `{name}` goes on");
            Err(Fault::at(planned.origins[place].clone(), message))
        }
    }
}

/// A module that says nothing of its own.
fn plan(name: String, layers: Vec<Spanned<Layer>>, defaults: &Defaults<'_>) -> Planned {
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
    layers: Vec<Spanned<Layer>>,
    /// The channels of its input, if it says.
    expected: Option<Spanned<usize>>,
}

/// `room` is for how many layers there is.
fn stack(raw: &raw::Module, room: usize) -> Result<Stack, Fault> {
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
            for raw in layers.get_ref() {
                let at = |layer| Spanned::new(raw.span(), layer);
                all.extend(expand(raw.get_ref())?.into_iter().map(at));
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

/// The layer, or the row of blocks, that one entry of `layers` stands for. Only the first block of
/// a row strides.
fn expand(raw: &raw::Layer) -> Result<Vec<Layer>, Fault> {
    let stride = |value| Ok(optional_whole(value, "stride", SIZE)?.unwrap_or(1));
    let row = |blocks, stride, block: &dyn Fn(usize) -> Layer| {
        let blocks = optional_whole(blocks, "blocks", 1..=MAX_BLOCKS)?.unwrap_or(1);
        Ok((0..blocks).map(|at| block(if at == 0 { stride } else { 1 })).collect())
    };
    match raw {
        raw::Layer::Conv(conv) | raw::Layer::Conv1d(conv) => {
            let kernel = whole(&conv.kernel, "kernel", SIZE)?;
            let padding = optional_whole(&conv.padding, "padding", 0..=*SIZE.end())?;
            let padding = padding.unwrap_or(kernel / 2);
            let channels = whole(&conv.channels, "channels", SIZE)?;
            let stride = stride(&conv.stride)?;
            Ok(vec![match raw {
                raw::Layer::Conv1d(_) => Layer::Conv1d { channels, kernel, stride, padding },
                _ => Layer::Conv { channels, kernel, stride, padding },
            }])
        }
        raw::Layer::Gru(gru) => Ok(vec![Layer::Gru {
            channels: whole(&gru.channels, "channels", SIZE)?,
            bptt: gru.bptt.unwrap_or(true),
        }]),
        raw::Layer::Relu(_) => Ok(vec![Layer::Relu]),
        raw::Layer::Basic(raw) => {
            let channels = whole(&raw.channels, "channels", SIZE)?;
            row(&raw.blocks, stride(&raw.stride)?, &|stride| Layer::Basic { channels, stride })
        }
        raw::Layer::Bottleneck(raw) => {
            let planes = whole(&raw.planes, "planes", 1..=*SIZE.end() / EXPANSION)?;
            row(&raw.blocks, stride(&raw.stride)?, &|stride| Layer::Bottleneck { planes, stride })
        }
    }
}
