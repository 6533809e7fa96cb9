//! The command line: one file per command, and one printer that decides what goes to which stream.

mod arguments;
mod bars;
mod child;
mod compare;
mod completions;
mod curves;
mod dataset_text;
mod embed;
mod encode;
mod exit_code;
mod export;
mod gc;
mod grid;
mod health;
mod help;
mod import;
mod ingest;
mod init;
mod inspect;
mod interrupt;
mod invocation;
mod jobs;
mod man;
mod map;
mod nearest;
mod neurons;
mod next_commands;
mod open_files;
mod output_file;
mod pace;
mod part_output;
mod plan;
mod printer;
mod probe;
mod processes;
mod reference;
mod render;
mod report;
mod run;
mod run_plan;
mod schema;
mod screen;
mod session;
mod shard;
mod slurm;
mod status;
mod sweep;
mod table;
mod terminal_picture;
mod train;
mod verify;
mod worker;
mod workers;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use arguments::GlobalArgs;
use printer::Printer;

/// Train neural networks one gradient-isolated module at a time, from disk.
#[derive(Parser)]
#[command(name = "gimlet", version, arg_required_else_help = true, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    globals: GlobalArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Look at data and write a pipeline for them, or copy a recipe
    Init(init::InitArgs),
    /// Do every step of a pipeline, in order: ingest, then train, encode and probe each module
    Run(run::RunArgs),
    /// Decode the source's images into the first datasets
    Ingest(ingest::IngestArgs),
    /// Train one module on what its predecessor wrote
    Train(train::TrainArgs),
    /// Train one module of an `async` schedule on what its predecessor writes meanwhile
    Worker(worker::WorkerArgs),
    /// Write what a trained module makes of its input, as the next module's dataset
    Encode(encode::EncodeArgs),
    /// Judge every encoded module, and its untrained twin, by a linear classifier
    Probe(probe::ProbeArgs),
    /// Write what a trained stack makes of new images, as one Parquet file
    Embed(embed::EmbedArgs),
    /// Write the trained stack as one safetensors file, under the names of the published code
    Export(export::ExportArgs),
    /// Take the modules' weights from such a file, or from checkpoints of the published code
    Import(import::ImportArgs),
    /// Train what is missing of several pipelines, or of variants of one, and show them in one table
    Compare(compare::CompareArgs),
    /// Run a grid of settings and seeds of one pipeline, each stage once, and show the variants in one
    /// table, one Parquet file and one plot
    Sweep(sweep::SweepArgs),
    /// Show what a run would do and take, before anything runs; fail when it does not fit
    Plan(plan::PlanArgs),
    /// Print a script that submits a pipeline's steps to a Slurm cluster, or the runs of a sweep, whose file
    /// may stand in the place of the pipeline's
    Slurm(slurm::SlurmArgs),
    /// Show where every step of a pipeline stands, and why; or every run of a sweep, whose file may stand in
    /// the place of the pipeline's
    Status(status::StatusArgs),
    /// Write one page that shows what was learned
    Report(report::ReportArgs),
    /// Show loss and accuracy of every module, epoch by epoch
    Curves(curves::CurvesArgs),
    /// Measure whether the representations of every module are healthy
    Health(health::HealthArgs),
    /// Find the parts of samples that excite a module's channels most
    Neurons(neurons::NeuronsArgs),
    /// Find the parts of samples that a module finds most similar to one
    Nearest(nearest::NearestArgs),
    /// Place samples in two dimensions by what modules make of them (t-SNE)
    Map(map::MapArgs),
    /// Look into a pipeline's datasets, or into one dataset
    Inspect(inspect::InspectArgs),
    /// Compare everything on disk with what was written, and name all that is damaged
    Verify(verify::VerifyArgs),
    /// Remove what nothing needs any more: superseded generations, dead attempts
    Gc(gc::GcArgs),
    /// Print a script that completes commands and options in a shell
    Completions(completions::CompletionsArgs),
    /// Print the page for `man`, or write those of all commands
    Man(man::ManArgs),
    /// Print a JSON schema, with which editors complete and check pipeline files and sweep files
    Schema(schema::SchemaArgs),
    /// Show the help of a command, or every key of pipeline files and sweep files
    Help(help::HelpArgs),
    /// Write the generated pages of `docs/reference`
    #[command(hide = true)]
    Reference(reference::ReferenceArgs),
}

