//! The recurrent half of a GRU as a candle operation, for graphs.
//!
//! Each thread computes all steps for a share of the samples, with one product per step for all of their states. A
//! sample's states do not depend on the other samples in the batch.
//!
//! The gates are not kept for the backward pass. All states are known by then, so one product over all steps gives
//! the gates again, far faster than step by step.

use std::array::from_fn;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::gathered::{Gathered, Segment};
use super::outer::add_outer;
use super::panels::Panels;
use super::product::{Write, multiply};
use super::sigmoid::{LANES, Lanes, load, sigmoid, store, tanh};
use super::vectors::dispatch;
use super::{values, with_all_values};

/// The states of a GRU that begins at zero, `[batch, steps, H]`.
///
/// `x` `[batch, steps, 3 H]` is what the inputs, with their bias, add to the gates r, z, n; `weight` is `[H, 3 H]`,
/// `bias` `[3 H]`, in the same order. The GRU is as PyTorch defines it. With a ++ b ++ c the thirds of `h weight +
/// bias`:
///
/// ```text
/// r = sigmoid(x_r + a)    z = sigmoid(x_z + b)    n = tanh(x_n + r * c)
/// h' = (1 - z) * n + z * h
/// ```
///
/// With `bptt`, gradients go back through all steps. Without it, every step treats the state before it as data: the
/// gradient of a state reaches its own step's `x`, the weight and the bias, but no earlier step.
///
/// Gradients are summed in one order, whatever the number of threads.
///
/// # Errors
/// When the shapes do not fit, a size is zero, there are more than 2^32 gates in all, or the tensors are
/// not contiguous f32 on the CPU.
pub fn gru(x: &Tensor, weight: &Tensor, bias: &Tensor, bptt: bool) -> Result<Tensor> {
    x.apply_op3(weight, bias, Recurrence { bptt })
}

struct Recurrence {
    bptt: bool,
}

#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    steps: usize,
    hidden: usize,
}

impl Sizes {
    /// The number of gate values per step.
    fn gates(self) -> usize {
        3 * self.hidden
    }

    /// The number of samples per thread.
    fn share(self) -> usize {
        self.batch.div_ceil(rayon::current_num_threads())
    }

    /// Places of the states that each step reads, and of the gates that they go to. The first step reads no state.
    fn pairs(self, samples: usize) -> (Vec<u32>, Vec<u32>) {
        let rows = (0..samples * self.steps).filter(|row| row % self.steps > 0);
        rows.map(|row| (((row - 1) * self.hidden) as u32, (row * self.gates()) as u32)).unzip()
    }

    /// One segment of `len` values of a state, from value `from` on.
    fn whole(len: usize, from: usize) -> [Segment; 1] {
        [Segment { offset: from as u32, len: len as u32, row: 0 }]
    }
}

impl Recurrence {
    fn sizes(&self, x: &Shape, weight: &Shape, bias: &Shape) -> Result<Sizes> {
        let ((batch, steps, gates), hidden) = (x.dims3()?, weight.dims2()?.0);
        let sizes = Sizes { batch, steps, hidden };
        let fit = gates == sizes.gates() && weight.dims2()?.1 == gates && bias.dims1()? == gates;
        if !fit || x.elem_count() == 0 || u32::try_from(x.elem_count()).is_err() {
            candle_core::bail!(
                "{}: input {x:?}, weight {weight:?} and bias {bias:?} do not fit",
                self.name()
            )
        }
        Ok(sizes)
    }
}

