//! Modules that are written in PyTorch, as a pipeline file names them.

use std::path::{Path, PathBuf};

use toml::Spanned;

use super::environment::Environment;
use super::origin::Fault;
use super::raw;
use super::settings::PythonStage;
use crate::folder::folder_of;

/// The Python where neither the environment nor the pipeline names one.
const INTERPRETER: &str = "python3";

/// Which Python runs modules, and where their files lie.
pub struct Python {
    interpreter: PathBuf,
    folder: PathBuf,
}

impl Python {
    /// What holds for the pipeline `file`, which has the table `raw`. The environment wins: it knows the machine.
    pub fn of(raw: &raw::Python, file: &Path, environment: &Environment) -> Self {
        let folder = folder_of(file);
        // A name alone is looked up in `PATH`.
        let of_file = raw.interpreter.as_ref().map(|it| match it.contains(['/', '\\']) {
            true => folder.join(it),
            false => PathBuf::from(it),
        });
        let interpreter = environment.python.clone().or(of_file);
        Self { interpreter: interpreter.unwrap_or_else(|| INTERPRETER.into()), folder }
    }

    /// The stage that a module names as `FILE:CLASS`.
    pub fn stage(&self, raw: &raw::Module, named: &Spanned<String>) -> Result<PythonStage, Fault> {
        let name = raw.name.get_ref();
        let (place, class) = named.get_ref().rsplit_once(':').unwrap_or((named.get_ref(), ""));
        let is_identifier = |it: &str| {
            let first = it.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
            first && it.chars().all(|c| c.is_alphanumeric() || c == '_')
        };
        if !place.ends_with(".py") || !is_identifier(class) {
            let message = format!("`python` of module `{name}` names no class of a file");
            let hint = "write it as `python = \"stages.py:Block\"`: a file, a colon and a class";
            return Err(Fault::at(named.span(), message).hint(hint));
        }
        let arguments = match &raw.arguments {
            None => serde_json::Map::new(),
            Some(given) => match serde_json::to_value(given.get_ref()) {
                Ok(serde_json::Value::Object(arguments)) if is_plain(given.get_ref()) => arguments,
                _ => {
                    let message = format!(
                        "`arguments` of module `{name}` has a date, or a number that is not finite"
                    );
                    return Err(Fault::at(given.span(), message).hint("write it as a string"));
                }
            },
        };
        Ok(PythonStage {
            place: place.to_owned(),
            file: self.folder.join(place),
            folder: self.folder.clone(),
            class: class.to_owned(),
            arguments,
            key: raw.key.as_ref().map(|it| *it.get_ref()).unwrap_or_default(),
            interpreter: self.interpreter.clone(),
        })
    }
}

/// Whether all values are such as JSON has.
fn is_plain(table: &toml::Table) -> bool {
    fn plain(value: &toml::Value) -> bool {
        match value {
            toml::Value::Datetime(_) => false,
            toml::Value::Float(number) => number.is_finite(),
            toml::Value::Array(values) => values.iter().all(plain),
            toml::Value::Table(table) => is_plain(table),
            _ => true,
        }
    }
    table.values().all(plain)
}
