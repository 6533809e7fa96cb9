//! Gradient-isolated modules: layers, their parameters, and the network on patches that they form.
//!
//! A module runs on every patch alone. Its input is `[batch * patches, h, w, channels]`, and so is its output, with
//! another height, width and number of channels. Its loss sees the mean over each patch's map ([`pooled`]); the next
//! module sees the map itself. For sound, a window is the one patch, and the loss sees each step of its map.

mod cost;
mod pass;
mod pooling;
mod program;
mod tile;

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use candle_core::Tensor;

pub use cost::Cost;
use pass::Passes;
pub use pass::{Keep, Memory, Readout};
pub use pooling::pooled;
use program::Program;

use crate::device::Device;
use crate::layer::{Layer, Map, Sequence, Work, front};
use crate::parameters::{ParameterShape, Parameters};
use crate::{Error, Result};

/// A module that does not train: layers, or a process that holds one in PyTorch.
pub trait Frozen: Send + Sync {
    /// Computes the output for `x`: `[n, h, w, channels]` -> `[n, h', w', channels']`. Leaves no graph.
    ///
    /// # Errors
    /// When the input does not fit.
    fn forward(&self, x: &Tensor) -> Result<Tensor>;
}

impl Frozen for Module {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward(x)
    }
}

/// A module with its parameters, training or frozen.
pub struct Module {
    /// The layers, without a context at the end.
    layers: Vec<Arc<dyn Layer>>,
    /// What each layer computes.
    works: Vec<Work>,
    /// The parameters of the layers, in order.
    parameters: Vec<Tensor>,
    context: Option<Box<dyn Sequence>>,
    readout: Readout,
    /// The passes, laid out for the shape of the maps that the module saw last.
    passes: RwLock<Option<Passes>>,
    /// The device that the parameters lie on.
    device: Device,
    /// On devices without our kernels, the graph of the last pass that keeps activations.
    graph: Mutex<Option<Tensor>>,
}

impl Module {
    /// Builds a module of `layers` for maps of `input` channels, with `parameters` under the names `0`, `1`, … of the
    /// layers. It computes on the device of the parameters, and its inputs must lie there.
    ///
    /// # Errors
    /// When a parameter is missing or has another shape, or a context is not the last of the layers.
    pub fn new(layers: &[Arc<dyn Layer>], input: usize, parameters: &Parameters) -> Result<Self> {
        let front = front(layers);
        let mut channels = input;
        let (mut works, mut own) = (Vec::with_capacity(front.len()), Vec::new());
        for (index, layer) in front.iter().enumerate() {
            let work = layer.work(channels);
            if let Work::Context(_) = work {
                let message =
                    format!("a {} is no layer among others: it ends a module", layer.name());
                return Err(Error::failed(message));
            }
            for shape in work.parameters() {
                own.push(parameters.get(&shape.under(&index.to_string()))?);
            }
            works.push(work);
            channels = layer.out_channels(channels);
        }
        let context = match layers.get(front.len()).map(|layer| layer.work(channels)) {
            Some(Work::Context(context)) => {
                Some(context.build(&front.len().to_string(), parameters)?)
            }
            _ => None,
        };
        Ok(Self {
            layers: front.to_vec(),
            works,
            parameters: own,
            context,
            readout: Readout::default(),
            passes: RwLock::default(),
            device: parameters.device().clone(),
            graph: Mutex::default(),
        })
    }

    /// Sets what the loss sees of the maps.
    #[must_use]
    pub fn reading(self, readout: Readout) -> Self {
        Self { readout, ..self }
    }

