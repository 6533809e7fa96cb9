//! Copies the pipelines of this repository, which the program carries with it.

use std::path::Path;

use serde::Serialize;

use super::file::{root_from, string};
use crate::pipeline::{Environment, Pipeline, Source, Split};
use crate::{Error, Kind, Result, source};

/// A pipeline of this repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Recipe {
    /// Its name, that of its file.
    pub name: &'static str,
    /// Its text.
    #[serde(skip)]
    pub text: &'static str,
}

macro_rules! recipes {
    ($($name:literal),* $(,)?) => {
        &[$(Recipe { name: $name, text: include_str!(concat!("../../pipelines/", $name, ".toml")) }),*]
    };
}

/// All pipelines in `pipelines/`.
pub const RECIPES: &[Recipe] = recipes![
    "quickstart",
    "cifar10",
    "spoken-digits",
    "stl10",
    "stl10-resnet34",
    "librispeech",
    "larger-than-memory",
];

impl Recipe {
    /// Finds a recipe by its name.
    ///
    /// # Errors
    /// [`Kind::Usage`] when there is none; the hint names all.
    pub fn named(name: &str) -> Result<Self> {
        RECIPES.iter().find(|it| it.name == name).copied().ok_or_else(|| {
            let all: Vec<&str> = RECIPES.iter().map(|it| it.name).collect();
            Error::new(Kind::Usage, format!("there is no recipe `{name}`"))
                .hint(format!("the recipes are {}", all.join(", ")))
        })
    }

    /// What it is, from the first sentence of its comment.
    pub fn about(&self) -> String {
        let lines = self.text.lines().take_while(|it| it.starts_with('#'));
        let prose =
            lines.filter(|it| !it.starts_with("#:")).map(|it| it.trim_start_matches('#').trim());
        let prose: Vec<&str> = prose.take_while(|it| !it.is_empty()).collect();
        let prose = prose.join(" ");
        let mut ends = prose.match_indices(". ").map(|(place, _)| place);
        let end = ends.find(|it| !prose[..*it].ends_with(" al")).unwrap_or(prose.len());
        prose[..end].trim_end_matches(['.', ':']).to_owned()
    }

    /// The recipe as `file`, reading from the folder `data` if one is given.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the recipe reads files and they are not where the copy would look for them, or when it
    /// reads none and a folder is given.
    pub fn copied(
        &self,
        file: &Path,
        data: Option<&Path>,
        environment: &Environment,
    ) -> Result<String> {
        let mut text = self.text.replace("cargo run --release -- run", "gimlet run");
        text = text.replace(&format!("pipelines/{}.toml", self.name), &file.display().to_string());
        let parsed = Pipeline::parse(&text, file, &[], environment)?;
        let Source::Files(files) = &parsed.data.source else {
            return match data {
                None => Ok(text),
                Some(data) => {
                    let message =
                        format!("`{}` reads no data, and `{}` is given", self.name, data.display());
                    Err(Error::new(Kind::Usage, message).hint("leave out the folder"))
                }
            };
        };
        if let Some(data) = data {
            let root = string(&root_from(file, data).to_string_lossy());
            let root = format!(
                "[data]\n# Paths start from here, whatever GIMLET_DATA says.\nroot = {root}\n"
            );
            text = text.replacen("[data]\n", &root, 1);
            text = without_variable(&text);
        }
        let pipeline = Pipeline::parse(&text, file, &[], environment)?;
        for split in Split::ALL {
            if let Err(error) = source::open(&pipeline.data, split, 0) {
                let (name, train) = (self.name, files.train.join("`, `"));
                let hint = format!(
                    "`{name}` reads `{train}`: name the folder that holds it, as in `gimlet init --from {name} \
                     FOLDER`; the comment of the recipe says where the data come from"
                );
                return Err(Error::new(Kind::Usage, error.to_string()).hint(hint));
            }
        }
        Ok(text)
    }
}

/// The text with commands that do not set `GIMLET_DATA`.
fn without_variable(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix("#   GIMLET_DATA=") {
        Some(rest) => format!("#   {}\n", rest.split_once(' ').map_or("", |(_, command)| command)),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}
