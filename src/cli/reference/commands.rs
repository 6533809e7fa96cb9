//! The page of commands: each with its help, exactly as printed.

use std::fmt::Write;

use clap::Command;

use super::pages::GENERATED;

/// The help of a command, as `gimlet help COMMAND` prints it; `None` where there is no command of this name.
pub fn help(program: &mut Command, name: &str) -> Option<String> {
    program.build();
    program.find_subcommand(name)?;
    // What the flag shows: clap chooses between a short and a long form.
    let asked = program.clone().try_get_matches_from([program.get_name(), name, "--help"]);
    asked.err().map(|help| trimmed(&help.render().to_string()))
}

/// The page.
pub fn page(mut program: Command) -> String {
    program.build();
    let mut page = format!("# Commands\n\n{GENERATED}\n\n");
    let _ = write!(page, "```text\n{}\n```\n", trimmed(&program.render_long_help().to_string()));
    let names: Vec<String> = program
        .get_subcommands()
        .filter(|it| !it.is_hide_set())
        .map(|it| it.get_name().to_owned())
        .collect();
    for name in names {
        let help = help(&mut program, &name).unwrap_or_default();
        let _ = write!(page, "\n## `gimlet {name}`\n\n```text\n{help}\n```\n");
    }
    page
}

/// Text without spaces at the ends of lines, and without empty lines at its end.
fn trimmed(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}
