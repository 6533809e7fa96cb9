//! A tile of maps through a module and back, on one thread.

use std::time::Instant;

use gimlet_kernel::Buffer;
use gimlet_kernel::activation::{mask_into, rectify_into};
use gimlet_kernel::conv::{Convolution, Packed};
use gimlet_kernel::product::Write;

use super::program::{Program, Step, Task};
use crate::layer::Kept;

/// A module's parameters, and its convolutions with their weights in the layout that the products read.
pub(super) struct Weights<'a> {
    pub convolutions: &'a [Loaded],
    pub parameters: Vec<&'a [f32]>,
}

/// A convolution with its weight.
pub(super) struct Loaded {
    pub convolution: Convolution,
    pub packed: Packed,
    /// The number of its weight among the parameters. Its bias is the next parameter.
    pub weight: usize,
}

/// The gradients of a module's parameters, summed over a share of the batch.
pub(super) struct Sums {
    /// The gradient of each parameter that is a convolution's weight; empty for the others.
    weights: Vec<Vec<f32>>,
    /// The gradient of each other parameter; empty for convolutions' weights.
    others: Vec<Vec<f64>>,
}

impl Sums {
    /// Zeros for every parameter.
    pub fn of(program: &Program) -> Self {
        let mut weights = vec![Vec::new(); program.parameters.len()];
        let mut others: Vec<_> = program.parameters.iter().map(|len| vec![0.0; *len]).collect();
        for conv in &program.convolutions {
            weights[conv.weight] = vec![0.0; program.parameters[conv.weight]];
            others[conv.weight] = Vec::new();
        }
        Self { weights, others }
    }

    pub fn bytes(&self) -> usize {
        let weights = self.weights.iter().map(|it| it.len() * size_of::<f32>());
        let others = self.others.iter().map(|it| it.len() * size_of::<f64>());
        weights.chain(others).sum()
    }

    pub fn clear(&mut self) {
        self.weights.iter_mut().for_each(|it| it.fill(0.0));
        self.others.iter_mut().for_each(|it| it.fill(0.0));
    }

    /// The gradient of parameter `index`, summed over all shares.
    pub fn total(shares: &[Sums], index: usize) -> Vec<f32> {
        let [first, rest @ ..] = shares else { return Vec::new() };
        let mut weight = first.weights[index].clone();
        let mut other = first.others[index].clone();
        for share in rest {
            weight.iter_mut().zip(&share.weights[index]).for_each(|(sum, it)| *sum += it);
            other.iter_mut().zip(&share.others[index]).for_each(|(sum, it)| *sum += it);
        }
        weight.extend(other.into_iter().map(|sum| sum as f32));
        weight
    }
}

/// The memory that a thread works in.
#[derive(Default)]
pub(super) struct Scratch {
    /// The maps between layers, used in turn.
    maps: [Buffer; 2],
    /// What a layer writes to be kept, where nothing is kept.
    unkept: Buffer,
    /// What a tile keeps when it goes forward again in the backward pass.
    pub again: Buffer,
    within: Within,
    /// Seconds in each layer, forward and back.
    pub seconds: Vec<[f64; 2]>,
}

impl Scratch {
    pub fn bytes(&self) -> usize {
        let Within { relu, shortcut, gradients } = &self.within;
        let between = self.maps.iter().chain([&self.unkept, &self.again]);
        between.chain([relu, shortcut]).chain(gradients).map(Buffer::bytes).sum()
    }
}

/// The memory that a thread works in within a layer.
#[derive(Default)]
struct Within {
    relu: Buffer,
    shortcut: Buffer,
    gradients: [Buffer; 2],
}

