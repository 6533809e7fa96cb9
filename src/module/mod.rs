//! Gradient-isolated modules: layers, their parameters, and the network of patches they form.
//!
//! A module runs on every patch alone: its input is `[batch * patches, h, w, channels]`, its output
//! the same with its own height, width and channels. What its loss sees is the mean over each
//! patch's map ([`pooled`]); what the next module sees is the map itself. Of sound, a window is the one
//! patch, and the loss sees each step of its map.

mod cost;
mod graph;
mod layer;
mod pass;
mod pooling;
mod program;
mod tile;

use std::sync::{Mutex, PoisonError, RwLock};

use candle_core::Tensor;

pub use cost::Cost;
use layer::Layer;
use pass::Passes;
pub use pass::{Keep, Memory, Readout};
pub use pooling::pooled;
use program::Program;

use crate::context::gru::{self, Gru};
use crate::device::Device;
use crate::parameters::{ParameterShape, Parameters};
use crate::pipeline::{self, Map};
use crate::{Error, Result};

/// A module with its parameters, training or frozen.
pub struct Module {
    /// All but a GRU at the end.
    specs: Vec<pipeline::Layer>,
    layers: Vec<Layer>,
    context: Option<Gru>,
    readout: Readout,
    /// Laid out for the maps it saw last.
    passes: RwLock<Option<Passes>>,
    /// Where the parameters lie.
    device: Device,
    /// On devices without our kernels, the graph of the last pass that keeps activations.
    graph: Mutex<Option<Tensor>>,
}

impl Module {
    /// The layers of `spec` for maps of `input` channels, with `parameters` under the names `0`, `1`,
    /// … of the layers. It computes on the device of these, and so must its inputs lie there.
    ///
    /// # Errors
    /// When a parameter is missing or has another shape.
    pub fn new(spec: &[pipeline::Layer], input: usize, parameters: &Parameters) -> Result<Self> {
        let mut channels = input;
        let front = pipeline::front(spec);
        let mut layers = Vec::with_capacity(front.len());
        for (index, spec) in front.iter().enumerate() {
            let layer = Layer::new(*spec, channels, &index.to_string(), parameters)?;
            channels = layer.out_channels(channels);
            layers.push(layer);
        }
        let context = match spec.get(front.len()) {
            Some(pipeline::Layer::Gru { channels: hidden, bptt }) => {
                let name = front.len().to_string();
                Some(Gru::new(channels, *hidden, *bptt, &name, parameters)?)
            }
            _ => None,
        };
        Ok(Self {
            specs: front.to_vec(),
            layers,
            context,
            readout: Readout::default(),
            passes: RwLock::default(),
            device: parameters.device().clone(),
            graph: Mutex::default(),
        })
    }

    /// The same, its loss seeing `readout` of its maps.
    #[must_use]
    pub fn reading(self, readout: Readout) -> Self {
        Self { readout, ..self }
    }

