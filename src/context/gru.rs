//! A context along a sequence: a GRU of one layer that begins at zero (Cho et al. 2014, in PyTorch's form), as CPC and
//! Greedy InfoMax put it on top of their encoders for speech.
//!
//! State t has read the inputs up to and including t. The equations are in [`gimlet_kernel::recurrence::gru`].

use candle_core::Tensor;
use candle_nn::ops::sigmoid;

use crate::Result;
use crate::parameters::{ParameterShape, Parameters};
use gimlet_kernel::conv_op::conv2d;
use gimlet_kernel::recurrence::gru;

/// The shapes of the parameters of a GRU with `input` inputs and `hidden` values of its state:
/// `input.weight` `[input, 3 hidden]`, `input.bias`, `hidden.weight` `[hidden, 3 hidden]` and
/// `hidden.bias`, each in thirds for the gates r, z, n.
///
/// The fan-in of all is `hidden`, as in PyTorch.
pub fn shapes(input: usize, hidden: usize) -> [ParameterShape; 4] {
    let gates = 3 * hidden;
    [
        ("input.weight", vec![input, gates]),
        ("input.bias", vec![gates]),
        ("hidden.weight", vec![hidden, gates]),
        ("hidden.bias", vec![gates]),
    ]
    .map(|(name, dims)| ParameterShape::drawn(name, dims, hidden))
}

/// The published code's name for the parameter `name`: with BPTT the GRU is a layer there, without BPTT a cell.
pub fn published(name: &str, bptt: bool) -> String {
    let (of, kind) = name.split_once('.').unwrap_or((name, ""));
    let of = if of == "input" { "ih" } else { "hh" };
    format!("autoregressor.gru.{kind}_{of}{}", if bptt { "_l0" } else { "" })
}

/// Additions and multiplications for one step of a sample.
pub fn operations(input: usize, hidden: usize) -> f64 {
    let weights = shapes(input, hidden).into_iter().map(|it| it.dims.iter().product::<usize>());
    2.0 * weights.sum::<usize>() as f64
}

/// A GRU with its parameters.
pub struct Gru {
    hidden: usize,
    bptt: bool,
    input_weight: Tensor,
    input_bias: Tensor,
    hidden_weight: Tensor,
    hidden_bias: Tensor,
    /// Whether our kernels compute where the parameters lie.
    kernels: bool,
}

impl Gru {
    /// Builds a GRU with the parameters under `name`. Without `bptt`, every step takes the state before it as data,
    /// so no gradient reaches an earlier step.
    ///
    /// # Errors
    /// When a parameter is missing or has another shape.
    pub fn new(
        input: usize,
        hidden: usize,
        bptt: bool,
        name: &str,
        parameters: &Parameters,
    ) -> Result<Self> {
        let [input_weight, input_bias, hidden_weight, hidden_bias] =
            shapes(input, hidden).map(|shape| parameters.get(&shape.under(name)));
        Ok(Self {
            hidden,
            bptt,
            input_weight: input_weight?,
            input_bias: input_bias?,
            hidden_weight: hidden_weight?,
            hidden_bias: hidden_bias?,
            kernels: parameters.device().has_kernels(),
        })
    }

    /// Computes the states for `x`: `[batch, steps, input]` -> `[batch, steps, hidden]`, with a graph back to `x` and
    /// to the parameters.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, steps, input) = x.dims3()?;
        let gates = (batch, steps, 3 * self.hidden);
        if !self.kernels {
            let x = x.reshape((batch * steps, input))?.matmul(&self.input_weight)?;
            return self.on_graph(&x.broadcast_add(&self.input_bias)?.reshape(gates)?);
        }
        // One map per step, so that threads share all steps of all samples.
        let x = x.contiguous()?.reshape((batch * steps, 1, 1, input))?;
        let weight = self.input_weight.reshape((1, 1, input, 3 * self.hidden))?;
        let x = conv2d(&x, &weight, &self.input_bias, [1, 1], [0, 0], false)?.reshape(gates)?;
        Ok(gru(&x, &self.hidden_weight, &self.hidden_bias, self.bptt)?)
    }

    /// Computes the states by candle's own operations, from the inputs' part of the gates, `[batch, steps, 3 hidden]`.
    fn on_graph(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, steps, _) = x.dims3()?;
        let mut state = Tensor::zeros((batch, self.hidden), x.dtype(), x.device())?;
        let (mut inputs, mut states) = (Vec::with_capacity(steps), Vec::with_capacity(steps));
        cut(x, &mut inputs)?;
        for x in &inputs {
            let before = if self.bptt { state } else { state.detach() };
            let sums = before.matmul(&self.hidden_weight)?.broadcast_add(&self.hidden_bias)?;
            let third = |of: &Tensor, gate: usize| {
                of.narrow(1, gate * self.hidden, self.hidden)?.contiguous()
            };
            let gate = |gate| sigmoid(&third(x, gate)?.add(&third(&sums, gate)?)?);
            let (reset, update) = (gate(0)?, gate(1)?);
            let new = third(x, 2)?.add(&reset.mul(&third(&sums, 2)?)?)?.tanh()?;
            // (1 - z) n + z h = n + z (h - n)
            state = new.add(&update.mul(&before.sub(&new)?)?)?;
            states.push(state.clone());
        }
        Ok(Tensor::stack(&states, 1)?)
    }
}

/// Cuts `[batch, steps, n]` into its steps, each `[batch, n]`, and appends them to `steps`.
///
/// It cuts by halves, because candle makes the gradient of a part as large as the whole: cutting off step by step
/// would take time that grows with the square of the steps.
fn cut(x: &Tensor, steps: &mut Vec<Tensor>) -> candle_core::Result<()> {
    match x.dim(1)? {
        0 => {}
        1 => steps.push(x.squeeze(1)?),
        count => {
            let half = count / 2;
            cut(&x.narrow(1, 0, half)?, steps)?;
            cut(&x.narrow(1, half, count - half)?, steps)?;
        }
    }
    Ok(())
}
