//! `gimlet export`: writes the trained stack as one safetensors file.

use std::io::Write;

use clap::Args;
use gimlet_store::Unfinished;

use super::arguments::{DeviceArgs, PipelineArgs};
use super::output_file::OutputFileArgs;
use super::printer::Printer;
use crate::{Error, stage};

#[derive(Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    output: OutputFileArgs,
}

pub fn run(args: ExportArgs, printer: &Printer) -> anyhow::Result<()> {
    let at = args.output.check()?;
    let bytes = args.pipeline.with_weights(&DeviceArgs::default(), printer, stage::export)?;
    let temp = Unfinished::create(&at)?;
    temp.file().write_all(&bytes).map_err(|error| Error::io("write", at.path(), error))?;
    args.output.publish(temp)?;
    printer.note(&format!("the stack is in {at}"));
    Ok(())
}
