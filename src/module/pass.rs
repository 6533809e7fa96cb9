//! A batch through a module and back on the CPU, tile by tile.

use serde::Serialize;
use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use crate::Result;
use crate::layer::Map;
use crate::pipeline::Pooling;
use gimlet_kernel::conv::{Convolution, Packed};
use gimlet_kernel::{Buffer, pool, with_all_values, with_values};

use super::program::{Placed, Program};
use super::tile::{Loaded, Scratch, Sums, Weights};

/// A module laid out for maps of one size, with its weights in the layout that the products read, and memory that
/// passes share.
pub(super) struct Passes {
    program: Program,
    convolutions: Vec<Loaded>,
    /// One scratch for each thread that is at work.
    scratch: Mutex<Vec<Scratch>>,
    /// What the last forward pass of a training step kept, tile by tile.
    kept: Vec<Buffer>,
    /// One sum for each share of a batch.
    sums: Vec<Sums>,
}

/// The parameters of each layer, in order.
pub(super) type Parameters = [Tensor];

/// What a forward pass in training keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The activations of every layer that the backward pass needs.
    Activations,
    /// Nothing: the backward pass goes forward again, tile by tile.
    Nothing,
}

/// What a loss sees of the output maps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Readout {
    /// The mean of each map over height and width: images, whose maps are patches.
    #[default]
    Mean,
    /// Each position by itself: sound, whose positions are steps in time.
    Steps,
}

impl Readout {
    /// The readout for samples that are pooled by `pooling`.
    pub fn of(pooling: Pooling) -> Self {
        match pooling {
            Pooling::Patches { .. } => Self::Mean,
            Pooling::Steps { .. } => Self::Steps,
        }
    }
}

/// Bytes that a module in training holds in addition to its parameters and input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Activations that forward passes keep for the backward pass.
    pub kept: u64,
    /// The gradients of weights and biases, one sum per thread.
    pub gradients: u64,
    /// The weights in the layout that the products read.
    pub packed: u64,
    /// The working memory of threads.
    pub scratch: u64,
}

impl Passes {
    pub fn new(program: Program) -> Self {
        let load = |conv: &Placed| Loaded {
            convolution: Convolution::new(conv.geometry, program.tile),
            packed: Packed::default(),
            weight: conv.weight,
        };
        let convolutions = program.convolutions.iter().map(load).collect();
        Self {
            program,
            convolutions,
            scratch: Mutex::default(),
            kept: Vec::new(),
            sums: Vec::new(),
        }
    }

    /// The shape of maps that the module is laid out for.
    pub fn input(&self) -> Map {
        self.program.input
    }

    /// Takes up the current weights; with `back`, also for backward passes.
    pub fn pack(&mut self, parameters: &Parameters, back: bool) -> Result<()> {
        self.convolutions.par_iter_mut().enumerate().try_for_each(|(index, conv)| {
            Ok(with_values(&parameters[conv.weight], "pack", |weight| {
                conv.convolution.pack(weight, &mut conv.packed);
                // The gradient of the module's input is not needed.
                if back && self.program.carries_back(index) {
                    conv.convolution.pack_back(weight, &mut conv.packed);
                }
                Ok(())
            })?)
        })
    }

    /// Runs all layers: `[maps, h, w, channels]` -> `[maps, h', w', channels']`.
    pub fn forward(&self, parameters: &Parameters, x: &Tensor) -> Result<Tensor> {
        let (maps, out) = (x.dim(0)?, self.program.output);
        let mut y = vec![0.0; maps * out.len()];
        let tiles = y.par_chunks_mut(self.tile(maps) * out.len());
        self.run(parameters, x, tiles, None, |y, to| to.copy_from_slice(y))?;
        self.maps_of(y)
    }

    /// Shapes values as output maps.
    fn maps_of(&self, values: Vec<f32>) -> Result<Tensor> {
        let Map { height, width, channels } = self.program.output;
        let maps = values.len() / self.program.output.len();
        Ok(Tensor::from_vec(values, (maps, height, width, channels), &Device::Cpu)?)
    }

