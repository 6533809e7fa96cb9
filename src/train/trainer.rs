//! The step of one module: forward, local loss, backward, Adam.

use candle_core::{Tensor, Var};

use super::adam::Adam;
use crate::loss::infonce::{self, InfoNce, Negatives};
use crate::module::{self, Keep, Module, ParameterShape, Parameters};
use crate::pipeline;
use crate::{Error, Result};

/// A module in training, with its loss and optimiser.
pub struct Trainer {
    module: Module,
    loss: InfoNce,
    parameters: Parameters,
    adam: Adam,
    grid: usize,
    steps: u64,
}

/// What one step reports.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The loss of the batch, before the update.
    pub loss: f64,
    /// The share of predictions whose positive scored above every negative.
    pub accuracy: f64,
}

/// The shapes of all that trains with a module: `encoder.…` and `loss.…`.
///
/// `input` and `output` are the channels of its maps.
pub fn shapes(
    layers: &[pipeline::Layer],
    loss: &pipeline::Loss,
    input: usize,
    output: usize,
) -> Vec<ParameterShape> {
    let pipeline::Loss::InfoNce(settings) = loss;
    let named = |prefix: &'static str| {
        move |shape: ParameterShape| ParameterShape {
            name: format!("{prefix}.{}", shape.name),
            ..shape
        }
    };
    let encoder = module::shapes(layers, input).into_iter().map(named("encoder"));
    encoder.chain(infonce::shapes(settings, output).into_iter().map(named("loss"))).collect()
}

impl Trainer {
    /// A trainer that starts from `initial`, named as by [`shapes`].
    ///
    /// `input` and `output` are the channels of the module's maps, `grid` the patches along a side.
    ///
    /// # Errors
    /// When a parameter is missing or has another shape.
    pub fn new(
        layers: &[pipeline::Layer],
        loss: &pipeline::Loss,
        (input, output): (usize, usize),
        grid: usize,
        learning_rate: f64,
        initial: &Parameters,
    ) -> Result<Self> {
        let pipeline::Loss::InfoNce(settings) = loss;
        let (parameters, variables) = initial.trainable()?;
        Ok(Self {
            module: Module::new(layers, input, &parameters.under("encoder"))?,
            loss: InfoNce::new(settings, output, &parameters.under("loss"))?,
            adam: Adam::new(variables, learning_rate),
            parameters,
            grid,
            steps: 0,
        })
    }

    /// One step on `input` `[batch * grid * grid, h, w, channels]`.
    ///
    /// # Errors
    /// When the loss is not finite: no variable has changed then.
    pub fn step(&mut self, input: &Tensor, negatives: &Negatives) -> Result<Step> {
        let t0 = std::time::Instant::now();
        let pooled = self.module.pooled(input, Keep::Activations)?;
        let t1 = std::time::Instant::now();
        // The loss is a graph of its own, from the pooled vectors and its predictors on.
        let pooled = Var::from_tensor(&pooled)?;
        let (maps, channels) = pooled.dims2()?;
        let batch = maps / (self.grid * self.grid);
        let on_grid = pooled.reshape((batch, self.grid, self.grid, channels))?;
        let outcome = self.loss.forward(&on_grid, negatives)?;
        let loss = f64::from(outcome.loss.to_scalar::<f32>()?);
        if !loss.is_finite() {
            return Err(Error::failed(format!("the loss is {loss}")));
        }
        let mut gradients = outcome.loss.backward()?;
        let d_pooled = gradients.remove(&pooled);
        let d_pooled = d_pooled.ok_or_else(|| Error::failed("the loss does not read its input"))?;
        let t2 = std::time::Instant::now();
        let g2 = self.module.gradients(input, &d_pooled, Keep::Activations)?;
        let t3 = std::time::Instant::now();
        for (parameter, gradient) in g2 {
            gradients.insert(&parameter, gradient);
        }
        self.adam.step(&gradients)?;
        if std::env::var_os("TUNE").is_some() {
            eprintln!(
                "fwd {:.3} loss {:.3} bwd {:.3} adam {:.3}",
                (t1 - t0).as_secs_f64(),
                (t2 - t1).as_secs_f64(),
                (t3 - t2).as_secs_f64(),
                t3.elapsed().as_secs_f64()
            );
        }
        self.steps += 1;
        Ok(Step { loss, accuracy: outcome.accuracy })
    }

    pub fn module(&self) -> &Module {
        &self.module
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The parameters as they are now, apart from later steps.
    ///
    /// # Errors
    /// When one is not finite, or cannot be copied.
    pub fn parameters(&self) -> Result<Parameters> {
        self.adam.check_finite()?;
        self.parameters.frozen()
    }

    /// All that a later [`Self::restore`] needs: `encoder.…`, `loss.…`, `adam.…`.
    ///
    /// # Errors
    /// When a parameter is not finite, or cannot be copied.
    pub fn state(&self) -> Result<Parameters> {
        let mut state = self.parameters()?;
        state.extend("adam", self.adam.state()?);
        Ok(state)
    }

    /// Takes up the optimiser's half of a [`Self::state`] written after `steps` steps; the other
    /// half was given to [`Self::new`].
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn restore(&mut self, state: &Parameters, steps: u64) -> Result<()> {
        self.steps = steps;
        self.adam.restore(&state.under("adam"), steps)
    }
}
