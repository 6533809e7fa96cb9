//! `gimlet man`: pages for `man`, one for the program and one for each command.

use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use gimlet_store::Store;

use super::Cli;
use super::printer::Printer;
use crate::{Error, Result};

#[derive(Args)]
pub struct ManArgs {
    /// Write all pages into this directory, such as `~/.local/share/man/man1`, in place of printing the first
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub fn run(args: ManArgs, printer: &Printer) -> anyhow::Result<()> {
    // Built, commands have the names of their pages, such as `gimlet-run`.
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let Some(dir) = args.dir else { return printer.result(page(&program)?.trim_end()) };
    let commands = program.get_subcommands().filter(|it| !it.is_hide_set());
    let mut count = 0;
    for command in std::iter::once(&program).chain(commands) {
        write(&dir, command)?;
        count += 1;
    }
    printer.note(&format!("{count} pages are in {}", dir.display()));
    Ok(())
}

/// The page of a command.
fn page(command: &Command) -> Result<String> {
    let mut page = Vec::new();
    let cannot = |error| Error::failed(format!("could not lay out a page: {error}"));
    Man::new(command.clone()).render(&mut page).map_err(cannot)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn write(dir: &Path, command: &Command) -> Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let dir = Store::new().locate(dir);
    dir.create_folder()?;
    dir.join(format!("{name}.1")).replace(page(command)?.as_bytes())?;
    Ok(())
}
