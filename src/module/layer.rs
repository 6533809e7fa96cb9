//! Layers, and the pre-activation residual blocks of the paper (no batch norm; every convolution
//! has a bias; no final ReLU).
//!
//! With `r = relu(x)` and a shortcut `s` that is a strided 1x1 convolution of `r` where the shape
//! changes, else `x`:
//!
//! ```text
//! basic:      y = conv3x3(relu(conv3x3(r, stride))) + s
//! bottleneck: y = conv1x1(relu(conv3x3(relu(conv1x1(r)), stride))) + s        (4 * planes channels)
//! ```

use candle_core::Tensor;

use crate::parameters::{ParameterShape, Parameters};
use crate::pipeline::{Layer as Spec, Map};
use crate::{Error, Result};
use gimlet_kernel::Geometry;

/// The factor by which a bottleneck widens its planes.
const EXPANSION: usize = 4;

/// One layer or block with its parameters.
pub enum Layer {
    Conv(Conv),
    Relu,
    Residual { branch: Vec<Conv>, shortcut: Option<Conv> },
}

/// A convolution's parameters and strides.
pub struct Conv {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
    /// Down and across.
    pub(super) stride: [usize; 2],
    pub(super) padding: [usize; 2],
}

/// The convolution `name`: kernel, stride, padding, channels in and out.
pub(super) struct ConvSpec {
    name: String,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub channels: usize,
    pub out_channels: usize,
}

impl ConvSpec {
    /// The sizes of the convolution of such a map.
    pub fn geometry(&self, map: Map) -> Geometry {
        Geometry {
            height: map.height,
            width: map.width,
            channels: self.channels,
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding,
            out_channels: self.out_channels,
        }
    }

    fn build(&self, parameters: &Parameters) -> Result<Conv> {
        let [weight, bias] = self.shapes().map(|shape| parameters.get(&shape));
        Ok(Conv { weight: weight?, bias: bias?, stride: self.stride, padding: self.padding })
    }

    fn shapes(&self) -> [ParameterShape; 2] {
        let [down, across] = self.kernel;
        let fan_in = down * across * self.channels;
        let weight = vec![down, across, self.channels, self.out_channels];
        [
            ParameterShape { name: format!("{}.weight", self.name), dims: weight, fan_in },
            ParameterShape {
                name: format!("{}.bias", self.name),
                dims: vec![self.out_channels],
                fan_in,
            },
        ]
    }
}

/// What a layer is made of: the convolutions of its branch, and of its shortcut if it has one.
pub(super) struct Plan {
    pub branch: Vec<ConvSpec>,
    pub shortcut: Option<ConvSpec>,
    out_channels: usize,
}

pub(super) fn plan(spec: Spec, channels: usize, name: &str) -> Plan {
    let conv = |part: &str, kernel, stride, padding, channels, out_channels| ConvSpec {
        name: if part.is_empty() { name.to_string() } else { format!("{name}.{part}") },
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [padding; 2],
        channels,
        out_channels,
    };
    let shortcut = |stride, out_channels| {
        (stride != 1 || channels != out_channels)
            .then(|| conv("shortcut", 1, stride, 0, channels, out_channels))
    };
    match spec {
        Spec::Relu => Plan { branch: Vec::new(), shortcut: None, out_channels: channels },
        // It has no convolution: `crate::context` has it.
        Spec::Gru { channels: out, .. } => {
            Plan { branch: Vec::new(), shortcut: None, out_channels: out }
        }
        Spec::Conv { channels: out, kernel, stride, padding } => Plan {
            branch: vec![conv("", kernel, stride, padding, channels, out)],
            shortcut: None,
            out_channels: out,
        },
        Spec::Conv1d { channels: out, kernel, stride, padding } => {
            let flat = conv("", kernel, stride, padding, channels, out);
            let flat = ConvSpec {
                kernel: [1, kernel],
                stride: [1, stride],
                padding: [0, padding],
                ..flat
            };
            Plan { branch: vec![flat], shortcut: None, out_channels: out }
        }
        Spec::Basic { channels: out, stride } => Plan {
            branch: vec![
                conv("conv1", 3, stride, 1, channels, out),
                conv("conv2", 3, 1, 1, out, out),
            ],
            shortcut: shortcut(stride, out),
            out_channels: out,
        },
        Spec::Bottleneck { planes, stride } => Plan {
            branch: vec![
                conv("conv1", 1, 1, 0, channels, planes),
                conv("conv2", 3, stride, 1, planes, planes),
                conv("conv3", 1, 1, 0, planes, EXPANSION * planes),
            ],
            shortcut: shortcut(stride, EXPANSION * planes),
            out_channels: EXPANSION * planes,
        },
    }
}

impl Layer {
    /// The layer `spec` on `channels` channels, with the parameters found under `name`.
    pub(super) fn new(
        spec: Spec,
        channels: usize,
        name: &str,
        parameters: &Parameters,
    ) -> Result<Self> {
        let plan = plan(spec, channels, name);
        let mut branch = Vec::with_capacity(plan.branch.len());
        for conv in &plan.branch {
            branch.push(conv.build(parameters)?);
        }
        Ok(match spec {
            Spec::Relu => Layer::Relu,
            Spec::Gru { .. } => {
                return Err(Error::failed("a gru is no layer among others: it ends a module"));
            }
            Spec::Conv { .. } | Spec::Conv1d { .. } => Layer::Conv(branch.remove(0)),
            Spec::Basic { .. } | Spec::Bottleneck { .. } => {
                let shortcut = plan.shortcut.map(|conv| conv.build(parameters)).transpose()?;
                Layer::Residual { branch, shortcut }
            }
        })
    }

    /// Channels of the output for an input of `channels`.
    pub(super) fn out_channels(&self, channels: usize) -> usize {
        let last = match self {
            Layer::Relu => None,
            Layer::Conv(conv) => Some(conv),
            Layer::Residual { branch, .. } => branch.last(),
        };
        last.and_then(|conv| conv.bias.dims().first().copied()).unwrap_or(channels)
    }

    /// Its convolutions in order: those of the branch, then that of the shortcut.
    pub(super) fn convolutions(&self) -> impl Iterator<Item = &Conv> {
        let (branch, shortcut): (&[Conv], _) = match self {
            Layer::Relu => (&[], None),
            Layer::Conv(conv) => (std::slice::from_ref(conv), None),
            Layer::Residual { branch, shortcut } => (branch, shortcut.as_ref()),
        };
        branch.iter().chain(shortcut)
    }
}

/// Whether all that the layer `spec` reads of its input x, of `channels` channels, is relu(x): a
/// block whose shortcut is the input itself reads more.
pub(super) fn reads_only_relu(spec: Spec, channels: usize) -> bool {
    match spec {
        Spec::Relu => true,
        Spec::Conv { .. } | Spec::Conv1d { .. } | Spec::Gru { .. } => false,
        Spec::Basic { .. } | Spec::Bottleneck { .. } => plan(spec, channels, "").shortcut.is_some(),
    }
}

/// Appends the shapes of a layer's parameters; returns the channels of its output.
pub(super) fn shapes(
    spec: Spec,
    channels: usize,
    name: &str,
    shapes: &mut Vec<ParameterShape>,
) -> usize {
    let plan = plan(spec, channels, name);
    shapes.extend(plan.branch.iter().chain(&plan.shortcut).flat_map(ConvSpec::shapes));
    plan.out_channels
}
