//! `gimlet encode`: writes a trained module's activations.

use clap::Args;
use gimlet_store::Shard;

use super::arguments::{DeviceArgs, PipelineArgs, RoundArgs, WaitArgs};
use super::interrupt::RuntimeArgs;
use super::printer::Printer;
use super::session;
use super::shard::ShardArg;
use crate::stage::Step;
use crate::stage::run_dir::UNTRAINED;

#[derive(Args)]
pub struct EncodeArgs {
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
    /// The module's name, or `untrained` for the whole stack as it was drawn
    module: String,
    /// Write these parts of the dataset alone: shard I of N, from 0, or `auto`, as Slurm (an array, or tasks of
    /// `srun`), Kubernetes or HyperQueue says. Shards may run at the same time, on machines that share the run
    /// directory; the last to end commits the dataset, which is the same as without shards
    #[arg(long, value_name = "I/N|auto")]
    shard: Option<ShardArg>,
}

pub fn run(args: EncodeArgs, printer: &Printer) -> anyhow::Result<()> {
    args.runtime.begin();
    let shard = args.shard.map_or(Ok(Shard::WHOLE), ShardArg::shard)?;
    Ok(args.pipeline.waiting(&args.wait).with_shard(shard, &args.device, printer, |run| {
        let step = match args.module.as_str() {
            UNTRAINED => Step::Untrained,
            name => {
                let module = session::module(run.pipeline, name)?;
                let next = || run.standing.next(module, Step::Encode);
                Step::Encode(args.round.at(module, run, next)?)
            }
        };
        session::step(run, step, printer)
    })?)
}
