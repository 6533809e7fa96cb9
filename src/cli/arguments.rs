//! Arguments that several commands share.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use gimlet_store::path_of;

use super::child::Passed;
use crate::Result;
use crate::device::{Device, DeviceName};
use crate::pipeline::{MOST_THREADS, Pipeline};

/// For all commands.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct GlobalArgs {
    /// Print results only, and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say why: which setting makes a step run again, what `auto` has chosen
    #[arg(short, long, global = true)]
    pub verbose: bool,

    /// Threads to compute with, up to 1024 [default: one a core]
    #[arg(long, global = true, value_name = "N", value_parser = threads)]
    pub threads: Option<NonZeroUsize>,
}

/// Which pipeline, and where its run is.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct PipelineArgs {
    /// The pipeline file (TOML)
    pub pipeline: PathBuf,

    /// Override a key of the pipeline file, such as `training.epochs=3`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,

    /// Directory, or URL on object storage, that holds everything the run writes [default:
    /// <store.url or runs>/<pipeline name>]
    #[arg(long, value_name = "DIR", value_parser = path_of)]
    pub run_dir: Option<PathBuf>,

    /// Whether steps wait for other processes ([`WaitArgs`]).
    #[arg(skip)]
    pub wait: bool,
}

/// For commands that do a step, which another process may be at.
#[derive(Args)]
pub struct WaitArgs {
    /// Wait for another process that works on the stage, where the command would fail otherwise
    #[arg(long)]
    pub wait: bool,
}

/// For commands that do a step of a module.
#[derive(Args)]
pub struct RoundArgs {
    /// The round, from 1, where the schedule has rounds [default: the first that is not done]
    #[arg(long, value_name = "N")]
    pub round: Option<NonZeroUsize>,
}

/// For commands that run modules.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct DeviceArgs {
    /// What modules compute on: `cpu`, `cuda`, `cuda:N`, `metal`, or `candle`, the CPU without our
    /// kernels
    #[arg(long, value_name = "DEVICE", default_value_t)]
    pub device: DeviceName,
}

impl DeviceArgs {
    /// Opens the device that the modules of `pipeline` compute on. Those in PyTorch open it themselves.
    ///
    /// # Errors
    /// When this gimlet was built without it, or the machine does not have it.
    pub fn open(&self, pipeline: &Pipeline) -> Result<Device> {
        match pipeline.modules.iter().all(|it| it.python().is_some()) {
            true => Ok(self.device.elsewhere()),
            false => self.device.open(),
        }
    }
}

/// For commands whose result scripts read.
#[derive(Args)]
pub struct JsonArgs {
    /// Print one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

impl Passed for GlobalArgs {
    fn words(&self) -> Vec<OsString> {
        // Destructured, so that a new flag does not compile until it is passed on, or left out on purpose.
        let Self { quiet, verbose, threads } = self;
        let (quiet, verbose) = (quiet.then_some("--quiet"), verbose.then_some("--verbose"));
        let flags = quiet.into_iter().chain(verbose).map(OsString::from);
        flags.chain(threads.map(|it| format!("--threads={it}").into())).collect()
    }
}

impl Passed for PipelineArgs {
    fn words(&self) -> Vec<OsString> {
        let Self { pipeline, overrides, run_dir, wait } = self;
        let mut words = vec![pipeline.clone().into_os_string()];
        words.extend(overrides.iter().map(|setting| format!("--set={setting}").into()));
        if let Some(dir) = run_dir {
            let mut word = OsString::from("--run-dir=");
            word.push(dir);
            words.push(word);
        }
        words.extend(wait.then(|| "--wait".into()));
        words
    }
}

impl Passed for DeviceArgs {
    fn words(&self) -> Vec<OsString> {
        let Self { device } = self;
        match device == &DeviceName::default() {
            true => vec![],
            false => vec![format!("--device={device}").into()],
        }
    }
}

impl Passed for JsonArgs {
    fn words(&self) -> Vec<OsString> {
        let Self { json } = self;
        json.then(|| "--json".into()).into_iter().collect()
    }
}

/// Parses a number of threads. A number above the cores of any machine must be a mistake, and the system may be
/// unable to start the threads.
fn threads(text: &str) -> Result<NonZeroUsize, String> {
    let number: Option<NonZeroUsize> = text.parse().ok();
    number
        .filter(|it| it.get() <= MOST_THREADS)
        .ok_or_else(|| format!("it is a whole number from 1 to {MOST_THREADS}"))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::child;

    #[derive(Debug, PartialEq, Parser)]
    struct Globals {
        #[command(flatten)]
        all: GlobalArgs,
    }

    #[test]
    fn every_global_flag_that_a_child_is_told_of_is_read_back() {
        for flag in Globals::command().get_arguments().filter(|flag| flag.is_global_set()) {
            let long = flag.get_long().unwrap();
            let word = match flag.get_action().takes_values() {
                true => format!("--{long}=2"),
                false => format!("--{long}"),
            };
            let told = Globals::parse_from(["gimlet".into(), word]).all;
            assert_ne!(told, GlobalArgs::default(), "--{long}");
            let words = child::words(&[&told]);
            let read = Globals::parse_from(std::iter::once("gimlet".into()).chain(words)).all;
            assert_eq!(read, told, "--{long} is not passed on");
        }
    }

    #[test]
    fn what_a_child_works_on_is_read_back() {
        #[derive(Parser)]
        struct All {
            #[command(flatten)]
            pipeline: PipelineArgs,
            #[command(flatten)]
            wait: WaitArgs,
            #[command(flatten)]
            device: DeviceArgs,
            #[command(flatten)]
            output: JsonArgs,
        }
        let pipeline = PipelineArgs {
            pipeline: "a file.toml".into(),
            overrides: vec!["loss=clapp".into(), "--name=\"two words\"".into()],
            run_dir: Some("-odd/place".into()),
            wait: true,
        };
        let device = DeviceArgs { device: DeviceName::Cuda(1) };
        let words = child::words(&[&pipeline, &device, &JsonArgs { json: true }]);
        let read = All::parse_from(std::iter::once("gimlet".into()).chain(words));
        assert_eq!(read.pipeline.waiting(&read.wait), pipeline);
        assert_eq!(read.device, device);
        assert!(read.output.json);
    }
}