impl CustomOp3 for Recurrence {
    fn name(&self) -> &'static str {
        "gru"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = self.sizes(x_layout.shape(), weight_layout.shape(), bias_layout.shape())?;
        let Sizes { batch, steps, hidden } = sizes;
        let (x, bias) =
            (values(x, x_layout, self.name())?, values(bias, bias_layout, self.name())?);
        let weight = packed(sizes, values(weight, weight_layout, self.name())?);
        let mut states = vec![0.0; batch * steps * hidden];
        states
            .par_chunks_mut(sizes.share() * steps * hidden)
            .zip(x.par_chunks(sizes.share() * steps * sizes.gates()))
            .for_each(|(states, x)| dispatch(Forward { sizes, x, weight: &weight, bias, states }));
        Ok((CpuStorage::F32(states), Shape::from((batch, steps, hidden))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        states: &Tensor,
        d_states: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let sizes = self.sizes(x.shape(), weight.shape(), bias.shape())?;
        let d_states = d_states.contiguous()?;
        let all = [x, weight, bias, states, &d_states];
        let (dx, dw, db) = with_all_values(all, self.name(), |values| {
            let [x, weight, bias, states, d_states] = from_fn(|place| values[place]);
            let (dx, d_sums) = self.gate_gradients(sizes, x, weight, bias, states, d_states);
            let dw = weight_gradient(sizes, states, &d_sums);
            Ok::<_, candle_core::Error>((dx, dw, bias_gradient(sizes, &d_sums)))
        })?;
        let dx = Tensor::from_vec(dx, x.shape(), x.device())?;
        let dw = Tensor::from_vec(dw, weight.shape(), weight.device())?;
        let db = Tensor::from_vec(db, bias.shape(), bias.device())?;
        Ok((Some(dx), Some(dw), Some(db)))
    }
}

impl Recurrence {
    /// Computes the gradients of `x`, and of the terms that the states add to the gates, each `[batch, steps, 3 H]`.
    fn gate_gradients(
        &self,
        sizes: Sizes,
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        states: &[f32],
        d_states: &[f32],
    ) -> (Vec<f32>, Vec<f32>) {
        let (hidden, gates) = (sizes.hidden, sizes.gates());
        let forward = packed(sizes, weight);
        let back = self.bptt.then(|| {
            let mut panels = Panels::default();
            panels.pack(weight, (gates, hidden), gates, |gate| gate);
            panels
        });
        let (mut dx, mut d_sums) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        let share = sizes.share() * sizes.steps;
        let outputs = dx.par_chunks_mut(share * gates).zip(d_sums.par_chunks_mut(share * gates));
        let states = states.par_chunks(share * hidden).zip(d_states.par_chunks(share * hidden));
        outputs.zip(states).zip(x.par_chunks(share * gates)).for_each(
            |(((dx, sums), (states, d_states)), x)| {
                let (weight, back) = (&forward, back.as_ref());
                dispatch(Backward { sizes, x, weight, back, bias, states, d_states, dx, sums });
            },
        );
        (dx, d_sums)
    }
}

fn packed(sizes: Sizes, weight: &[f32]) -> Panels {
    let mut panels = Panels::default();
    panels.pack(weight, (sizes.hidden, sizes.gates()), 1, |row| row * sizes.gates());
    panels
}

/// Computes the gradient of the weight. Each thread sums some of its rows over the whole batch.
fn weight_gradient(sizes: Sizes, states: &[f32], d_sums: &[f32]) -> Vec<f32> {
    let (hidden, gates) = (sizes.hidden, sizes.gates());
    let (starts, places) = sizes.pairs(sizes.batch);
    let mut dw = vec![0.0; hidden * gates];
    let rows = hidden.div_ceil(rayon::current_num_threads());
    dw.par_chunks_mut(rows * gates).enumerate().for_each(|(index, dw)| {
        let segments = &Sizes::whole(dw.len() / gates, index * rows);
        let states = Gathered { values: states, starts: &starts, segments };
        add_outer(states, d_sums, &places, gates, dw);
    });
    dw
}

/// Computes the gradient of the bias: sums over the steps of each sample, then over the samples in order.
fn bias_gradient(sizes: Sizes, d_sums: &[f32]) -> Vec<f32> {
    let gates = sizes.gates();
    let samples: Vec<Vec<f64>> = d_sums
        .par_chunks(sizes.steps * gates)
        .map(|steps| {
            let mut sums = vec![0.0; gates];
            for step in steps.chunks_exact(gates) {
                sums.iter_mut().zip(step).for_each(|(sum, value)| *sum += f64::from(*value));
            }
            sums
        })
        .collect();
    (0..gates).map(|gate| samples.iter().map(|sums| sums[gate]).sum::<f64>() as f32).collect()
}

/// The gates of some values of a state.
struct Gates {
    reset: Lanes,
    update: Lanes,
    new: Lanes,
    /// The term of the previous state in the new gate, before the reset gate.
    recalled: Lanes,
}

impl Gates {
    /// The gates of up to [`LANES`] values from `at` on; `x` and `sums` are rows of `3 H`.
    #[inline(always)]
    fn new(x: &[f32], sums: &[f32], at: usize) -> Self {
        let (x, sums): ([Lanes; 3], [Lanes; 3]) =
            (thirds(x).map(|x| lanes(x, at)), thirds(sums).map(|sums| lanes(sums, at)));
        let reset: Lanes = from_fn(|i| sigmoid(x[0][i] + sums[0][i]));
        let update = from_fn(|i| sigmoid(x[1][i] + sums[1][i]));
        let new = from_fn(|i| tanh(x[2][i] + reset[i] * sums[2][i]));
        Self { reset, update, new, recalled: sums[2] }
    }
}

#[inline(always)]
fn thirds(row: &[f32]) -> [&[f32]; 3] {
    let third = row.len() / 3;
    from_fn(|index| &row[index * third..][..third])
}

#[inline(always)]
fn lanes(row: &[f32], at: usize) -> Lanes {
    load(&row[at..row.len().min(at + LANES)])
}

#[inline(always)]
fn put(lanes: Lanes, row: &mut [f32], at: usize) {
    let end = row.len().min(at + LANES);
    store(lanes, &mut row[at..end]);
}

/// The forward pass of some samples through all steps.
struct Forward<'a> {
    sizes: Sizes,
    x: &'a [f32],
    weight: &'a Panels,
    bias: &'a [f32],
    states: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { sizes, x, weight, bias, states } = self;
        let (Sizes { steps, hidden, .. }, gates) = (sizes, sizes.gates());
        let samples = states.len() / (steps * hidden);
        let segments = Sizes::whole(hidden, 0);
        let zeros = vec![0.0; hidden];
        let mut sums = bias.repeat(samples);
        let mut starts = Vec::with_capacity(samples);
        for step in 0..steps {
            // The first state is zero, so its sums are the bias.
            if step > 0 {
                starts.clear();
                let rows = (0..samples).map(|sample| sample * steps + step - 1);
                starts.extend(rows.map(|row| (row * hidden) as u32));
                let before = Gathered { values: states, starts: &starts, segments: &segments };
                let write = Write { bias: Some(bias), ..Write::default() };
                multiply(before, weight, &mut sums, None, write);
            }
            for (sample, sums) in sums.chunks_exact(gates).enumerate() {
                let row = sample * steps + step;
                let (before, now) = states.split_at_mut(row * hidden);
                let before = if step > 0 { &before[(row - 1) * hidden..] } else { &zeros };
                let (x, now) = (&x[row * gates..][..gates], &mut now[..hidden]);
                for at in (0..hidden).step_by(LANES) {
                    let (Gates { update, new, .. }, before) =
                        (Gates::new(x, sums, at), lanes(before, at));
                    put(from_fn(|i| (1.0 - update[i]) * new[i] + update[i] * before[i]), now, at);
                }
            }
        }
    }
}

