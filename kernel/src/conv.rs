//! Convolution on one thread, over a few maps at a time: forward, and both gradients.
//!
//! No im2col form is written, and no zeros around the maps. In channels-last, the values that a window reads are
//! adjacent in each of its rows, so the products read them where they are ([`super::product`]). Positions whose
//! windows reach the same taps are computed together, so nothing is multiplied with padding. On a map of 4x4, this
//! saves a kernel of 3x3 a third of the products.

use super::Geometry;
use super::gathered::Gathered;
use super::geometry::{Class, Phase};
use super::outer::add_outer;
use super::panels::Panels;
use super::product::{Write, multiply};

/// The fewest channels for which weight gradients go tap by tap.
const FEW_CHANNELS: usize = 12;

/// A convolution of up to `maps` maps at a time, with weights `[kernel, kernel, channels, out_channels]`.
#[derive(Debug)]
pub struct Convolution {
    pub(super) geometry: Geometry,
    /// The most maps at a time.
    pub(super) most_maps: usize,
    forward: Vec<Class>,
    back: Vec<Phase>,
    /// The classes for the gradient of the weights; empty where those of the forward pass are used.
    by_tap: Vec<Class>,
}

/// A convolution's weights, in the order in which products read them.
#[derive(Default)]
pub struct Packed {
    forward: Panels,
    /// The weights for each phase of the backward pass; empty where the input's gradient is not needed.
    back: Vec<Panels>,
}

impl Packed {
    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.forward.bytes() + self.back.iter().map(Panels::bytes).sum::<usize>()
    }
}

impl Convolution {
    /// A convolution of up to `maps` maps at a time.
    pub fn new(geometry: Geometry, maps: usize) -> Self {
        let (forward, back) = (geometry.reads(maps), geometry.reads_back(maps));
        // Tap by tap, every gradient is added to its sum once. Few channels are too little work per tap.
        let by_tap = match geometry.channels {
            FEW_CHANNELS.. => geometry.reads_by_tap(maps),
            _ => Vec::new(),
        };
        Self { geometry, most_maps: maps, forward, back, by_tap }
    }

    /// Packs `weight` for forward passes.
    pub fn pack(&self, weight: &[f32], packed: &mut Packed) {
        let n = self.geometry.out_channels;
        packed.forward.pack(weight, (self.geometry.taps(), n), 1, |p| p * n);
    }

    /// Packs `weight` for [`Self::input_gradient`].
    pub fn pack_back(&self, weight: &[f32], packed: &mut Packed) {
        let Geometry { kernel, stride, channels, out_channels, .. } = self.geometry;
        packed.back.resize_with(self.back.len(), Panels::default);
        for (phase, panels) in self.back.iter().zip(&mut packed.back) {
            let [down, across] = phase.taps;
            panels.pack(weight, (down * across * out_channels, channels), out_channels, |p| {
                let (tap, out) = (p / out_channels, p % out_channels);
                // The window of a gradient holds the last tap first.
                let y = phase.first_tap[0] + stride[0] * (down - 1 - tap / across);
                let x = phase.first_tap[1] + stride[1] * (across - 1 - tap % across);
                (y * kernel[1] + x) * channels * out_channels + out
            });
        }
    }

    /// The number of maps in `x`, which have `len` values each.
    fn maps(&self, x: &[f32], len: usize) -> usize {
        let maps = x.len() / len;
        let most = self.most_maps;
        assert!(maps * len == x.len() && maps <= most, "up to {most} whole maps");
        maps
    }

    /// Convolves `x` `[maps, height, width, channels]`, applies `write`, and stores the result in `y`.
    pub fn forward(&self, packed: &Packed, x: &[f32], y: &mut [f32], write: Write<'_>) {
        let maps = self.maps(x, self.geometry.in_len());
        assert_eq!(y.len(), maps * self.geometry.out_len(), "output of a convolution");
        for class in &self.forward {
            let (rows, places) = self.rows(class, x, maps);
            multiply(rows, &packed.forward, y, Some(places), write);
        }
    }

    /// Computes the gradient of the input from `dy`, that of the output, applies `write`, and stores it in `dx`.
    pub fn input_gradient(&self, packed: &Packed, dy: &[f32], dx: &mut [f32], write: Write<'_>) {
        let maps = self.maps(dy, self.geometry.out_len());
        assert_eq!(dx.len(), maps * self.geometry.in_len(), "input gradient of a convolution");
        for (phase, panels) in self.back.iter().zip(&packed.back) {
            for class in &phase.classes {
                let (rows, places) = self.rows(class, dy, maps);
                multiply(rows, panels, dx, Some(places), write);
            }
        }
    }

    /// Adds the gradients of weight and bias over the maps of `x` and `dy` to `dw` and `db`.
    ///
    /// `db` is f64 because the terms of a bias's gradient mostly cancel: in f32 their sum would lose its digits.
    pub fn add_weight_gradient(&self, x: &[f32], dy: &[f32], dw: &mut [f32], db: &mut [f64]) {
        let maps = self.maps(x, self.geometry.in_len());
        let classes = if self.by_tap.is_empty() { &self.forward } else { &self.by_tap };
        for class in classes {
            let (rows, places) = self.rows(class, x, maps);
            add_outer(rows, dy, places, self.geometry.out_channels, dw);
        }
        add_rows(dy, db);
    }

    /// A class of the first `maps` maps: its windows in `values`, and the places that belong to these windows.
    fn rows<'a>(
        &self,
        class: &'a Class,
        values: &'a [f32],
        maps: usize,
    ) -> (Gathered<'a>, &'a [u32]) {
        let rows = class.starts.len() / self.most_maps * maps;
        let (starts, segments) = (&class.starts[..rows], &class.segments[..]);
        (Gathered { values, starts, segments }, &class.places[..rows])
    }
}

/// Adds the sum of the rows of `dy` to `db`: a few rows at a time in f32, and these sums in f64.
fn add_rows(dy: &[f32], db: &mut [f64]) {
    const ROWS: usize = 32;
    let n = db.len().max(1);
    let mut sums = vec![0.0f32; n];
    for rows in dy.chunks(ROWS * n) {
        sums.fill(0.0);
        for row in rows.chunks_exact(n) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        db.iter_mut().zip(&sums).for_each(|(sum, value)| *sum += f64::from(*value));
    }
}
