//! What a layer computes: a convolution, a ReLU or a residual block, which the kernels know, or an operation of its
//! own.

use std::fmt::Debug;
use std::sync::Arc;

use candle_core::Tensor;

use super::{ConvSpec, Map};
use crate::Result;
use crate::parameters::{ParameterShape, Parameters};

/// What a layer computes on maps with a given number of channels.
#[derive(Debug, Clone)]
pub enum Work {
    /// A convolution.
    Conv(ConvSpec),
    /// max(x, 0).
    Relu,
    /// A residual block. With `r = relu(x)`, it is the convolutions of `branch` on `r`, rectified in between, plus the
    /// convolution `shortcut` on `r`, or `x` itself where there is no shortcut. A branch is never empty.
    Residual {
        /// The convolutions in order.
        branch: Vec<ConvSpec>,
        /// The convolution for blocks that change the shape.
        shortcut: Option<ConvSpec>,
    },
    /// Any other operation on each map alone.
    Own(Arc<dyn Operation>),
    /// The context that predicts. It ends its module, and is computed from everything that the loss sees.
    Context(Arc<dyn Context>),
}

impl Work {
    /// The shapes of the parameters: a weight and a bias for each convolution in order, with a shortcut last.
    pub fn parameters(&self) -> Vec<ParameterShape> {
        match self {
            Self::Relu => Vec::new(),
            Self::Conv(conv) => conv.parameters().into(),
            Self::Residual { branch, shortcut } => {
                branch.iter().chain(shortcut).flat_map(ConvSpec::parameters).collect()
            }
            Self::Own(operation) => operation.parameters(),
            Self::Context(context) => context.parameters(),
        }
    }

    /// Whether it reads only relu(x) of its input x. A block whose shortcut is the input itself reads more.
    pub fn reads_only_relu(&self) -> bool {
        match self {
            Self::Relu => true,
            Self::Residual { shortcut, .. } => shortcut.is_some(),
            Self::Own(operation) => operation.reads_only_relu(),
            Self::Conv(_) | Self::Context(_) => false,
        }
    }

    /// Computes it by candle's own operations, with a graph back to `parameters` and to x:
    /// `[n, channels, h, w]` -> `[n, channels', h', w']`, the order of axes that candle convolves. A context has no
    /// graph here.
    pub(crate) fn graph(&self, parameters: &[Tensor], x: &Tensor) -> Result<Tensor> {
        let convolve = |conv: &ConvSpec, of: &[Tensor], x: &Tensor| conv.graph(&of[0], &of[1], x);
        match self {
            Self::Relu => Ok(x.relu()?),
            Self::Conv(conv) => convolve(conv, parameters, x),
            Self::Residual { branch, shortcut } => {
                let r = x.relu()?;
                let mut y = r.clone();
                for (index, (conv, of)) in branch.iter().zip(parameters.chunks(2)).enumerate() {
                    y = if index == 0 { y } else { y.relu()? };
                    y = convolve(conv, of, &y)?;
                }
                Ok(match shortcut {
                    Some(conv) => y.add(&convolve(conv, &parameters[2 * branch.len()..], &r)?)?,
                    None => y.add(x)?,
                })
            }
            Self::Own(operation) => operation.graph(parameters, x),
            Self::Context(_) => Ok(x.clone()),
        }
    }
}

/// A layer's own computation on each map alone.
///
/// It is called once for a tile of a few maps, on one thread. Its result for a map must not depend on the other maps
/// in the tile.
pub trait Operation: Debug + Send + Sync {
    /// The shapes of the parameters, with names within the layer.
    fn parameters(&self) -> Vec<ParameterShape> {
        Vec::new()
    }

    /// Whether it reads only relu(x) of its input x ([`Work::reads_only_relu`]).
    fn reads_only_relu(&self) -> bool {
        false
    }

    /// Whether the backward pass reads the input.
    fn reads_input(&self) -> bool {
        false
    }

    /// Whether the backward pass reads the output.
    fn reads_output(&self) -> bool {
        false
    }

    /// The number of further values that it keeps per map for the backward pass.
    fn kept(&self, _input: Map) -> usize {
        0
    }

    /// Additions and multiplications for a map, forward.
    fn operations(&self, input: Map) -> u64;

    /// Computes `y` from the maps `x`, each of shape `input`, and fills `kept`.
    fn forward(
        &self,
        input: Map,
        parameters: &[&[f32]],
        x: &[f32],
        kept: &mut [f32],
        y: &mut [f32],
    );

    /// Carries `dy`, the gradient of the output, back: adds the gradients of the parameters to `sums`, and writes the
    /// gradient of the input to `dx`, where that is asked for.
    fn backward(
        &self,
        input: Map,
        parameters: &[&[f32]],
        kept: &Kept<'_>,
        dy: &[f32],
        dx: Option<&mut [f32]>,
        sums: &mut [Vec<f64>],
    );

    /// Computes [`Self::forward`] by candle's own operations, with a graph back to `parameters` and to x:
    /// `[n, channels, h, w]` -> `[n, channels', h', w']`.
    ///
    /// # Errors
    /// When the shapes do not fit.
    fn graph(&self, parameters: &[Tensor], x: &Tensor) -> Result<Tensor>;
}

/// What the backward pass of a layer has from its forward pass.
pub struct Kept<'a> {
    /// The input, where the layer reads it or it is at hand anyway.
    pub input: Option<&'a [f32]>,
    /// The further values that the layer kept.
    pub inner: &'a [f32],
    /// The output, where it was kept.
    pub output: Option<&'a [f32]>,
}

/// A network that computes the context that predicts.
pub trait Context: Debug + Send + Sync {
    /// The shapes of the parameters, with names within the layer.
    fn parameters(&self) -> Vec<ParameterShape>;

    /// Additions and multiplications for one vector of a sample, forward.
    fn operations(&self) -> f64;

    /// The number of values that its graph holds per vector of a sample.
    fn kept(&self) -> usize;

    /// Builds the network with the parameters found under `name`.
    ///
    /// # Errors
    /// When a parameter is missing or has another shape.
    fn build(&self, name: &str, parameters: &Parameters) -> Result<Box<dyn Sequence>>;
}

/// A context with its parameters.
pub trait Sequence: Send + Sync {
    /// Computes the context from the vectors along a sequence: `[batch, steps, channels]` ->
    /// `[batch, steps, channels']`, with a graph back to the vectors and to the parameters.
    ///
    /// # Errors
    /// When the shapes do not fit.
    fn forward(&self, x: &Tensor) -> Result<Tensor>;
}