    /// Runs all layers and reads out: `[maps, h, w, channels]` -> the means over height and width, `[maps, channels']`,
    /// or each position, `[maps * h' * w', channels']`.
    pub fn pooled(
        &mut self,
        parameters: &Parameters,
        x: &Tensor,
        keep: Keep,
        readout: Readout,
    ) -> Result<Tensor> {
        let (maps, output) = (x.dim(0)?, self.program.output);
        let channels = output.channels;
        let vectors = match readout {
            Readout::Mean => 1,
            Readout::Steps => output.height * output.width,
        };
        let mut pooled = vec![0.0; maps * vectors * channels];
        let tiles = pooled.par_chunks_mut(self.tile(maps) * vectors * channels);
        self.run_keeping(parameters, x, tiles, keep, |y, to| match readout {
            Readout::Mean => pool::means(y, channels, to),
            Readout::Steps => to.copy_from_slice(y),
        })?;
        Ok(Tensor::from_vec(pooled, (maps * vectors, channels), &Device::Cpu)?)
    }

    /// Computes [`Self::pooled`], to the same bits, and [`Self::forward`] in one pass.
    pub fn pooled_and_maps(
        &mut self,
        parameters: &Parameters,
        x: &Tensor,
        keep: Keep,
        readout: Readout,
    ) -> Result<(Tensor, Tensor)> {
        let (maps, output) = (x.dim(0)?, self.program.output);
        let channels = output.channels;
        if readout == Readout::Steps {
            let pooled = self.pooled(parameters, x, keep, readout)?;
            // The vectors are all positions of all maps, so they are the maps.
            let maps = pooled.reshape((maps, output.height, output.width, channels))?;
            return Ok((pooled, maps));
        }
        let (mut pooled, mut all) = (vec![0.0; maps * channels], vec![0.0; maps * output.len()]);
        let tile = self.tile(maps);
        let tiles = pooled.par_chunks_mut(tile * channels);
        let tiles = tiles.zip(all.par_chunks_mut(tile * output.len()));
        self.run_keeping(parameters, x, tiles, keep, |y, (pooled, maps)| {
            pool::means(y, channels, pooled);
            maps.copy_from_slice(y);
        })?;
        let pooled = Tensor::from_vec(pooled, (maps, channels), &Device::Cpu)?;
        Ok((pooled, self.maps_of(all)?))
    }

    /// Runs all tiles forward in training, and keeps what `keep` asks for.
    fn run_keeping<T: Send>(
        &mut self,
        parameters: &Parameters,
        x: &Tensor,
        out: impl IndexedParallelIterator<Item = T>,
        keep: Keep,
        last: impl Fn(&[f32], T) + Sync,
    ) -> Result<()> {
        let maps = x.dim(0)?;
        let mut kept = std::mem::take(&mut self.kept);
        if keep == Keep::Activations {
            kept.resize_with(maps.div_ceil(self.tile(maps)), Buffer::default);
        }
        let slots = (keep == Keep::Activations).then_some(&mut kept[..]);
        let ran = self.run(parameters, x, out, slots, last);
        self.kept = kept;
        ran
    }

    /// Runs all tiles forward. For each tile, `last` gets the output maps, and the item of `out`.
    fn run<T: Send>(
        &self,
        parameters: &Parameters,
        x: &Tensor,
        out: impl IndexedParallelIterator<Item = T>,
        kept: Option<&mut [Buffer]>,
        last: impl Fn(&[f32], T) + Sync,
    ) -> Result<()> {
        let program = &self.program;
        with_all_values(parameters, "parameters", |parameters| {
            with_values(x, "forward", |x| {
                let weights = Weights { convolutions: &self.convolutions, parameters };
                let forward = |x: &[f32], kept: Option<&mut Buffer>, out: T| {
                    let mut scratch = self.borrow();
                    let kept = kept.map(|it| it.get(x.len() / program.input.len() * program.kept));
                    program.forward(&weights, x, kept, &mut scratch, |y| last(y, out));
                    self.give_back(scratch);
                };
                let tile = self.tile(x.len() / program.input.len());
                let tiles = x.par_chunks(tile * program.input.len());
                let tiles = tiles.zip(out);
                match kept {
                    Some(kept) => {
                        tiles.zip(kept).for_each(|((x, out), kept)| forward(x, Some(kept), out))
                    }
                    None => tiles.for_each(|(x, out)| forward(x, None, out)),
                }
                Ok(())
            })
        })?;
        Ok(())
    }

