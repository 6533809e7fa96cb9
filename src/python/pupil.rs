//! A module in PyTorch in training.

use std::sync::Arc;
use std::time::Instant;

use candle_core::Tensor;

use super::message::Message;
use super::process::{StageProcess, judged};
use crate::loss::Sizes;
use crate::parameters::Parameters;
use crate::train::learning::{Judge, Judged, Learning, Lesson};
use crate::train::profile::{Breakdown, Profile};
use crate::train::trainer::Step;
use crate::{Error, Kind, Result};

/// The name under which a checkpoint holds what trains a stage beside its weights.
const TRAINER: &str = "trainer";

/// The prefix of that name in a checkpoint.
const PYTHON: &str = "python";

/// The prefix of weights in an answer.
const WEIGHTS: &str = "weights";

/// A module in PyTorch in training, in its process.
pub struct Pupil {
    process: Arc<StageProcess>,
    sizes: Sizes,
    steps: u64,
    breakdown: Breakdown,
    /// Bytes of the weights and of a batch.
    parameters: u64,
    batch: u64,
}

impl Pupil {
    /// A module that trains in `process`. It goes on from `state`, which was written after the given number of steps;
    /// without one, from the weights that it has.
    ///
    /// # Errors
    /// When the state is not that of this stage.
    pub fn new(
        process: StageProcess,
        sizes: Sizes,
        parameters: u64,
        state: Option<(&Parameters, u64)>,
    ) -> Result<Self> {
        let mut steps = 0;
        if let Some((state, taken)) = state {
            steps = taken;
            process.load(&state.under("encoder"))?;
            let trainer = state.under(PYTHON);
            let mut found = trainer.iter().filter(|it| it.0 == TRAINER);
            let (_, trainer) = found.next().ok_or_else(|| {
                Error::new(Kind::Damaged, "the checkpoint has no state of the optimiser")
            })?;
            process.ask(&Message::to("restore").with(TRAINER, trainer))?;
        }
        let (breakdown, parameters) = (Breakdown::default(), 4 * parameters);
        Ok(Self { process: Arc::new(process), sizes, steps, breakdown, parameters, batch: 0 })
    }

    fn take_step(&mut self, x: &Tensor, lesson: &Lesson, maps: bool) -> Result<(Step, Judged)> {
        let started = Instant::now();
        let judged =
            judged(&self.process.ask(&self.process.about("step", x, lesson, maps)?)?, maps)?;
        self.steps += 1;
        self.batch = (x.elem_count() * size_of::<f32>()) as u64;
        self.breakdown.steps += 1;
        // What a stage does in between is its own business.
        self.breakdown.forward += started.elapsed().as_secs_f64();
        Ok((Step { loss: judged.loss, accuracy: judged.accuracy, dead: None }, judged))
    }
}

impl Learning for Pupil {
    fn step(&mut self, x: &Tensor, lesson: &Lesson) -> Result<Step> {
        Ok(self.take_step(x, lesson, false)?.0)
    }

    fn step_and_maps(&mut self, x: &Tensor, lesson: &Lesson) -> Result<(Step, Tensor)> {
        let (step, judged) = self.take_step(x, lesson, true)?;
        let maps = judged.maps.ok_or_else(|| Error::failed("a training step gave no maps"))?;
        Ok((step, maps))
    }

    fn sizes(&self) -> Sizes {
        self.sizes
    }

    fn steps(&self) -> u64 {
        self.steps
    }

    fn parameters(&self) -> Result<Parameters> {
        let mut parameters = Parameters::default();
        parameters.extend("encoder", self.process.weights()?);
        Ok(parameters)
    }

    fn state(&self) -> Result<Parameters> {
        let answer = self.process.ask(&Message::to("state"))?;
        let answer = Parameters::from_tensors(answer.tensors);
        let mut state = Parameters::default();
        state.extend("encoder", answer.under(WEIGHTS));
        state.extend(PYTHON, answer.without(WEIGHTS));
        Ok(state)
    }

    fn breakdown(&self) -> Breakdown {
        self.breakdown
    }

    fn profile(&self) -> Profile {
        let (breakdown, parameters, batch) = (self.breakdown, self.parameters, self.batch);
        Profile { breakdown, parameters, batch, ..Profile::default() }
    }

    fn judge(&self) -> Option<Arc<dyn Judge>> {
        Some(self.process.clone())
    }
}
