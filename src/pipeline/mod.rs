//! Pipeline files.
//!
//! A pipeline file is TOML: where samples come from, how they are seen, which modules are trained on them and with
//! which loss. All its keys are described by [`reference`](fn@reference), which `gimlet help pipeline` and
//! `docs/reference/pipeline.md` show.

mod bounds;
mod builder;
mod bytes;
mod data;
mod environment;
pub(crate) mod error_wording;
mod json;
mod loss;
mod modules;
mod name_pattern;
pub(crate) mod origin;
mod overrides;
mod per_split;
mod pooling;
mod preset;
mod python;
mod raw;
mod reference;
mod schedule;
pub mod settings;
mod shapes;
mod slurm;
mod split;
mod store;
mod training;
mod view;

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use toml::de::DeTable;

use self::builder::is_folder_name;
use self::origin::{Fault, Kept, Origin};
use crate::error::Result;

pub use bounds::MOST_THREADS;
pub use builder::Builder;
pub use environment::{DATA_ROOT_VARIABLE, Environment, PYTHON_VARIABLE};
pub use json::json_of;
pub use modules::NewModule;
pub use name_pattern::NamePattern;
pub use per_split::PerSplit;
pub use pooling::Pooling;
pub use reference::{ABOUT, reference};
pub use settings::*;
pub use shapes::Walked;
pub use split::Cut;
pub use view::SampleView;

impl Pipeline {
    /// Reads the pipeline file at `path`. Values of `overrides` (`key=value`) replace those of the file.
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] when the file cannot be read, and the errors of [`Pipeline::parse`].
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self> {
        Self::load_in(path, overrides, &Environment::of_process())
    }

    /// Reads a pipeline file, which may name the losses, layers and schedules of `environment`.
    ///
    /// # Errors
    /// The errors of [`Pipeline::load`].
    pub fn load_in(path: &Path, overrides: &[String], environment: &Environment) -> Result<Self> {
        let text = origin::read_file(path, "pipeline")?;
        Self::parse(&text, path, overrides, environment)
    }

    /// Reads a pipeline from `text`, the content of `file`. Uses neither disk nor network.
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] for anything wrong with the text or an override: the message shows the line
    /// with a caret below the key or value, or names the override.
    pub fn parse(
        text: &str,
        file: &Path,
        overrides: &[String],
        environment: &Environment,
    ) -> Result<Self> {
        let origin = Origin::new(file, text, overrides);
        read(text, file, &origin, environment).map_err(|fault| origin.error(fault))
    }
}

fn read(
    text: &str,
    file: &Path,
    origin: &Origin<'_>,
    environment: &Environment,
) -> Result<Pipeline, Fault> {
    let mut document = DeTable::parse(text).map_err(|error| error_wording::syntax(&error))?;
    overrides::apply(origin, &mut document)?;
    let described = reference(environment);
    let raw = raw::Pipeline::deserialize(toml::de::Deserializer::from(document.clone()))
        .map_err(|error| error_wording::mistyped(&error, document.get_ref(), &described))?;
    let document = document.get_ref();
    let of_activations = raw.data.get_ref().activations.is_some();
    let view = view::resolve(raw.view.as_ref(), of_activations)?;
    let (medium, default_loss) = (view.settings().medium(), view.settings().default_loss());
    let located = |fault: Fault| fault.located(document);
    let python = python::Python::of(&raw.python, file, environment);
    let known = modules::Known { layers: &environment.layers, python: &python };
    let builder = Builder {
        name: name(raw.name, file)?,
        file: file.to_owned(),
        seed: raw.seed.unwrap_or(0),
        data: data::resolve(&raw.data, file, origin, environment, medium)?,
        view,
        modules: modules::resolve(raw.modules.get_ref(), &known, document, &described)
            .map_err(located)?,
        split: raw.split,
        loss: loss::resolve(&environment.losses, default_loss, document, &described)?,
        schedule: schedule::resolve(&environment.schedules, document, &described)
            .map_err(located)?,
        training: raw.training,
        store: store::resolve(raw.store)?,
        probe: raw.probe,
        slurm: slurm::resolve(&raw.slurm)?,
    };
    let (pipeline, origins) = builder.checked().map_err(located)?;
    Ok(Pipeline { text: Kept(Some(Arc::new(origin.kept(origins)))), ..pipeline })
}

/// The `name` that a pipeline gives, else the stem of its file.
fn name(name: Option<String>, file: &Path) -> Result<String, Fault> {
    let stem = || file.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
    name.or_else(|| stem().filter(|stem| is_folder_name(stem))).ok_or_else(|| {
        Fault::of_file("the file's own name cannot name the run directory")
            .hint("give the pipeline a `name`")
    })
}
