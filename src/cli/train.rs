//! `gimlet train`: trains one module.

use clap::Args;

use super::arguments::{DeviceArgs, PipelineArgs, RoundArgs, WaitArgs};
use super::interrupt::RuntimeArgs;
use super::printer::Printer;
use super::render::{Profiles, Renderer};
use super::session;
use crate::stage::Step;

#[derive(Args)]
pub struct TrainArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    runtime: RuntimeArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    round: RoundArgs,
    /// The module's name
    module: String,
    /// Print where the time and the memory of a step went
    #[arg(long)]
    profile: bool,
    /// Print the profile as a JSON document
    #[arg(long, requires = "profile")]
    json: bool,
}

pub fn run(args: TrainArgs, printer: &Printer) -> anyhow::Result<()> {
    args.runtime.begin();
    let profiles = match (args.profile, args.json) {
        (false, _) => Profiles::None,
        (true, false) => Profiles::Tables,
        (true, true) => Profiles::Json,
    };
    let renderer = Renderer::new(printer).with_profiles(profiles);
    Ok(args.pipeline.waiting(&args.wait).with_shown_run(&args.device, &renderer, |run| {
        let module = session::module(run.pipeline, &args.module)?;
        let at = args.round.at(module, run, || run.standing.next(module, Step::Train))?;
        session::step(run, Step::Train(at), printer)
    })?)
}
