//! `gimlet help`: the help of a command, or the keys of pipeline files and sweep files.

use clap::{Args, Command};
use serde_json::json;

use super::arguments::JsonArgs;
use super::printer::Printer;
use super::reference::{self, Document};
use crate::pipeline::error_wording::suggest;
use crate::pipeline::{self, Environment};
use crate::setting::{Form, Setting, find};
use crate::{Error, Kind, sweep};

#[derive(Args)]
pub struct HelpArgs {
    /// A command; or `pipeline` or `sweep`, for the keys of these files
    topic: Option<String>,

    /// A table of the file, or a key: `training`, `training.epochs`, `modules.layers.conv`
    key: Option<String>,

    #[command(flatten)]
    output: JsonArgs,
}

pub fn run(args: HelpArgs, mut program: Command, printer: &Printer) -> anyhow::Result<()> {
    let Some(topic) = args.topic.as_deref() else {
        return printer.result(program.render_long_help().to_string().trim_end());
    };
    let (about, settings, has_steps) = match topic {
        "pipeline" => (pipeline::ABOUT, pipeline::reference(&Environment::default()), true),
        "sweep" => (sweep::ABOUT, sweep::reference(), false),
        command => return of_command(command, &args, program, printer),
    };
    let shown = match &args.key {
        Some(key) => named(&settings, key, topic)?,
        None => settings.iter().collect(),
    };
    if args.output.json {
        let all: Vec<Document<'_>> = shown.into_iter().map(Document::of).collect();
        return printer.json(&json!({ "settings": all }));
    }
    if args.key.is_none() {
        if let Some(help) = reference::help(&mut program, topic) {
            printer.result(&format!("{help}\n"))?;
        }
        let about = reference::about(about);
        let more = format!("`gimlet help {topic} KEY` shows one key, or the keys of a table.");
        printer.result(&format!("{about}\n\n{more}\n"))?;
    }
    printer.result(&reference::text(shown, has_steps))
}

fn of_command(
    command: &str,
    args: &HelpArgs,
    mut program: Command,
    printer: &Printer,
) -> anyhow::Result<()> {
    let Some(help) = reference::help(&mut program, command) else {
        let mut known: Vec<_> = program.get_subcommands().map(|it| it.get_name()).collect();
        known.push("pipeline");
        let error = Error::new(Kind::Usage, format!("there is no help for `{command}`"));
        let hint = suggest(command, &known).unwrap_or_default();
        return Err(error.hint(hint).into());
    };
    if args.key.is_some() || args.output.json {
        let message = "keys and `--json` are for `gimlet help pipeline` and `gimlet help sweep`";
        return Err(Error::new(Kind::Usage, message)
            .hint(format!("leave them out: `gimlet help {command}`"))
            .into());
    }
    printer.result(&help)
}

/// The setting called `key` with all below it, else all settings whose last part is `key`.
fn named<'s>(settings: &'s [Setting], key: &str, topic: &str) -> crate::Result<Vec<&'s Setting>> {
    let key = key.trim_matches(['[', ']']);
    if let Some(found) = find(settings, key) {
        let below = format!("{}.", found.name);
        let is_leaf = matches!(found.form, Form::Text | Form::Flag);
        let all = settings.iter().filter(|it| it.name.starts_with(&below) && !is_leaf);
        return Ok(std::iter::once(found).chain(all).collect());
    }
    let all: Vec<&Setting> = settings.iter().filter(|it| it.key() == key).collect();
    if !all.is_empty() {
        return Ok(all);
    }
    let names: Vec<&str> = settings.iter().map(|it| it.name.as_str()).collect();
    let hint = suggest(key, &names).filter(|it| !it.starts_with("known here"));
    let all = format!("`gimlet help {topic}` shows all keys");
    Err(Error::new(Kind::Usage, format!("a {topic} file has no key `{key}`"))
        .hint(hint.unwrap_or(all)))
}
