//! Trains a pipeline of generated textures with a loss of this program's own, stops on the way, goes on, and prints
//! what the probes found: `cargo run --release --example custom_loss`.

use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::Tensor;
use gimlet::layer::{Conv, Layer, Relu};
use gimlet::loss::{Bounded, Loss, Misfit, Outcome, Recipe, Samples, Sizes};
use gimlet::parameters::{ParameterShape, Parameters};
use gimlet::pipeline::{Environment, ImageView, NewModule, Pipeline, Probe, Textures, Training};
use gimlet::report::{self, Options, RunView};
use gimlet::stage::forecast::Forecast;
use gimlet::stage::progress::{Progress, Silent, Unit};
use gimlet::stage::{Run, RunDir, Session, Standing, findings};
use gimlet::stop::{Stop, Why};
use gimlet::{Kind, Result};
use serde::{Deserialize, Serialize};

/// Vectors of neighbouring patches are to be alike, and every channel is to vary over the batch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Neighbours {
    /// What it costs that a channel does not vary.
    spread: f64,
}

impl Default for Neighbours {
    fn default() -> Self {
        Self { spread: 1.0 }
    }
}

impl Recipe for Neighbours {
    fn name(&self) -> &'static str {
        "neighbours"
    }

    fn bounds(&self) -> Vec<Bounded> {
        vec![Bounded { key: "spread", value: self.spread, bounds: 0.0..=1e6 }]
    }

    fn check(&self, sizes: Sizes) -> Result<(), Misfit> {
        match sizes.rows {
            0 | 1 => Err(Misfit { keys: &[], message: "one row has no neighbours".to_owned() }),
            _ => Ok(()),
        }
    }

    fn shapes(&self, _sizes: Sizes) -> Vec<ParameterShape> {
        Vec::new()
    }

    /// Vectors that say nothing are alike, and do not vary.
    fn of_a_guess(&self, _sizes: Sizes) -> Option<f64> {
        Some(self.spread)
    }

    fn operations(&self, sizes: Sizes) -> f64 {
        6.0 * (sizes.positions() * sizes.channels) as f64
    }

    fn build(&self, _sizes: Sizes, _parameters: &Parameters) -> Result<Box<dyn Loss>> {
        Ok(Box::new(self.clone()))
    }
}

impl Loss for Neighbours {
    fn forward(&self, pooled: &Tensor, _context: &Tensor, _samples: &Samples) -> Result<Outcome> {
        let (batch, rows, columns, channels) = pooled.dims4()?;
        let (above, below) = (pooled.narrow(1, 0, rows - 1)?, pooled.narrow(1, 1, rows - 1)?);
        let apart = (above - below)?.sqr()?.mean_all()?;
        let vectors = pooled.reshape((batch * rows * columns, channels))?;
        let variance = vectors.broadcast_sub(&vectors.mean_keepdim(0)?)?.sqr()?.mean(0)?;
        let missing = (variance + 1e-8)?.sqrt()?.affine(-1.0, 1.0)?.relu()?.mean_all()?;
        Ok(Outcome { loss: (apart + (missing * self.spread)?)?, accuracy: None })
    }
}

/// Asks for a stop after some batches.
struct StopsAfter {
    batches: AtomicU64,
    stop: Stop,
}

impl Progress for StopsAfter {
    fn begin(&self, _title: &str, _unit: Unit, _total: u64, _done: u64) {}

    fn advance(&self, _done: u64, detail: &str) {
        if detail.contains("loss") && self.batches.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.stop.ask(Why::Interrupt);
        }
    }

    fn end(&self, _summary: &str) {}
    fn note(&self, _message: &str) {}
    fn warn(&self, _message: &str) {}
}

/// Two modules on generated textures.
fn pipeline() -> Result<Pipeline> {
    let conv = |channels, stride| Conv { channels, kernel: 3, stride, padding: 1 }.shared();
    let textures = Textures { classes: 3, size: 16, train: 96, test: 48, ..Textures::default() };
    Pipeline::builder("custom_loss", textures, ImageView::new(8, 4))
        .seed(1)
        .module(NewModule::new("a", [conv(8, 1), Relu.shared()]))
        .module(NewModule::new("b", [conv(16, 2), Relu.shared()]).epochs(3))
        .loss(Neighbours { spread: 2.0 })
        .training(Training { epochs: 4, batch: 16, held_out: 16, ..Training::default() })
        .probe(Probe { epochs: 20, batch: 16, ..Probe::default() })
        .build()
}

/// The loss in the text of a pipeline file, as `loss` would be there.
const FILE: &str = r#"
name = "custom_loss"
seed = 1
data.textures = { classes = 3, size = 16, train = 96, test = 48 }
view = { patch = 8, stride = 4 }
modules = [
    { name = "a", layers = [{ conv = { channels = 8, kernel = 3 } }, { relu = {} }] },
    { name = "b", layers = [{ conv = { channels = 16, kernel = 3, stride = 2 } }, { relu = {} }], epochs = 3 },
]
loss.neighbours.spread = 2
training = { epochs = 4, batch = 16, held_out = 16 }
probe = { epochs = 20, batch = 16 }
"#;

/// Does all of it in `directory`; what there is to tell.
pub fn run(directory: &Path) -> Result<String> {
    let mut told = String::new();
    let (pipeline, dir) = (pipeline()?, RunDir::at(directory));

    let standing = Standing::new(&pipeline, dir.clone())?;
    let forecast = Forecast::new(&pipeline, &standing, None)?;
    let _ = writeln!(told, "{} steps, {} bytes", forecast.steps.len(), forecast.total_bytes);

    let stop = Stop::new();
    let stops = StopsAfter { batches: AtomicU64::new(15), stop: stop.clone() };
    match Run::open(&pipeline, dir.clone(), Session::new(&stop, &stops))?.all_steps() {
        Err(error) if error.kind() == Kind::Interrupted => {
            let _ = writeln!(told, "stopped: {error}");
        }
        other => drop(other?),
    }

    let stop = Stop::new();
    let run = Run::open(&pipeline, dir.clone(), Session::new(&stop, &Silent))?;
    run.all_steps()?;
    let stages = run.standing.status()?;
    for row in findings::collect(&run.standing, &stages)? {
        let probe = row.probe;
        let accuracy = probe.accuracy.unwrap_or(f64::NAN);
        let (module, kind, loss) = (probe.module, probe.origin.name(), probe.loss);
        let _ = writeln!(told, "{module:8} {kind:10} accuracy {accuracy:.3} loss {loss:.3}");
    }

    let seen = RunView {
        pipeline: &pipeline,
        standing: &run.standing,
        stages,
        progress: &Silent,
        stop: &stop,
        arguments: "custom_loss".to_owned(),
        elsewhere: "custom_loss".to_owned(),
        options: Options::default(),
    };
    let _ = writeln!(told, "report: {}", report::write(&seen)?.display());

    // A pipeline file can name the loss, too: the same settings have the same keys.
    let mut environment = Environment::of_process();
    environment.losses = environment.losses.with::<Neighbours>()?;
    let read = Pipeline::parse(FILE, Path::new("custom_loss.toml"), &[], &environment)?;
    let worked = Run::open(&read, dir, Session::new(&stop, &Silent))?.all_steps()?;
    let _ =
        writeln!(told, "of the file there was {} to do", if worked { "work" } else { "nothing" });
    Ok(told)
}

#[cfg(not(test))]
fn main() -> Result<()> {
    print!("{}", run(Path::new("runs/custom_loss"))?);
    Ok(())
}