impl Program {
    /// Takes `x` `[maps, h, w, channels]` through all layers, and calls `last` on the output maps. What
    /// [`Self::backward`] needs goes to `kept`, if that is given.
    pub fn forward<T>(
        &self,
        weights: &Weights<'_>,
        x: &[f32],
        mut kept: Option<&mut [f32]>,
        scratch: &mut Scratch,
        last: impl FnOnce(&[f32]) -> T,
    ) -> T {
        let maps = x.len() / self.input.len();
        scratch.seconds.resize(self.steps.len(), [0.0; 2]);
        let [from, to] = &mut scratch.maps;
        let (mut from, mut to) = (from.get(maps * self.largest), to.get(maps * self.largest));
        // The input of a layer, where it does not lie at the beginning of `from`.
        let mut elsewhere = Some(x);
        for (index, layer) in self.steps.iter().enumerate() {
            let started = Instant::now();
            let x = elsewhere.unwrap_or(&from[..maps * layer.input]);
            let (inner, slot) = match &mut kept {
                Some(kept) => {
                    let inner = take(kept, maps * layer.inner);
                    let keeps = layer.keeps_output;
                    (inner, keeps.then(|| take(kept, maps * layer.output)))
                }
                None => (scratch.unkept.get(maps * layer.inner), None),
            };
            if let Some(y) = slot {
                self.layer(layer, weights, x, inner, &mut scratch.within, y);
                elsewhere = Some(y);
            } else {
                let y = &mut to[..maps * layer.output];
                self.layer(layer, weights, x, inner, &mut scratch.within, y);
                std::mem::swap(&mut from, &mut to);
                elsewhere = None;
            }
            scratch.seconds[index][0] += started.elapsed().as_secs_f64();
        }
        last(elsewhere.unwrap_or(&from[..maps * self.output.len()]))
    }

