//! The `[[modules]]` tables.

use std::iter::{once, repeat_n};
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

use super::bounds::{count, number_of, whole};
use super::error_wording::{mistyped, suggest};
use super::origin::{Fault, find};
use super::preset::{self, Preset};
use super::python::Python;
use super::raw;
use super::reference;
use super::settings::{Activations, Body, Module, PythonStage, Store, Training};
use super::split::{self, Cut};
use crate::layer::{Bounded, Entry, Layer, Layers, MAX_BLOCKS};
use crate::setting::Setting;

/// Names that stages, tables and messages use for something else.
const RESERVED: [&str; 3] = ["ingest", "probe", "untrained"];

/// The largest number of layers of all modules together. A short file can stand for many layers.
const MAX_LAYERS: usize = 4096;

/// A module as a pipeline gives it. A setting that it leaves out is the one for all modules.
#[derive(Debug, Clone, PartialEq)]
pub struct NewModule {
    name: String,
    body: NewBody,
    in_channels: Option<usize>,
    epochs: Option<usize>,
    learning_rate: Option<f64>,
    activations: Option<Activations>,
}

/// What a new module computes.
#[derive(Debug, Clone, PartialEq)]
enum NewBody {
    Layers(Vec<PlacedLayer>),
    Python(PythonStage),
}

/// A layer, and the path of the setting that it comes from.
pub(super) type PlacedLayer = (String, Arc<dyn Layer>);

impl NewModule {
    /// A module of this name with these layers.
    pub fn new(name: impl Into<String>, layers: impl IntoIterator<Item = Arc<dyn Layer>>) -> Self {
        let placed = |(index, layer)| (format!("layers.{index}"), layer);
        let layers = layers.into_iter().enumerate().map(placed);
        Self::of(name.into(), NewBody::Layers(layers.collect()))
    }

    /// A module of this name that is written in PyTorch.
    pub fn in_python(name: impl Into<String>, stage: PythonStage) -> Self {
        Self::of(name.into(), NewBody::Python(stage))
    }

    fn of(name: String, body: NewBody) -> Self {
        Self { name, body, in_channels: None, epochs: None, learning_rate: None, activations: None }
    }

    /// Expects `channels` channels from the module before it, or from the view.
    #[must_use]
    pub fn in_channels(self, channels: usize) -> Self {
        Self { in_channels: Some(channels), ..self }
    }

    /// Trains the module for `epochs` epochs.
    #[must_use]
    pub fn epochs(self, epochs: usize) -> Self {
        Self { epochs: Some(epochs), ..self }
    }

    /// Trains the module at this learning rate.
    #[must_use]
    pub fn learning_rate(self, rate: f64) -> Self {
        Self { learning_rate: Some(rate), ..self }
    }

    /// The channels that the module expects, if it says so.
    pub(super) fn expected(&self) -> Option<usize> {
        self.in_channels
    }

    /// Sets what becomes of the module's activations.
    #[must_use]
    pub fn activations(self, activations: Activations) -> Self {
        Self { activations: Some(activations), ..self }
    }
}

/// A checked module, and where in the pipeline its parts come from.
pub struct Planned {
    pub module: Module,
    /// The paths of its layers, or of the stage in PyTorch that it is.
    pub origins: Vec<String>,
    /// The path of its own `epochs`, where it has them.
    pub own_epochs: Option<String>,
}

