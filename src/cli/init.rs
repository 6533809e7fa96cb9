//! `gimlet init`: writes a pipeline for data that it looks at, or copies a recipe.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::arguments::JsonArgs;
use super::output_file::OutputFileArgs;
use super::printer::Printer;
use crate::init::file::wrapped;
use crate::init::recipe::{RECIPES, Recipe};
use crate::init::{Wish, Written, init};
use crate::pipeline::Environment;
use crate::{Error, Kind};

/// Characters of a line.
const WIDTH: usize = 80;

#[derive(Args)]
pub struct InitArgs {
    /// A folder of images or recordings, Parquet files or a folder of them, or MNIST, CIFAR or STL-10 as downloaded;
    /// with `--from`, the folder that holds the recipe's data
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// The test split, where names of files and folders do not tell it
    #[arg(long, value_name = "PATH")]
    test: Option<PathBuf>,

    /// The name of the pipeline [default: that of the folder or file]
    #[arg(long)]
    name: Option<String>,

    /// The file to write [default: the name with `.toml`, in the current folder]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Minutes that a run may take, as `gimlet plan` estimates it
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = minutes)]
    minutes: f64,

    /// Write it also where there is a file already
    #[arg(long)]
    force: bool,

    /// Copy this recipe instead; `list` names all
    #[arg(long, value_name = "RECIPE", conflicts_with_all = ["test", "name", "minutes"])]
    from: Option<String>,

    /// Name the recipes that `--from` copies
    #[arg(long, conflicts_with_all = ["from", "paths", "test", "name", "output", "minutes", "force"])]
    list: bool,

    #[command(flatten)]
    json: JsonArgs,
}

pub fn run(args: InitArgs, printer: &Printer) -> anyhow::Result<()> {
    let InitArgs { paths, test, name, output, minutes, force, from, list, json } = args;
    match from {
        _ if list => list_recipes(json.json, printer),
        Some(recipe) if recipe == "list" => list_recipes(json.json, printer),
        Some(recipe) => copy(&recipe, &paths, output, force, json.json, printer),
        None if paths.is_empty() => {
            Err(Error::new(Kind::Usage, "there are no data to look at").hint(
                "name a folder of images or recordings, or Parquet files: `gimlet init FOLDER`; or copy a recipe: \
                 `gimlet init --from quickstart`",
            ).into())
        }
        None => {
            let wish = Wish { paths, test, name, file: output, minutes };
            let location = OutputFileArgs::new(wish.target()?.1, force).check()?;
            let written = init(&wish)?;
            location.replace(written.text.as_bytes())?;
            match json.json {
                true => printer.json(&written),
                false => printer.result(&shown(&written)),
            }
        }
    }
}

/// What was seen and chosen, and the next commands.
fn shown(written: &Written) -> String {
    let mut lines = Vec::new();
    for (about, said) in written.seen_lines.iter().chain(&written.chosen_lines) {
        lines.extend(wrapped(about, said, WIDTH));
    }
    lines.extend(written.notes.iter().flat_map(|note| wrapped("note", note, WIDTH)));
    let file = quoted(&written.file);
    lines.push(format!("\nwrote {file}; next:\n  gimlet plan {file}\n  gimlet run {file}"));
    lines.join("\n")
}

fn copy(
    recipe: &str,
    paths: &[PathBuf],
    output: Option<PathBuf>,
    force: bool,
    json: bool,
    printer: &Printer,
) -> anyhow::Result<()> {
    let recipe = Recipe::named(recipe)?;
    if let [_, second, ..] = paths {
        let message = format!("`{}` is a second folder of data", second.display());
        return Err(Error::new(Kind::Usage, message)
            .hint("name the one that holds the recipe's data")
            .into());
    }
    let file = output.unwrap_or_else(|| PathBuf::from(format!("{}.toml", recipe.name)));
    let location = OutputFileArgs::new(file.clone(), force).check()?;
    let data = paths.first().map(PathBuf::as_path);
    let text = recipe.copied(&file, data, &Environment::of_process())?;
    location.replace(text.as_bytes())?;
    match json {
        true => {
            printer.json(&json!({ "recipe": recipe.name, "about": recipe.about(), "file": file }))
        }
        false => {
            let shown = quoted(&file);
            printer.result(&format!(
                "wrote {shown}: {}; next:\n  gimlet plan {shown}\n  gimlet run {shown}",
                recipe.about()
            ))
        }
    }
}

fn list_recipes(json: bool, printer: &Printer) -> anyhow::Result<()> {
    if json {
        let all: Vec<_> =
            RECIPES.iter().map(|it| json!({ "name": it.name, "about": it.about() })).collect();
        return printer.json(&json!({ "recipes": all }));
    }
    let lines: Vec<String> =
        RECIPES.iter().map(|it| format!("{:<19} {}", it.name, it.about())).collect();
    printer.result(&lines.join("\n"))
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    shlex::try_quote(&text).map_or_else(|_| text.to_string(), |it| it.into_owned())
}

fn minutes(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    number
        .filter(|it| *it > 0.0 && it.is_finite())
        .ok_or_else(|| "it is a number of minutes above 0".to_owned())
}