    /// The gradients of all parameters, in order, given the gradient of the vectors that [`Self::pooled`] computed from
    /// `x`.
    ///
    /// Each thread sums a fixed share of the tiles, and the shares are added in order. So the gradients depend on the
    /// number of threads, and on nothing else.
    pub fn gradients(
        &mut self,
        parameters: &Parameters,
        x: &Tensor,
        d_pooled: &Tensor,
        keep: Keep,
        readout: Readout,
    ) -> Result<Vec<Tensor>> {
        let program = &self.program;
        let tile = self.tile(x.dim(0)?);
        let tiles = x.dim(0)?.div_ceil(tile);
        let share = tiles.div_ceil(rayon::current_num_threads()).max(1);
        let shares = tiles.div_ceil(share).max(1);
        self.sums.resize_with(shares, || Sums::of(program));
        let mut sums = std::mem::take(&mut self.sums);
        with_all_values(parameters, "parameters", |parameters| {
            with_values(x, "backward", |x| {
                with_values(d_pooled, "backward", |d_pooled| {
                    let weights = Weights { convolutions: &self.convolutions, parameters };
                    sums.par_iter_mut().enumerate().for_each(|(index, sums)| {
                        let mut scratch = self.borrow();
                        sums.clear();
                        let tiles = index * share..tiles.min((index + 1) * share);
                        let x = x.chunks(tile * program.input.len());
                        let len = match readout {
                            Readout::Mean => program.output.channels,
                            Readout::Steps => program.output.len(),
                        };
                        let d_pooled = d_pooled.chunks(tile * len);
                        let of_tile = x.zip(d_pooled).enumerate();
                        for (tile, of_tile) in of_tile.skip(tiles.start).take(tiles.len()) {
                            let kept = match keep {
                                Keep::Activations => Some(&self.kept[tile]),
                                Keep::Nothing => None,
                            };
                            let first = |dy: &mut [f32]| match readout {
                                Readout::Mean => {
                                    pool::spread(of_tile.1, program.output.channels, dy);
                                }
                                Readout::Steps => dy.copy_from_slice(of_tile.1),
                            };
                            self.tile_back(&weights, of_tile.0, first, kept, &mut scratch, sums);
                        }
                        self.give_back(scratch);
                    });
                    Ok(())
                })
            })
        })?;
        let gradients = parameters.par_iter().enumerate().map(|(index, parameter)| {
            let gradient = Sums::total(&sums, index);
            Ok(Tensor::from_vec(gradient, parameter.shape(), &Device::Cpu)?)
        });
        let gradients = gradients.collect();
        self.sums = sums;
        gradients
    }

    fn tile_back(
        &self,
        weights: &Weights<'_>,
        x: &[f32],
        first: impl FnOnce(&mut [f32]),
        kept: Option<&Buffer>,
        scratch: &mut Scratch,
        sums: &mut Sums,
    ) {
        let program = &self.program;
        let len = x.len() / program.input.len() * program.kept;
        match kept {
            Some(kept) => program.backward(weights, x, kept.read(len), scratch, sums, first),
            None => {
                let mut again = std::mem::take(&mut scratch.again);
                program.forward(weights, x, Some(again.get(len)), scratch, |_| ());
                program.backward(weights, x, again.read(len), scratch, sums, first);
                scratch.again = again;
            }
        }
    }

    pub fn memory(&mut self) -> Memory {
        let scratch = self.scratch.get_mut().unwrap_or_else(PoisonError::into_inner);
        let sum = |bytes: &mut dyn Iterator<Item = usize>| bytes.sum::<usize>() as u64;
        Memory {
            kept: sum(&mut self.kept.iter().map(Buffer::bytes)),
            gradients: sum(&mut self.sums.iter().map(Sums::bytes)),
            packed: sum(&mut self.convolutions.iter().map(|conv| conv.packed.bytes())),
            scratch: sum(&mut scratch.iter().map(Scratch::bytes)),
        }
    }

    /// Seconds that threads have spent in each layer, forward and back, since the last call.
    pub fn seconds(&mut self) -> Vec<[f64; 2]> {
        let scratch = self.scratch.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut total = vec![[0.0; 2]; self.program.steps.len()];
        for seconds in scratch.iter_mut().map(|it| std::mem::take(&mut it.seconds)) {
            for (total, seconds) in total.iter_mut().zip(seconds) {
                (0..2).for_each(|way| total[way] += seconds[way]);
            }
        }
        total
    }

    /// The number of maps per tile, for a batch of `maps` maps.
    fn tile(&self, maps: usize) -> usize {
        gimlet_kernel::tile(maps, self.program.tile)
    }

    fn borrow(&self) -> Scratch {
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn give_back(&self, scratch: Scratch) {
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
    }
}