/// Checks the modules, and that each expects the channels that the module before it gives; the first one reads
/// `channels`, where that is known. Cuts their layers into other modules where there is a `split`.
pub fn plan(
    modules: Vec<NewModule>,
    split: Option<&Cut>,
    (training, store): (&Training, &Store),
    channels: Option<usize>,
) -> Result<Vec<Planned>, Fault> {
    if modules.is_empty() {
        return Err(Fault::of("modules", "a pipeline needs at least one module"));
    }
    let planned_of = |name, origins, body| {
        let Training { epochs, learning_rate, .. } = *training;
        let module = Module { name, body, epochs, learning_rate, activations: store.activations };
        Planned { module, origins, own_epochs: None }
    };
    let planned = |name, layers: Vec<PlacedLayer>| {
        let (origins, layers) = layers.into_iter().unzip();
        planned_of(name, origins, Body::Layers(layers))
    };
    let names: Vec<_> = modules.iter().map(|module| module.name.clone()).collect();
    let mut all = Vec::new();
    let mut all_layers: Vec<PlacedLayer> = Vec::new();
    let mut before = ("the view".to_owned(), channels);
    let mut room = MAX_LAYERS;
    for (index, new) in modules.into_iter().enumerate() {
        let path = format!("modules.{index}");
        check_name(&new.name, &names[..index])
            .map_err(|wrong| Fault::of(format!("{path}.name"), wrong))?;
        check_own_settings(&new, &path, split.is_some())?;
        let NewModule { name, body, in_channels, epochs, learning_rate, activations } = new;
        // What a stage in PyTorch gives is known after a dry run.
        if let (Some(expected), Some(given)) = (in_channels, before.1)
            && expected != given
        {
            let message =
                format!("module `{name}` expects {expected} channels, {} gives {given}", before.0);
            let fault = Fault::of(format!("{path}.in_channels"), message);
            return Err(fault.or_of(format!("{path}.preset")));
        }
        let called = format!("`{name}`");
        let mut made = match body {
            NewBody::Python(_) if split.is_some() => {
                let message =
                    format!("`split` cuts layers, and module `{name}` is written in PyTorch");
                return Err(Fault::of("split", message).hint("leave `split` out"));
            }
            NewBody::Python(stage) => {
                planned_of(name, vec![format!("{path}.python")], Body::Python(stage))
            }
            NewBody::Layers(layers) => {
                let absolute = |(origin, layer)| (format!("{path}.{origin}"), layer);
                let layers: Vec<_> = layers.into_iter().map(absolute).collect();
                check_layers(&name, &path, &layers, room)?;
                room -= layers.len();
                if split.is_some() {
                    let read = before.1.or(in_channels);
                    let fold = |c| layers.iter().fold(c, |c, (_, layer)| layer.out_channels(c));
                    before = (called, read.map(fold));
                    all_layers.extend(layers);
                    continue;
                }
                planned(name, layers)
            }
        };
        before = (called, made.module.out_channels(before.1.or(in_channels)));
        let module = &mut made.module;
        module.epochs = epochs.unwrap_or(module.epochs);
        module.learning_rate = learning_rate.unwrap_or(module.learning_rate);
        module.activations = activations.unwrap_or(module.activations);
        made.own_epochs = epochs.map(|_| format!("{path}.epochs"));
        all.push(made);
    }
    if let Some(split) = split {
        let cut = split::cut(all_layers, split)?.into_iter().enumerate();
        all = cut.map(|(index, layers)| planned(format!("m{index}"), layers)).collect();
    }
    all.iter().try_for_each(check_order)?;
    Ok(all)
}

/// Fails when a module has no layers, or one that is out of its bounds, or more than `room`.
fn check_layers(name: &str, path: &str, layers: &[PlacedLayer], room: usize) -> Result<(), Fault> {
    if layers.is_empty() {
        let message = format!("module `{name}` has no layer");
        return Err(Fault::of(format!("{path}.layers"), message));
    }
    layers.iter().try_for_each(check_layer)?;
    match layers.get(room) {
        None => Ok(()),
        Some((origin, _)) => {
            let message = format!("the modules have more than {MAX_LAYERS} layers in all");
            Err(Fault::of(origin, message))
        }
    }
}

/// Fails unless a context is the last layer of its module: the module's loss predicts with it.
fn check_order(planned: &Planned) -> Result<(), Fault> {
    let (layers, name) = (planned.module.layers(), &planned.module.name);
    let context = layers.iter().position(|layer| layer.is_context());
    match context.filter(|place| place + 1 < layers.len()) {
        None => Ok(()),
        Some(place) => {
            let context = layers[place].name();
            let message =
                format!("a {context} is the last layer of its module, and `{name}` goes on");
            Err(Fault::of(&planned.origins[place], message))
        }
    }
}