    /// `[n, h, w, channels]` -> `[n, h', w', channels']`, through a GRU, too. Leaves no graph.
    ///
    /// # Errors
    /// When the input does not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let maps = self.maps(x)?;
        Ok(match &self.context {
            Some(gru) => gru.forward(&maps.squeeze(1)?)?.unsqueeze(1)?.detach(),
            None => maps,
        })
    }

    /// What predicts the vectors that the loss sees, `[n, rows, columns, channels]`: what a GRU at the end
    /// makes of them, `[n, steps, 1, hidden]`, with a graph back to them and to its parameters; where there
    /// is none, they themselves.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn context_of(&self, vectors: &Tensor) -> Result<Tensor> {
        Ok(match &self.context {
            Some(gru) => gru.forward(&vectors.squeeze(2)?)?.unsqueeze(2)?,
            None => vectors.clone(),
        })
    }

    /// Whether it ends in a GRU, so that [`Self::context_of`] makes what comes out of it.
    pub fn has_context(&self) -> bool {
        self.context.is_some()
    }

    /// `[n, h, w, channels]` -> `[n, h', w', channels']` before a GRU. Leaves no graph.
    fn maps(&self, x: &Tensor) -> Result<Tensor> {
        if self.layers.is_empty() {
            return Ok(x.detach());
        }
        if !self.device.has_kernels() {
            return Ok(self.graph(x)?.detach());
        }
        if self.trains() || !self.fits(x)? {
            self.prepare(x, false)?;
        }
        let passes = self.passes.read().unwrap_or_else(PoisonError::into_inner);
        let passes = passes.as_ref().ok_or_else(unprepared)?;
        passes.forward(&self.parameters(), x)
    }

    /// The maps before a GRU, on candle's own operations, with a graph back to the parameters.
    ///
    /// # Errors
    /// When the input does not fit.
    pub fn graph(&self, x: &Tensor) -> Result<Tensor> {
        graph::forward(&self.layers, x)
    }

    /// What the loss sees of the maps that come out before a GRU, outside any graph:
    /// [`Self::gradients`] carries its gradient back. `[n, h, w, channels]` -> `[n, channels']`, the mean
    /// of each map, or each of its positions, `[n * h' * w', channels']`.
    ///
    /// # Errors
    /// When the input does not fit.
    pub fn pooled(&self, x: &Tensor, keep: Keep) -> Result<Tensor> {
        if self.layers.is_empty() {
            return self.read(&x.detach());
        }
        if !self.device.has_kernels() {
            let pooled = self.read(&self.graph(x)?)?;
            let detached = pooled.detach();
            self.keep_graph(pooled, keep);
            return Ok(detached);
        }
        self.prepare(x, true)?;
        let mut passes = self.passes.write().unwrap_or_else(PoisonError::into_inner);
        passes.as_mut().ok_or_else(unprepared)?.pooled(&self.parameters(), x, keep, self.readout)
    }

    /// [`Self::pooled`], and of the same pass the maps that come out before a GRU, `[n, h', w', channels']`,
    /// outside any graph, too.
    ///
    /// # Errors
    /// When the input does not fit.
    pub fn pooled_and_maps(&self, x: &Tensor, keep: Keep) -> Result<(Tensor, Tensor)> {
        if self.layers.is_empty() {
            return Ok((self.pooled(x, keep)?, x.detach()));
        }
        if !self.device.has_kernels() {
            let maps = self.graph(x)?;
            let pooled = self.read(&maps)?;
            let both = (pooled.detach(), maps.detach());
            self.keep_graph(pooled, keep);
            return Ok(both);
        }
        self.prepare(x, true)?;
        let mut passes = self.passes.write().unwrap_or_else(PoisonError::into_inner);
        let passes = passes.as_mut().ok_or_else(unprepared)?;
        passes.pooled_and_maps(&self.parameters(), x, keep, self.readout)
    }

    /// Holds the graph of `pooled` for the way back, if that is to be kept.
    fn keep_graph(&self, pooled: Tensor, keep: Keep) {
        *self.graph.lock().unwrap_or_else(PoisonError::into_inner) =
            (keep == Keep::Activations).then_some(pooled);
    }

    /// See [`Self::pooled`].
    fn read(&self, maps: &Tensor) -> Result<Tensor> {
        let (_, _, _, channels) = maps.dims4()?;
        Ok(match self.readout {
            Readout::Mean => maps.mean((1, 2))?,
            Readout::Steps => maps.contiguous()?.reshape(((), channels))?,
        })
    }

    /// Each parameter but those of a GRU with its gradient, given `d_pooled`, that of [`Self::pooled`]
    /// or [`Self::pooled_and_maps`], which was called with the same `x` and `keep` just before.
    ///
    /// By our kernels they depend on the number of threads, each of which sums a share of the maps.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn gradients(
        &self,
        x: &Tensor,
        d_pooled: &Tensor,
        keep: Keep,
    ) -> Result<Vec<(Tensor, Tensor)>> {
        if self.layers.is_empty() {
            return Ok(Vec::new());
        }
        let parameters = self.parameters();
        let tensors = parameters.iter().flat_map(|(weight, bias)| [*weight, *bias]).cloned();
        if !self.device.has_kernels() {
            let kept = self.graph.lock().unwrap_or_else(PoisonError::into_inner).take();
            let pooled = match kept {
                Some(pooled) if keep == Keep::Activations => pooled,
                _ => self.read(&self.graph(x)?)?,
            };
            let gradients = pooled.mul(&d_pooled.detach())?.sum_all()?.backward()?;
            let with_gradient = tensors.filter_map(|it| Some((gradients.get(&it)?.clone(), it)));
            return Ok(with_gradient.map(|(gradient, it)| (it, gradient)).collect());
        }
        let mut passes = self.passes.write().unwrap_or_else(PoisonError::into_inner);
        let passes = passes.as_mut().ok_or_else(unprepared)?;
        let gradients = passes.gradients(&parameters, x, d_pooled, keep, self.readout)?;
        let gradients = gradients.into_iter().flat_map(|(weight, bias)| [weight, bias]);
        Ok(tensors.zip(gradients).collect())
    }

    /// What training holds besides parameters and input; `None` where our kernels do not run.
    pub fn memory(&self) -> Option<Memory> {
        let mut passes = self.passes.write().unwrap_or_else(PoisonError::into_inner);
        passes.as_mut().map(Passes::memory)
    }

    /// Seconds that threads have spent in each layer, forward and back, since this was asked before;
    /// a ReLU behind a convolution belongs to it.
    pub fn seconds(&self) -> Vec<[f64; 2]> {
        let mut passes = self.passes.write().unwrap_or_else(PoisonError::into_inner);
        passes.as_mut().map(Passes::seconds).unwrap_or_default()
    }

    fn parameters(&self) -> Vec<(&Tensor, &Tensor)> {
        let convolutions = self.layers.iter().flat_map(Layer::convolutions);
        convolutions.map(|conv| (&conv.weight, &conv.bias)).collect()
    }

    /// Whether its parameters may change.
    fn trains(&self) -> bool {
        self.parameters().iter().any(|(weight, _)| weight.is_variable())
    }

    /// Whether it is laid out for such maps.
    fn fits(&self, x: &Tensor) -> Result<bool> {
        let map = map_of(x)?;
        let passes = self.passes.read().unwrap_or_else(PoisonError::into_inner);
        Ok(passes.as_ref().is_some_and(|passes| passes.input() == map))
    }

    /// Lays it out for such maps, and takes up the parameters as they are now.
    fn prepare(&self, x: &Tensor, back: bool) -> Result<()> {
        let map = map_of(x)?;
        let mut passes = self.passes.write().unwrap_or_else(PoisonError::into_inner);
        let known = passes.take().filter(|passes| passes.input() == map);
        let mut ready = match known {
            Some(passes) => passes,
            None => {
                let message = || format!("a layer does not fit a map of {map:?}");
                Passes::new(Program::new(&self.specs, map).ok_or_else(|| Error::failed(message()))?)
            }
        };
        ready.pack(&self.parameters(), back)?;
        *passes = Some(ready);
        Ok(())
    }
}