/// The backward pass of some samples through all steps.
struct Backward<'a> {
    sizes: Sizes,
    x: &'a [f32],
    weight: &'a Panels,
    /// The weight's transpose, where gradients go back through the states.
    back: Option<&'a Panels>,
    bias: &'a [f32],
    states: &'a [f32],
    d_states: &'a [f32],
    dx: &'a mut [f32],
    /// Holds the terms that the states add to the gates, and later their gradient.
    sums: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { sizes, x, weight, back, bias, states, d_states, dx, sums } = self;
        let (Sizes { steps, hidden, .. }, gates) = (sizes, sizes.gates());
        let samples = states.len() / (steps * hidden);

        let (starts, places) = sizes.pairs(samples);
        let segments = Sizes::whole(hidden, 0);
        let before = Gathered { values: states, starts: &starts, segments: &segments };
        let write = Write { bias: Some(bias), ..Write::default() };
        multiply(before, weight, sums, Some(&places), write);
        sums.chunks_exact_mut(steps * gates).for_each(|sums| sums[..gates].copy_from_slice(bias));

        let segments = Sizes::whole(gates, 0);
        let zeros = vec![0.0; hidden];
        // The gradient that a step's states get from the next step: in all, and the part that bypasses the gates.
        let (mut carried, mut kept) = (vec![0.0; samples * hidden], vec![0.0; samples * hidden]);
        let mut starts: Vec<u32> = Vec::with_capacity(samples);
        for step in (0..steps).rev() {
            for sample in 0..samples {
                let row = sample * steps + step;
                let before =
                    if step > 0 { &states[(row - 1) * hidden..][..hidden] } else { &zeros };
                let (of_state, of_gates) = (row * hidden, row * gates);
                let (x, d_state) = (&x[of_gates..][..gates], &d_states[of_state..][..hidden]);
                let (dx, sums) = (&mut dx[of_gates..][..gates], &mut sums[of_gates..][..gates]);
                let carried = &carried[sample * hidden..][..hidden];
                let kept = &mut kept[sample * hidden..][..hidden];
                for at in (0..hidden).step_by(LANES) {
                    let Gates { reset, update, new, recalled } = Gates::new(x, sums, at);
                    let (before, d_state, carried) =
                        (lanes(before, at), lanes(d_state, at), lanes(carried, at));
                    let d: Lanes = from_fn(|i| d_state[i] + carried[i]);
                    let d_new: Lanes =
                        from_fn(|i| d[i] * (1.0 - update[i]) * (1.0 - new[i] * new[i]));
                    let d_update =
                        from_fn(|i| d[i] * (before[i] - new[i]) * update[i] * (1.0 - update[i]));
                    let d_reset = from_fn(|i| d_new[i] * recalled[i] * reset[i] * (1.0 - reset[i]));
                    let d_recalled = from_fn(|i| d_new[i] * reset[i]);
                    for (gate, (d_x, d_sum)) in
                        [(d_reset, d_reset), (d_update, d_update), (d_new, d_recalled)]
                            .into_iter()
                            .enumerate()
                    {
                        let third = gate * hidden..(gate + 1) * hidden;
                        put(d_x, &mut dx[third.clone()], at);
                        put(d_sum, &mut sums[third], at);
                    }
                    put(from_fn(|i| d[i] * update[i]), kept, at);
                }
            }
            if let Some(back) = back.filter(|_| step > 0) {
                starts.clear();
                let rows = (0..samples).map(|sample| sample * steps + step);
                starts.extend(rows.map(|row| (row * gates) as u32));
                let d_sums = Gathered { values: sums, starts: &starts, segments: &segments };
                let write = Write { plus: Some(&kept), ..Write::default() };
                multiply(d_sums, back, &mut carried, None, write);
            }
        }
    }
}
