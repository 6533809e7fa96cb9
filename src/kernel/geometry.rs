//! The sizes of a convolution, and where in memory its input lies.

use super::product::Segment;

/// The sizes of a convolution over a map `[height, width, channels]`. In pairs, the first number is
/// down, the second across; a 1d convolution has a height and a kernel of 1 down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Geometry {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    /// Zeros added on each side.
    pub padding: [usize; 2],
    pub out_channels: usize,
}

impl Geometry {
    /// Whether the kernel fits the padded map, and no size makes the convolution meaningless.
    pub fn is_possible(&self) -> bool {
        let fits = |side: usize, axis: usize| {
            self.kernel[axis] > 0
                && self.stride[axis] > 0
                && side + 2 * self.padding[axis] >= self.kernel[axis]
        };
        fits(self.height, 0) && fits(self.width, 1)
    }

    /// Height of the output map.
    pub fn out_height(&self) -> usize {
        (self.height + 2 * self.padding[0] - self.kernel[0]) / self.stride[0] + 1
    }

    /// Width of the output map.
    pub fn out_width(&self) -> usize {
        (self.width + 2 * self.padding[1] - self.kernel[1]) / self.stride[1] + 1
    }

    /// Positions in an output map.
    pub fn out_positions(&self) -> usize {
        self.out_height() * self.out_width()
    }

    /// Values in the input map.
    pub fn in_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Values in the output map.
    pub fn out_len(&self) -> usize {
        self.out_positions() * self.out_channels
    }

    /// Values that one output position reads.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.channels
    }
}

/// A map with zeros around it: `[height, width, channels]` becomes
/// `[before + height + after, …, channels]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub before: [usize; 2],
    pub after: [usize; 2],
}

impl Frame {
    pub fn framed_width(&self) -> usize {
        self.before[1] + self.width + self.after[1]
    }

    /// Values of a framed map.
    pub fn len(&self) -> usize {
        (self.before[0] + self.height + self.after[0]) * self.framed_width() * self.channels
    }

    /// Whether there are no zeros to add.
    pub fn is_bare(&self) -> bool {
        self.before == [0; 2] && self.after == [0; 2]
    }

    /// Writes maps, one after the other, with their zeros.
    pub fn fill(&self, maps: &[f32], framed: &mut [f32]) {
        let row = self.width * self.channels;
        let framed_row = self.framed_width() * self.channels;
        let left = self.before[1] * self.channels;
        let maps = maps.chunks_exact(self.height * row);
        for (map, framed) in maps.zip(framed.chunks_exact_mut(self.len())) {
            let (top, rest) = framed.split_at_mut(self.before[0] * framed_row);
            let (middle, bottom) = rest.split_at_mut(self.height * framed_row);
            top.fill(0.0);
            bottom.fill(0.0);
            for (from, to) in map.chunks_exact(row).zip(middle.chunks_exact_mut(framed_row)) {
                to[..left].fill(0.0);
                to[left..left + row].copy_from_slice(from);
                to[left + row..].fill(0.0);
            }
        }
    }
}

/// What the output positions of a convolution read of its framed input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reads {
    pub frame: Frame,
    /// For each output position of each map, in order, where its window begins.
    pub starts: Vec<u32>,
    /// The rows of the window.
    pub segments: Vec<Segment>,
}

impl Geometry {
    /// What the forward pass over `maps` maps reads.
    pub(super) fn reads(&self, maps: usize) -> Reads {
        let used = |out: usize, axis: usize| (out - 1) * self.stride[axis] + self.kernel[axis];
        let after = |side: usize, out: usize, axis: usize| {
            // A last row that no window reaches needs no zeros.
            used(out, axis).saturating_sub(side + self.padding[axis])
        };
        let frame = Frame {
            height: self.height,
            width: self.width,
            channels: self.channels,
            before: self.padding,
            after: [
                after(self.height, self.out_height(), 0),
                after(self.width, self.out_width(), 1),
            ],
        };
        let row = frame.framed_width() * self.channels;
        let mut starts = Vec::with_capacity(maps * self.out_positions());
        for map in 0..maps {
            for y in 0..self.out_height() {
                for x in 0..self.out_width() {
                    let (down, across) = (y * self.stride[0] * row, x * self.stride[1]);
                    starts.push((map * frame.len() + down + across * self.channels) as u32);
                }
            }
        }
        let segments = segments(self.kernel[0], row, self.kernel[1] * self.channels);
        Reads { frame, starts, segments }
    }

