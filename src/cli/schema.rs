//! `gimlet schema`: the JSON schema of pipeline files or sweep files.

use clap::Args;

use super::printer::Printer;
use super::reference;

#[derive(Args)]
pub struct SchemaArgs {
    /// Print the schema of sweep files
    #[arg(long)]
    sweep: bool,
}

pub fn run(args: SchemaArgs, printer: &Printer) -> anyhow::Result<()> {
    match args.sweep {
        true => printer.json(&reference::sweep_schema()),
        false => printer.json(&reference::pipeline_schema()),
    }
}
