//! Convolution on one thread, over a few maps at a time: forward, and both gradients.
//!
//! No im2col form is written. In channels-last the values that a window reads lie side by side in
//! each of its rows, so the products read them where they are, from a copy of the maps with zeros
//! around them where there is padding ([`super::product`]).

use super::geometry::{Frame, Phase, Reads};
use super::product::{Gathered, Panels, Write, add_outer, multiply};
use super::{Buffer, Geometry};

/// A convolution of up to `maps` maps at a time, with weights
/// `[kernel, kernel, channels, out_channels]`.
#[derive(Debug)]
pub struct Convolution {
    geometry: Geometry,
    maps: usize,
    forward: Reads,
    back: (Frame, Vec<Phase>),
}

/// A convolution's weights in the order in which products read them.
#[derive(Default)]
pub struct Packed {
    forward: Panels,
    /// One for each phase of the pass back; none where nobody asks for the input's gradient.
    back: Vec<Panels>,
}

impl Convolution {
    /// The convolution of up to `maps` maps at a time.
    pub fn new(geometry: Geometry, maps: usize) -> Self {
        Self { geometry, maps, forward: geometry.reads(maps), back: geometry.reads_back(maps) }
    }

    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The most maps at a time.
    pub fn most_maps(&self) -> usize {
        self.maps
    }

    /// Packs `weight` for forward passes.
    pub fn pack(&self, weight: &[f32], packed: &mut Packed) {
        let n = self.geometry.out_channels;
        packed.forward.pack(weight, (self.geometry.taps(), n), 1, |p| p * n);
    }

    /// Packs `weight` for [`Self::input_gradient`].
    pub fn pack_back(&self, weight: &[f32], packed: &mut Packed) {
        let Geometry { kernel, stride, channels, out_channels, .. } = self.geometry;
        packed.back.resize_with(self.back.1.len(), Panels::default);
        for (phase, panels) in self.back.1.iter().zip(&mut packed.back) {
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

    /// The maps there are in `x`.
    fn maps(&self, x: &[f32], len: usize) -> usize {
        let maps = x.len() / len;
        assert!(maps * len == x.len() && maps <= self.maps, "up to {} whole maps", self.maps);
        maps
    }

    /// `x` `[maps, height, width, channels]` through the convolution, then through `write`, to `y`.
    pub fn forward(
        &self,
        packed: &Packed,
        x: &[f32],
        framed: &mut Buffer,
        y: &mut [f32],
        write: Write<'_>,
    ) {
        let maps = self.maps(x, self.geometry.in_len());
        assert_eq!(y.len(), maps * self.geometry.out_len(), "output of a convolution");
        let rows = maps * self.geometry.out_positions();
        multiply(self.rows(&self.forward, x, framed, rows), &packed.forward, y, None, write);
    }

    /// The gradient of the input, given that of the output, through `write`, to `dx`.
    pub fn input_gradient(
        &self,
        packed: &Packed,
        dy: &[f32],
        framed: &mut Buffer,
        dx: &mut [f32],
        write: Write<'_>,
    ) {
        let maps = self.maps(dy, self.geometry.out_len());
        assert_eq!(dx.len(), maps * self.geometry.in_len(), "input gradient of a convolution");
        let (frame, phases) = &self.back;
        let values = framed_maps(frame, dy, framed);
        for (phase, panels) in phases.iter().zip(&packed.back) {
            let rows = maps * (phase.starts.len() / self.maps);
            let (starts, segments) = (&phase.starts[..rows], &phase.segments[..]);
            let left = Gathered { values, starts, segments };
            multiply(left, panels, dx, Some(&phase.places[..rows]), write);
        }
    }

    /// Adds the gradients of weight and bias over the maps of `x` and `dy`.
    ///
    /// The terms of a bias's gradient mostly cancel: in f32 their sum would lose its digits.
    pub fn add_weight_gradient(
        &self,
        x: &[f32],
        dy: &[f32],
        framed: &mut Buffer,
        dw: &mut [f32],
        db: &mut [f64],
    ) {
        let maps = self.maps(x, self.geometry.in_len());
        let (rows, n) = (maps * self.geometry.out_positions(), self.geometry.out_channels);
        add_outer(self.rows(&self.forward, x, framed, rows), dy, n, dw);
        add_rows(dy, db);
    }

    fn rows<'a>(
        &self,
        reads: &'a Reads,
        x: &'a [f32],
        framed: &'a mut Buffer,
        rows: usize,
    ) -> Gathered<'a> {
        let values = framed_maps(&reads.frame, x, framed);
        Gathered { values, starts: &reads.starts[..rows], segments: &reads.segments }
    }
}

fn framed_maps<'a>(frame: &Frame, maps: &'a [f32], framed: &'a mut Buffer) -> &'a [f32] {
    if frame.is_bare() {
        return maps;
    }
    let count = maps.len() / (frame.height * frame.width * frame.channels).max(1);
    let framed = framed.get(count * frame.len());
    frame.fill(maps, framed);
    framed
}

/// Adds the sum of the rows of `dy` to `db`: few at a time in f32, the rest in f64.
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