    /// What the pass back over `maps` maps reads of the output's gradient: as many convolutions as
    /// the stride leaves different places in the input, each with the taps that reach them.
    pub(super) fn reads_back(&self, maps: usize) -> (Frame, Vec<Phase>) {
        let (down, across) = (self.axis(0), self.axis(1));
        let frame = Frame {
            height: self.out_height(),
            width: self.out_width(),
            channels: self.out_channels,
            before: [down.before, across.before],
            after: [down.after, across.after],
        };
        let row = frame.framed_width() * self.out_channels;
        let mut phases = Vec::new();
        for vertical in &down.phases {
            for horizontal in &across.phases {
                let mut phase = Phase {
                    first_tap: [vertical.tap, horizontal.tap],
                    taps: [vertical.taps, horizontal.taps],
                    starts: Vec::new(),
                    places: Vec::new(),
                    segments: segments(vertical.taps, row, horizontal.taps * self.out_channels),
                };
                for map in 0..maps {
                    for (y, from_y) in vertical.positions() {
                        for (x, from_x) in horizontal.positions() {
                            let from =
                                map * frame.len() + from_y * row + from_x * self.out_channels;
                            let to = (map * self.height + y) * self.width + x;
                            phase.starts.push(from as u32);
                            phase.places.push((to * self.channels) as u32);
                        }
                    }
                }
                phases.push(phase);
            }
        }
        (frame, phases)
    }

    /// One axis of the pass back.
    fn axis(&self, axis: usize) -> Axis {
        let (side, out) = match axis {
            0 => (self.height, self.out_height()),
            _ => (self.width, self.out_width()),
        };
        let (kernel, stride, padding) = (self.kernel[axis], self.stride[axis], self.padding[axis]);
        // Input position i is read by tap t of output (i + padding - t) / stride, where that is whole.
        let phases: Vec<AxisPhase> = (0..stride)
            .map(|remainder| AxisPhase {
                tap: remainder,
                taps: kernel.saturating_sub(remainder).div_ceil(stride),
                first: (remainder + stride - padding % stride) % stride,
                stride,
                padding,
                side,
                before: 0,
            })
            .filter(|phase| phase.first < side)
            .collect();
        let mut frame = (0, 0);
        for phase in phases.iter().filter(|phase| phase.taps > 0) {
            let last = phase.first + (side - 1 - phase.first) / stride * stride;
            frame.0 =
                frame.0.max((phase.taps - 1).saturating_sub((phase.first + padding) / stride));
            frame.1 = frame.1.max(((last + padding) / stride + 1).saturating_sub(out));
        }
        let phases = phases.into_iter().map(|phase| AxisPhase { before: frame.0, ..phase });
        Axis { before: frame.0, after: frame.1, phases: phases.collect() }
    }
}

fn segments(rows: usize, row: usize, len: usize) -> Vec<Segment> {
    let len = len as u32;
    (0..rows)
        .map(|index| Segment { offset: (index * row) as u32, len })
        .filter(|it| it.len > 0)
        .collect()
}

/// The part of a pass back that the same taps reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Phase {
    /// The first tap down and across, and how many there are, a stride apart.
    pub first_tap: [usize; 2],
    pub taps: [usize; 2],
    /// For each input position of the phase, where its window in the framed gradient begins.
    pub starts: Vec<u32>,
    /// Where the input position lies.
    pub places: Vec<u32>,
    pub segments: Vec<Segment>,
}

struct Axis {
    before: usize,
    after: usize,
    phases: Vec<AxisPhase>,
}

/// Input positions that the same taps reach, along one axis.
struct AxisPhase {
    tap: usize,
    taps: usize,
    /// The first of the positions; the others are a stride apart.
    first: usize,
    stride: usize,
    padding: usize,
    side: usize,
    /// Zeros before the gradient.
    before: usize,
}

impl AxisPhase {
    /// Each position, and where in the framed gradient its window begins: at its last tap's.
    fn positions(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        (self.first..self.side).step_by(self.stride).map(|position| {
            let last = (position + self.padding) / self.stride + self.before + 1;
            // Without a tap there is nothing to read.
            (position, if self.taps == 0 { 0 } else { last - self.taps })
        })
    }
}