fn check_name(name: &str, earlier: &[String]) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(allowed) {
        Err(format!("a module's name has letters, digits, `-` and `_`, which `{name}` does not"))
    } else if RESERVED.contains(&name) {
        Err(format!("a module cannot be called `{name}`: the name has another meaning"))
    } else if earlier.iter().any(|it| it == name) {
        Err(format!("two modules are called `{name}`"))
    } else {
        Ok(())
    }
}

/// Fails when a number is out of its bounds, or a module that is cut has settings of its own.
fn check_own_settings(new: &NewModule, path: &str, is_cut: bool) -> Result<(), Fault> {
    let settings = reference::modules();
    count(&settings, &format!("{path}.in_channels"), new.in_channels)?;
    let own = [
        ("training", "epochs", new.epochs.is_some()),
        ("training", "learning_rate", new.learning_rate.is_some()),
        ("store", "activations", new.activations.is_some()),
    ];
    if let Some((table, key, _)) = own.into_iter().find(|(.., given)| is_cut && *given) {
        let message = format!("module `{}` is cut up by `split`: it has no `{key}`", new.name);
        return Err(
            Fault::of(format!("{path}.{key}"), message).hint(format!("set `{table}.{key}`"))
        );
    }
    count(&settings, &format!("{path}.epochs"), new.epochs)?;
    let rate = format!("{path}.learning_rate");
    new.learning_rate.map_or(Ok(()), |it| number_of(&settings, &rate, it))
}

fn check_layer((origin, layer): &PlacedLayer) -> Result<(), Fault> {
    layer.bounds().iter().try_for_each(|setting| check_setting(origin, layer.as_ref(), setting))
}

fn check_setting(origin: &str, layer: &dyn Layer, setting: &Bounded) -> Result<(), Fault> {
    let Bounded { key, value, bounds } = setting;
    whole(&format!("{origin}.{}.{key}", layer.name()), *value, bounds)
}

/// What modules can be made of.
pub struct Known<'a> {
    pub layers: &'a Layers,
    pub python: &'a Python,
}

/// Reads the tables of `document`.
pub fn resolve(
    modules: &[Spanned<raw::Module>],
    known: &Known<'_>,
    document: &DeTable<'_>,
    settings: &[Setting],
) -> Result<Vec<NewModule>, Fault> {
    let mut all: Vec<NewModule> = Vec::new();
    let mut room = MAX_LAYERS;
    for (index, raw) in modules.iter().enumerate() {
        let raw = raw.get_ref();
        let mut left = Some(room);
        let (body, made_for) = match &raw.python {
            Some(named) => (NewBody::Python(python_stage(raw, named, known.python)?), None),
            None => {
                refuse_python_keys(raw)?;
                let Stack { layers, made_for } = stack(raw, room, &|origin| {
                    let path = format!("modules.{index}.{origin}");
                    let entry = read(&path, raw.name.get_ref(), known.layers, document, settings)?;
                    expand(entry, &path)
                })?;
                left = room.checked_sub(layers.len());
                (NewBody::Layers(layers), made_for)
            }
        };
        all.push(NewModule {
            name: raw.name.get_ref().clone(),
            body,
            in_channels: raw.in_channels.or(made_for),
            epochs: raw.epochs,
            learning_rate: raw.learning_rate,
            activations: raw.activations,
        });
        // There are too many layers; `plan` reports it.
        let Some(left) = left else { break };
        room = left;
    }
    Ok(all)
}

/// Reads a module that is written in PyTorch. It has no layers.
fn python_stage(
    raw: &raw::Module,
    named: &Spanned<String>,
    python: &Python,
) -> Result<PythonStage, Fault> {
    let name = raw.name.get_ref();
    let other = match raw {
        raw::Module { layers: Some(_), .. } => "`layers`",
        raw::Module { preset: Some(_), .. } => "a `preset`",
        raw::Module { width: Some(_), .. } => "a `width`",
        _ => return python.stage(raw, named),
    };
    Err(Fault::at(named.span(), format!("module `{name}` has both {other} and `python`")))
}