    /// Runs all layers, with a context: `[n, h, w, channels]` -> `[n, h', w', channels']`. Leaves no graph.
    ///
    /// # Errors
    /// When the input does not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let maps = self.maps(x)?;
        Ok(match &self.context {
            Some(context) => context.forward(&maps.squeeze(1)?)?.unsqueeze(1)?.detach(),
            None => maps,
        })
    }

    /// Computes what predicts the vectors that the loss sees, `[n, rows, columns, channels]`. A context at the end
    /// turns them into `[n, steps, 1, hidden]`, with a graph back to them and to its parameters. Without a context, the
    /// result is the vectors themselves.
    ///
    /// # Errors
    /// When the vectors do not fit.
    pub fn context_of(&self, vectors: &Tensor) -> Result<Tensor> {
        Ok(match &self.context {
            Some(context) => context.forward(&vectors.squeeze(2)?)?.unsqueeze(2)?,
            None => vectors.clone(),
        })
    }

    /// What the next module reads: the `context` from [`Self::context_of`] if the module ends in one, or else its maps.
    ///
    /// # Errors
    /// When the context has another shape.
    pub fn handed_on(&self, context: &Tensor, maps: Tensor) -> Result<Tensor> {
        Ok(match &self.context {
            Some(_) => context.squeeze(2)?.unsqueeze(1)?.detach(),
            None => maps,
        })
    }

    /// Runs all layers except a context: `[n, h, w, channels]` -> `[n, h', w', channels']`. Leaves no graph.
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
        passes.forward(&self.parameters, x)
    }

    /// Runs all layers except a context by candle's own operations, with a graph back to the parameters.
    ///
    /// # Errors
    /// When the input does not fit.
    pub fn graph(&self, x: &Tensor) -> Result<Tensor> {
        // candle convolves channels-first.
        let mut x = x.permute((0, 3, 1, 2))?.contiguous()?;
        let mut rest = &self.parameters[..];
        for work in &self.works {
            let (own, after) = rest.split_at(work.parameters().len());
            x = work.graph(own, &x)?;
            rest = after;
        }
        Ok(x.permute((0, 2, 3, 1))?.contiguous()?)
    }

    /// Computes the vectors that the loss sees, from the maps before a context: `[n, h, w, channels]` ->
    /// `[n, channels']`, the mean of each map, or `[n * h' * w', channels']`, each position. They are outside any
    /// graph; [`Self::gradients`] carries their gradient back.
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
        passes.as_mut().ok_or_else(unprepared)?.pooled(&self.parameters, x, keep, self.readout)
    }

    /// Computes [`Self::pooled`], and in the same pass the maps before a context, `[n, h', w', channels']`, also
    /// outside any graph.
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
        passes.pooled_and_maps(&self.parameters, x, keep, self.readout)
    }

    /// Keeps the graph of `pooled` for the backward pass, if `keep` asks for it.
    fn keep_graph(&self, pooled: Tensor, keep: Keep) {
        *self.graph.lock().unwrap_or_else(PoisonError::into_inner) =
            (keep == Keep::Activations).then_some(pooled);
    }

    /// The vectors that the loss sees of `maps`, for [`Self::pooled`].
    fn read(&self, maps: &Tensor) -> Result<Tensor> {
        let (_, _, _, channels) = maps.dims4()?;
        Ok(match self.readout {
            Readout::Mean => maps.mean((1, 2))?,
            Readout::Steps => maps.contiguous()?.reshape(((), channels))?,
        })
    }

    /// Each parameter with its gradient, except those of a context. `d_pooled` is the gradient of the vectors from
    /// [`Self::pooled`] or [`Self::pooled_and_maps`], called with the same `x` and `keep` just before.
    ///
    /// With our kernels the gradients depend on the number of threads, since each thread sums a share of the maps.
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
        let tensors = self.parameters.iter().cloned();
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
        let gradients = passes.gradients(&self.parameters, x, d_pooled, keep, self.readout)?;
        Ok(tensors.zip(gradients).collect())
    }

    /// The memory that training holds in addition to parameters and input; `None` where our kernels do not run.
    pub fn memory(&self) -> Option<Memory> {
        let mut passes = self.passes.write().unwrap_or_else(PoisonError::into_inner);
        passes.as_mut().map(Passes::memory)
    }

    /// Seconds that threads have spent in each layer, forward and back, since the last call. The time of a ReLU behind
    /// a convolution belongs to the convolution.
    pub fn seconds(&self) -> Vec<[f64; 2]> {
        let mut passes = self.passes.write().unwrap_or_else(PoisonError::into_inner);
        passes.as_mut().map(Passes::seconds).unwrap_or_default()
    }

    /// Whether the parameters may change.
    fn trains(&self) -> bool {
        self.parameters.iter().any(Tensor::is_variable)
    }

    /// Whether the module is laid out for maps of the shape of `x`.
    fn fits(&self, x: &Tensor) -> Result<bool> {
        let map = map_of(x)?;
        let passes = self.passes.read().unwrap_or_else(PoisonError::into_inner);
        Ok(passes.as_ref().is_some_and(|passes| passes.input() == map))
    }

    /// Lays the module out for maps of the shape of `x`, and takes up the current parameters.
    fn prepare(&self, x: &Tensor, back: bool) -> Result<()> {
        let map = map_of(x)?;
        let mut passes = self.passes.write().unwrap_or_else(PoisonError::into_inner);
        let known = passes.take().filter(|passes| passes.input() == map);
        let mut ready = match known {
            Some(passes) => passes,
            None => {
                if self.layers.iter().try_fold(map, |map, layer| layer.output(map)).is_err() {
                    return Err(Error::failed(format!("a layer does not fit a map of {map:?}")));
                }
                Passes::new(Program::new(&self.layers, map))
            }
        };
        ready.pack(&self.parameters, back)?;
        *passes = Some(ready);
        Ok(())
    }
}

/// The shape of each of the maps `[n, h, w, channels]`.
fn map_of(x: &Tensor) -> Result<Map> {
    let (_, height, width, channels) = x.dims4()?;
    Ok(Map { height, width, channels })
}

fn unprepared() -> Error {
    Error::failed("a module was run before it was laid out")
}

/// The shapes of a module's parameters for maps of `input` channels, in order.
pub fn shapes(layers: &[Arc<dyn Layer>], input: usize) -> Vec<ParameterShape> {
    let mut channels = input;
    let mut shapes = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let own = layer.work(channels).parameters();
        shapes.extend(own.into_iter().map(|it| it.under(&index.to_string())));
        channels = layer.out_channels(channels);
    }
    shapes
}

/// Whether a module reads only relu(z) of its input z, maps of `input` channels. Then a store may hold relu(z)
/// without loss.
pub fn reads_only_relu(layers: &[Arc<dyn Layer>], input: usize) -> bool {
    layers.first().is_some_and(|first| first.work(input).reads_only_relu())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{Basic, Bottleneck, Conv, Relu};

    #[test]
    fn only_a_relu_in_front_of_everything_hides_the_sign_of_the_input() {
        let of = |first, channels| reads_only_relu(&[first], channels);
        let basic = |channels, stride| Basic { channels, stride }.shared();
        let bottleneck = |planes, stride| Bottleneck { planes, stride }.shared();
        assert!(of(Relu.shared(), 8));
        assert!(!of(Conv { channels: 8, kernel: 3, stride: 1, padding: 1 }.shared(), 8));
        assert!(!of(basic(8, 1), 8), "its shortcut is the input");
        assert!(of(basic(8, 2), 8));
        assert!(of(basic(16, 1), 8));
        assert!(!of(bottleneck(2, 1), 8));
        assert!(of(bottleneck(8, 1), 8));
        assert!(of(bottleneck(2, 2), 8));
    }
}