    /// Computes one layer, from `x` to `y`.
    fn layer(
        &self,
        layer: &Step,
        weights: &Weights<'_>,
        x: &[f32],
        mut inner: &mut [f32],
        within: &mut Within,
        y: &mut [f32],
    ) {
        let maps = x.len() / layer.input;
        let convolve = |conv: usize, x: &[f32], y: &mut [f32], write: Write<'_>| {
            let conv = &weights.convolutions[conv];
            let write = Write { bias: Some(weights.parameters[conv.weight + 1]), ..write };
            conv.convolution.forward(&conv.packed, x, y, write);
        };
        match &layer.task {
            Task::Relu => rectify_into(x, y),
            Task::Conv { conv, relu } => {
                convolve(*conv, x, y, Write { relu: *relu, ..Write::default() });
            }
            Task::Residual { branch, shortcut, keeps_relu } => {
                let r = match keeps_relu {
                    true => take(&mut inner, x.len()),
                    false => within.relu.get(x.len()),
                };
                rectify_into(x, r);
                let mut plus = x;
                if let Some(conv) = shortcut {
                    let s = within.shortcut.get(y.len());
                    convolve(*conv, r, s, Write::default());
                    plus = s;
                }
                let mut h: &[f32] = r;
                let Some((last, branch)) = branch.split_last() else { return };
                for conv in branch {
                    let out = take(&mut inner, maps * self.convolutions[*conv].geometry.out_len());
                    convolve(*conv, h, out, Write { relu: true, ..Write::default() });
                    h = out;
                }
                convolve(*last, h, y, Write { plus: Some(plus), ..Write::default() });
            }
            Task::Own(operation, map) => {
                let parameters = &weights.parameters[layer.parameters.clone()];
                operation.forward(*map, parameters, x, inner, y);
            }
        }
    }

    /// Carries the gradient of the output maps, which `first` writes, back through all layers, and adds the gradients
    /// of weights and biases to `sums`. `x` is the input of the [`Self::forward`] that filled `kept`; it is data, and
    /// gets no gradient.
    pub fn backward(
        &self,
        weights: &Weights<'_>,
        x: &[f32],
        kept: &[f32],
        scratch: &mut Scratch,
        sums: &mut Sums,
        first: impl FnOnce(&mut [f32]),
    ) {
        let maps = x.len() / self.input.len();
        scratch.seconds.resize(self.steps.len(), [0.0; 2]);
        let [from, to] = &mut scratch.maps;
        let (mut dy, mut dx) = (from.get(maps * self.largest), to.get(maps * self.largest));
        first(&mut dy[..maps * self.output.len()]);
        let mut end = kept.len();
        for (index, layer) in self.steps.iter().enumerate().skip(self.first).rev() {
            let started = Instant::now();
            let slots = &kept[end - maps * layer.kept()..end];
            end -= slots.len();
            let (inner, output) = slots.split_at(maps * layer.inner);
            let before = index.checked_sub(1).map(|before| &self.steps[before]);
            let input = match before {
                None => Some(x),
                Some(before) => before.keeps_output.then(|| &kept[end - maps * before.output..end]),
            };
            let of = Kept { input, inner, output: layer.keeps_output.then_some(output) };
            let gradient = (index > self.first).then_some(&mut dx[..maps * layer.input]);
            let dy_of = &dy[..maps * layer.output];
            self.layer_back(layer, weights, &of, &mut scratch.within, sums, dy_of, gradient);
            std::mem::swap(&mut dy, &mut dx);
            scratch.seconds[index][1] += started.elapsed().as_secs_f64();
        }
    }

    /// Carries the gradient back through one layer, from `dy` to `dx`, if `dx` is given.
    #[expect(
        clippy::too_many_arguments,
        reason = "what goes in, what comes out, and where to work"
    )]
    fn layer_back(
        &self,
        layer: &Step,
        weights: &Weights<'_>,
        kept: &Kept<'_>,
        within: &mut Within,
        sums: &mut Sums,
        dy: &[f32],
        dx: Option<&mut [f32]>,
    ) {
        let Within { relu, shortcut: through_shortcut, gradients } = within;
        let maps = dy.len() / layer.output;
        let mut add = |conv: usize, x: &[f32], dy: &[f32]| {
            let Loaded { convolution, weight, .. } = &weights.convolutions[conv];
            let (dw, db) = (&mut sums.weights[*weight], &mut sums.others[weight + 1]);
            convolution.add_weight_gradient(x, dy, dw, db);
        };
        let back = |conv: usize, dy: &[f32], dx: &mut [f32], write: Write<'_>| {
            let conv = &weights.convolutions[conv];
            conv.convolution.input_gradient(&conv.packed, dy, dx, write);
        };
        match &layer.task {
            Task::Relu => {
                if let (Some(dx), Some(y)) = (dx, kept.output) {
                    mask_into(y, dy, dx);
                }
            }
            Task::Conv { conv, relu } => {
                let [masked, _] = gradients;
                let dy = match kept.output.filter(|_| *relu) {
                    Some(y) => {
                        let masked = masked.get(dy.len());
                        mask_into(y, dy, masked);
                        masked
                    }
                    None => dy,
                };
                add(*conv, kept.input.expect("a convolution's input is kept"), dy);
                if let Some(dx) = dx {
                    back(*conv, dy, dx, Write::default());
                }
            }
            Task::Residual { branch, shortcut, keeps_relu } => {
                let (r, mut inner) = match (keeps_relu, kept.input) {
                    (false, Some(x)) => {
                        let r = relu.get(x.len());
                        rectify_into(x, r);
                        (&*r, kept.inner)
                    }
                    _ => kept.inner.split_at(maps * layer.input),
                };
                let [read, write] = gradients;
                let (mut read, mut write) = (read, write);
                // The gradient so far lies in `read`; for the last convolution it is `dy`.
                let mut len = None;
                for conv in branch.iter().skip(1).rev() {
                    let h_len = maps * self.convolutions[*conv].geometry.in_len();
                    let (rest, h) = inner.split_at(inner.len() - h_len);
                    inner = rest;
                    let dy = len.map_or(dy, |len| read.read(len));
                    add(*conv, h, dy);
                    let mask = Write { mask: Some(h), ..Write::default() };
                    back(*conv, dy, write.get(h_len), mask);
                    std::mem::swap(&mut read, &mut write);
                    len = Some(h_len);
                }
                let Some(first) = branch.first() else { return };
                let d_first = len.map_or(dy, |len| read.read(len));
                add(*first, r, d_first);
                if let Some(conv) = shortcut {
                    add(*conv, r, dy);
                }
                let Some(dx) = dx else { return };
                match shortcut {
                    Some(conv) => {
                        let through = through_shortcut.get(dx.len());
                        back(*conv, dy, through, Write::default());
                        let write =
                            Write { plus: Some(through), mask: Some(r), ..Write::default() };
                        back(*first, d_first, dx, write);
                    }
                    None => {
                        let write =
                            Write { mask: Some(r), plus_unmasked: Some(dy), ..Write::default() };
                        back(*first, d_first, dx, write);
                    }
                }
            }
            Task::Own(operation, map) => {
                let own = layer.parameters.clone();
                let parameters = &weights.parameters[own.clone()];
                operation.backward(*map, parameters, kept, dy, dx, &mut sums.others[own]);
            }
        }
    }
}

/// Cuts the first `len` values off.
fn take<'a>(values: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    let (first, rest) = std::mem::take(values).split_at_mut(len);
    *values = rest;
    first
}