/// Fails when a module with layers has a key that only a module in PyTorch has.
fn refuse_python_keys(raw: &raw::Module) -> Result<(), Fault> {
    let given = [
        ("arguments", raw.arguments.as_ref().map(Spanned::span)),
        ("key", raw.key.as_ref().map(Spanned::span)),
    ];
    match given.into_iter().find_map(|(key, span)| Some((key, span?))) {
        None => Ok(()),
        Some((key, span)) => {
            let message = format!("`{key}` is for modules in PyTorch, which have `python`");
            Err(Fault::at(span, message))
        }
    }
}

/// The layers of one module as its table has them.
struct Stack {
    layers: Vec<PlacedLayer>,
    /// The channels that a preset is made for.
    made_for: Option<usize>,
}

/// Gives the layers of an entry of this name.
type Expand<'a> = dyn Fn(&str) -> Result<Vec<Arc<dyn Layer>>, Fault> + 'a;

/// Reads the layers of a module, and stops after more than `room` of them. `expand` gives the layers of an entry.
fn stack(raw: &raw::Module, room: usize, expand: &Expand<'_>) -> Result<Stack, Fault> {
    let name = raw.name.get_ref();
    match (&raw.layers, &raw.preset) {
        (Some(_), Some(preset)) => Err(Fault::at(
            preset.span(),
            format!("module `{name}` has both `layers` and a `preset`"),
        )),
        (None, None) => Err(Fault::at(
            raw.name.span(),
            format!("module `{name}` has neither `layers` nor a `preset` nor `python`"),
        )),
        (Some(layers), None) => {
            if let Some(width) = &raw.width {
                let message = "`width` is the width of a `preset`: `layers` have their own";
                return Err(Fault::at(width.span(), message));
            }
            let mut all = Vec::new();
            for index in 0..layers.len() {
                let origin = format!("layers.{index}");
                all.extend(expand(&origin)?.into_iter().map(|layer| (origin.clone(), layer)));
                if all.len() > room {
                    break;
                }
            }
            Ok(Stack { layers: all, made_for: None })
        }
        (None, Some(preset)) => preset_stack(raw, preset),
    }
}

fn preset_stack(raw: &raw::Module, name: &Spanned<String>) -> Result<Stack, Fault> {
    let width = raw::optional_whole(&raw.width, &reference::modules(), "modules.width")?;
    let Some(found) = Preset::find(name.get_ref(), width.unwrap_or(preset::WIDTH)) else {
        let fault = Fault::at(name.span(), format!("unknown preset `{}`", name.get_ref()));
        return Err(match suggest(name.get_ref(), &preset::NAMES) {
            Some(hint) => fault.hint(hint),
            None => fault,
        });
    };
    let layers = found.layers.into_iter().map(|layer| ("preset".to_owned(), layer)).collect();
    Ok(Stack { layers, made_for: found.in_channels })
}

/// The entry of `layers` at `path`, in the table of `module`.
fn read(
    path: &str,
    module: &str,
    known: &Layers,
    document: &DeTable<'_>,
    described: &[Setting],
) -> Result<Entry, Fault> {
    // `raw` has checked that the table has one key.
    let table = find(document, path).and_then(|it| it.get_ref().as_table()?.iter().next());
    let Some((name, settings)) = table else {
        return Err(Fault::of(
            path,
            format!("a layer in module `{module}` must be a table with one key"),
        ));
    };
    let Some(entry) = known.read(name.get_ref(), settings.clone()) else {
        let message = format!("unknown layer `{}` in module `{module}`", name.get_ref());
        let fault = Fault::at(name.span(), message);
        let known: Vec<_> = known.names().collect();
        return Err(suggest(name.get_ref(), &known).into_iter().fold(fault, Fault::hint));
    };
    entry.map_err(|error| mistyped(&error, document, described))
}

/// The layer or the blocks that the entry at `path` stands for.
fn expand(Entry { first, next, blocks }: Entry, path: &str) -> Result<Vec<Arc<dyn Layer>>, Fault> {
    let row = Bounded { key: "blocks", value: blocks, bounds: 1..=MAX_BLOCKS };
    check_setting(path, first.as_ref(), &row)?;
    Ok(once(first).chain(repeat_n(next, blocks - 1)).collect())
}