/// The size of the maps `[n, h, w, channels]`.
fn map_of(x: &Tensor) -> Result<Map> {
    let (_, height, width, channels) = x.dims4()?;
    Ok(Map { height, width, channels })
}

fn unprepared() -> Error {
    Error::failed("a module was run before it was laid out")
}

/// The shapes of a module's parameters for maps of `input` channels, in order.
pub fn shapes(spec: &[pipeline::Layer], input: usize) -> Vec<ParameterShape> {
    let mut channels = input;
    let mut shapes = Vec::new();
    for (index, spec) in spec.iter().enumerate() {
        let name = index.to_string();
        channels = match *spec {
            pipeline::Layer::Gru { channels: hidden, .. } => {
                shapes.extend(gru::shapes(channels, hidden, &name));
                hidden
            }
            _ => layer::shapes(*spec, channels, &name, &mut shapes),
        };
    }
    shapes
}

/// Whether all that a module reads of its input z, maps of `input` channels, is relu(z): then a
/// store may hold relu(z) without loss.
pub fn reads_only_relu(spec: &[pipeline::Layer], input: usize) -> bool {
    spec.first().is_some_and(|first| layer::reads_only_relu(*first, input))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::Layer::{Basic, Bottleneck, Conv, Relu};

    #[test]
    fn only_a_relu_in_front_of_everything_hides_the_sign_of_the_input() {
        let of = |first, channels| reads_only_relu(&[first], channels);
        assert!(of(Relu, 8));
        assert!(!of(Conv { channels: 8, kernel: 3, stride: 1, padding: 1 }, 8));
        assert!(!of(Basic { channels: 8, stride: 1 }, 8), "its shortcut is the input");
        assert!(of(Basic { channels: 8, stride: 2 }, 8));
        assert!(of(Basic { channels: 16, stride: 1 }, 8));
        assert!(!of(Bottleneck { planes: 2, stride: 1 }, 8));
        assert!(of(Bottleneck { planes: 8, stride: 1 }, 8));
        assert!(of(Bottleneck { planes: 2, stride: 2 }, 8));
    }
}
