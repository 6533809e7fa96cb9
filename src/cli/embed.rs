//! `gimlet embed`: runs a trained stack on new images or sounds.

use clap::Args;
use gimlet_store::Unfinished;

use super::arguments::{DeviceArgs, PipelineArgs};
use super::output_file::OutputFileArgs;
use super::printer::Printer;
use super::session;
use crate::source::{self, Columns};
use crate::stage;

#[derive(Args)]
pub struct EmbedArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    output: OutputFileArgs,

    /// A Parquet file, a glob of them, or a folder of images or sounds; for a pipeline of activations, a dataset or files
    #[arg(short, long, value_name = "DATA")]
    input: String,

    /// The last module to run [default: the last there is]
    #[arg(long, value_name = "NAME")]
    module: Option<String>,

    /// The column of images or sounds of Parquet files [default: the pipeline's]
    #[arg(long, visible_alias = "audio", value_name = "COLUMN")]
    image: Option<String>,

    /// The column of their labels, if they have it [default: the pipeline's]
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
}

pub fn run(args: EmbedArgs, printer: &Printer) -> anyhow::Result<()> {
    let at = args.output.check()?;
    args.pipeline.with_weights(&args.device, printer, |run| {
        let last = match &args.module {
            Some(name) => session::module(run.pipeline, name)?,
            None => run.pipeline.modules.len() - 1,
        };
        let (source, warning) = match run.pipeline.view.settings().medium() {
            Some(medium) => {
                let mut columns = Columns::of(run.pipeline, medium);
                columns.column = args.image.clone().unwrap_or(columns.column);
                columns.is_named = args.label.is_some();
                columns.label = args.label.clone().or(columns.label);
                source::open_place(&args.input, columns)?
            }
            None => {
                let (column, label) = (args.image.clone(), args.label.as_deref());
                (source::open_activations(&args.input, column, label)?, None)
            }
        };
        warning.iter().for_each(|it| printer.warn(it));
        let temp = Unfinished::create(&at)?;
        stage::embed(run, source.as_ref(), last, temp.file())?;
        args.output.publish(temp)
    })?;
    printer.note(&format!("the embeddings are in {at}"));
    Ok(())
}
