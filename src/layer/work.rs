//! What a layer computes: something that tiles of maps already know how to go through, or an operation of its own.

use std::fmt::Debug;
use std::sync::Arc;

use candle_core::Tensor;

use super::{ConvSpec, Map};
use crate::Result;
use crate::parameters::{ParameterShape, Parameters};

/// What a layer computes of maps with one number of channels.
#[derive(Debug, Clone)]
pub enum Work {
    /// The convolution.
    Conv(ConvSpec),
    /// max(x, 0).
    Relu,
    /// With `r = relu(x)`: the convolutions of `branch`, rectified in between, of `r`; plus that of `shortcut`
    /// of `r`, or where there is none `x` itself. A branch is never empty.
    Residual {
        /// In order.
        branch: Vec<ConvSpec>,
        /// Where the shape changes.
        shortcut: Option<ConvSpec>,
    },
    /// Anything else that computes each map alone.
    Own(Arc<dyn Operation>),
    /// The context that predicts: it ends its module, and is computed of all that the loss sees.
    Context(Arc<dyn Context>),
}

impl Work {
    /// Its parameters: for each convolution, in order and that of a shortcut last, a weight and a bias.
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

    /// Whether all that it reads of its input x is relu(x): a block whose shortcut is the input itself reads
    /// more.
    pub fn reads_only_relu(&self) -> bool {
        match self {
            Self::Relu => true,
            Self::Residual { shortcut, .. } => shortcut.is_some(),
            Self::Own(operation) => operation.reads_only_relu(),
            Self::Conv(_) | Self::Context(_) => false,
        }
    }

    /// What it computes on candle's own operations, with a graph back to `parameters` and to x:
    /// `[n, channels, h, w]` -> `[n, channels', h', w']`, as candle convolves. A context has none here.
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

/// A computation on each map alone that is a layer's own.
///
/// It is called once for a tile of a few maps, on one thread. What it makes of a map must not depend on which
/// others are in the tile.
pub trait Operation: Debug + Send + Sync {
    /// Its parameters, their names within the layer.
    fn parameters(&self) -> Vec<ParameterShape> {
        Vec::new()
    }

    /// See [`Work::reads_only_relu`].
    fn reads_only_relu(&self) -> bool {
        false
    }

    /// Whether the way back reads the input.
    fn reads_input(&self) -> bool {
        false
    }

    /// Whether the way back reads the output.
    fn reads_output(&self) -> bool {
        false
    }

    /// Further values that it keeps of each map for the way back.
    fn kept(&self, _input: Map) -> usize {
        0
    }

    /// Additions and multiplications of a map, forward.
    fn operations(&self, input: Map) -> u64;

    /// Computes `y` of the maps `x`, each `input`, and fills `kept`.
    fn forward(
        &self,
        input: Map,
        parameters: &[&[f32]],
        x: &[f32],
        kept: &mut [f32],
        y: &mut [f32],
    );

    /// Adds the gradients of its parameters to `sums`, given that of the output, and writes that of the input to
    /// `dx`, where that is asked for.
    fn backward(
        &self,
        input: Map,
        parameters: &[&[f32]],
        kept: &Kept<'_>,
        dy: &[f32],
        dx: Option<&mut [f32]>,
        sums: &mut [Vec<f64>],
    );

    /// What [`Self::forward`] computes, on candle's own operations, with a graph back to `parameters` and to x:
    /// `[n, channels, h, w]` -> `[n, channels', h', w']`.
    ///
    /// # Errors
    /// When the shapes do not fit.
    fn graph(&self, parameters: &[Tensor], x: &Tensor) -> Result<Tensor>;
}

/// What the way back through a layer has of its way forward.
pub struct Kept<'a> {
    /// Its input, where it reads that, or it is at hand.
    pub input: Option<&'a [f32]>,
    /// What it kept itself.
    pub inner: &'a [f32],
    /// Its output, where that was kept.
    pub output: Option<&'a [f32]>,
}

/// A network that makes the context that predicts.
pub trait Context: Debug + Send + Sync {
    /// Its parameters, their names within the layer.
    fn parameters(&self) -> Vec<ParameterShape>;

    /// Additions and multiplications of one vector of a sample, forward.
    fn operations(&self) -> f64;

    /// Values of one vector of a sample that its graph holds.
    fn kept(&self) -> usize;

    /// The network with the parameters found under `name`.
    ///
    /// # Errors
    /// When a parameter is missing or has another shape.
    fn build(&self, name: &str, parameters: &Parameters) -> Result<Box<dyn Sequence>>;
}

/// A context with its parameters.
pub trait Sequence: Send + Sync {
    /// What predicts, of the vectors along a sequence: `[batch, steps, channels]` -> `[batch, steps, channels']`,
    /// with a graph back to both and to the parameters.
    ///
    /// # Errors
    /// When the shapes do not fit.
    fn forward(&self, x: &Tensor) -> Result<Tensor>;
}
