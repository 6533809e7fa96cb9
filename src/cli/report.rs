//! `gimlet report`: writes one page that shows what was learned.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::arguments::{JsonArgs, PipelineArgs};
use super::interrupt;
use super::printer::Printer;
use super::render::Renderer;
use crate::report::{self, Options, RunView, quoted};
use crate::{Error, Kind, Result};

#[derive(Args)]
pub struct ReportArgs {
    #[command(flatten)]
    pub pipeline: PipelineArgs,

    #[command(flatten)]
    pub options: OptionArgs,

    #[command(flatten)]
    pub output: JsonArgs,
}

/// How much a report shows.
#[derive(Args)]
pub struct OptionArgs {
    /// Directory of a run that trained the same layers end to end [default: the run's own]
    #[arg(long, value_name = "DIR")]
    pub twin: Option<PathBuf>,

    /// Channels to show of each module, such as `0,5,17` [default: those that vary most]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub channels: Option<Vec<usize>>,

    /// Points of a map, at most
    #[arg(long, value_name = "N", default_value_t = Options::default().points)]
    pub points: usize,
}

impl Default for OptionArgs {
    fn default() -> Self {
        let Options { twin, channels, points } = Options::default();
        Self { twin, channels, points }
    }
}

pub fn run(args: ReportArgs, printer: &Printer) -> anyhow::Result<()> {
    let page = args.pipeline.with_seen(args.options, printer, report::write)?;
    if args.output.json {
        return printer.json(&json!({ "page": page }));
    }
    printer.result(&page.display().to_string())
}

impl PipelineArgs {
    /// Calls `look` with the run as it is on disk.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when there is no run; the errors of `look`.
    pub fn with_seen<T>(
        &self,
        options: OptionArgs,
        printer: &Printer,
        look: impl FnOnce(&RunView<'_>) -> Result<T>,
    ) -> Result<T> {
        let (pipeline, standing) = self.look(printer)?;
        if !standing.dir.is_run()? {
            let folder = standing.dir.path().display();
            let message = format!("there is no run in `{folder}` yet");
            return Err(Error::new(Kind::NotReady, message).hint("run `gimlet run` first"));
        }
        let renderer = Renderer::new(printer);
        let stages = standing.status()?;
        let OptionArgs { twin, channels, points } = options;
        look(&RunView {
            pipeline: &pipeline,
            standing: &standing,
            stages,
            progress: &renderer,
            stop: interrupt::stop(),
            arguments: self.as_typed(),
            elsewhere: self.pipeline_as_typed(),
            options: Options { twin, channels, points },
        })
    }

    /// The pipeline and its overrides, as typed.
    fn pipeline_as_typed(&self) -> String {
        let mut words = vec![quoted(&self.pipeline.display().to_string())];
        words.extend(self.overrides.iter().map(|it| format!("--set {}", quoted(it))));
        words.join(" ")
    }

    /// The pipeline, its overrides and the run's directory, as typed.
    pub fn as_typed(&self) -> String {
        let pipeline = self.pipeline_as_typed();
        match &self.run_dir {
            Some(dir) => format!("{pipeline} --run-dir {}", quoted(&dir.display().to_string())),
            None => pipeline,
        }
    }
}