/// The command line as data: every subcommand and flag.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the command line, runs the command, and returns the process's exit code.
pub fn main() -> ExitCode {
    ExitCode::from(run())
}

/// Runs the command inside another program, such as the interpreter of a language, and returns its exit code.
/// `starts` are the words that start this command in another process, as it does to train modules side by side;
/// `arguments` are those of a command line, without the name of the program. Once in a process, since signals, threads
/// and limits are those of the whole process.
///
/// # Panics
/// When `starts` is empty.
pub fn run_as(starts: Vec<OsString>, arguments: Vec<OsString>) -> u8 {
    assert!(!starts.is_empty(), "the words that start the command are missing");
    invocation::is_hosted(starts, arguments);
    let code = run();
    // A process of our own does this when it ends. It fails only if there is no reader left.
    let _ = std::io::stdout().flush();
    code
}

fn run() -> u8 {
    let words = std::iter::once(OsString::from("gimlet")).chain(invocation::arguments());
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(said) => {
            // Fails only if there is nowhere left to say it.
            let _ = said.print();
            return u8::try_from(said.exit_code()).unwrap_or(1);
        }
    };
    let printer = Printer::new(&cli.globals);
    init_tracing();
    interrupt::without_death_by_file_size();
    interrupt::with_supervisor();
    #[cfg(feature = "testing")]
    gimlet_store::faults::let_go_when(|| interrupt::stop().is_asked());
    open_files::allow_as_many_as_possible();
    let result = begin_threads(cli.globals.threads).and_then(|()| match cli.command {
        Command::Init(args) => init::run(args, &printer),
        Command::Run(args) => run::run(args, &cli.globals, &printer),
        Command::Ingest(args) => ingest::run(args, &printer),
        Command::Train(args) => train::run(args, &printer),
        Command::Worker(args) => worker::run(args, &printer),
        Command::Encode(args) => encode::run(args, &printer),
        Command::Probe(args) => probe::run(args, &printer),
        Command::Embed(args) => embed::run(args, &printer),
        Command::Export(args) => export::run(args, &printer),
        Command::Import(args) => import::run(args, &printer),
        Command::Compare(args) => compare::run(args, &cli.globals, &printer),
        Command::Sweep(args) => sweep::run(args, &cli.globals, &printer),
        Command::Plan(args) => plan::run(args, &printer),
        Command::Slurm(args) => slurm::run(args, &cli.globals, &printer),
        Command::Status(args) => status::run(args, &printer),
        Command::Report(args) => report::run(args, &printer),
        Command::Curves(args) => curves::run(args, &printer),
        Command::Health(args) => health::run(args, &printer),
        Command::Neurons(args) => neurons::run(args, &printer),
        Command::Nearest(args) => nearest::run(args, &printer),
        Command::Map(args) => map::run(args, &printer),
        Command::Inspect(args) => inspect::run(args, &printer),
        Command::Verify(args) => verify::run(args, &printer),
        Command::Gc(args) => gc::run(args, &printer),
        Command::Completions(args) => completions::run(args, &printer),
        Command::Man(args) => man::run(args, &printer),
        Command::Schema(args) => schema::run(args, &printer),
        Command::Help(args) => help::run(args, Cli::command(), &printer),
        Command::Reference(args) => reference::run(args, Cli::command(), &printer),
    });
    match result {
        Ok(()) => 0,
        Err(error) => printer.error(&error),
    }
}

/// Starts the thread pool with `threads` threads, if given.
fn begin_threads(threads: Option<std::num::NonZeroUsize>) -> anyhow::Result<()> {
    let Some(threads) = threads else { return Ok(()) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get());
    let cannot = |error| {
        crate::Error::failed(format!("could not begin {threads} threads: {error}"))
            .hint("name fewer with `--threads N`, or raise the limit on processes (`ulimit -u`)")
    };
    Ok(pool.build_global().map_err(cannot)?)
}

/// Prints diagnostics for developers on stderr, as `RUST_LOG` says.
fn init_tracing() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    // If it was initialised before in this process, the first filter stays.
    let _ =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}
