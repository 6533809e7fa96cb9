//! The sizes of a convolution, and where in memory its windows lie.

use std::collections::BTreeMap;

use super::gathered::Segment;

/// The sizes of a convolution over a map `[height, width, channels]`. In pairs, the first number is down, the second
/// across. A 1d convolution has a height of 1 and a kernel of 1 down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// Rows of the map.
    pub height: usize,
    /// Columns of the map.
    pub width: usize,
    /// Channels of the map.
    pub channels: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Steps of the kernel, down and across.
    pub stride: [usize; 2],
    /// Zeros added on each side.
    pub padding: [usize; 2],
    /// Channels of the result.
    pub out_channels: usize,
}

impl Geometry {
    /// Whether kernel and stride are positive, and the kernel fits the padded map.
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

/// Positions whose windows reach the same taps: fewer at an edge of a map, as nothing is multiplied with padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Class {
    /// For each position of each map, in order, the index in the input where its window begins.
    pub starts: Vec<u32>,
    /// For each position, its index in the output.
    pub places: Vec<u32>,
    /// The rows of the window, and the rows of the weights that they are multiplied with.
    pub segments: Vec<Segment>,
}

/// The taps along one axis that reach one position.
struct Window {
    position: usize,
    /// The first place that is read; `len` places are read.
    from: usize,
    len: usize,
    /// The row of the weights that the first place is multiplied with.
    row: usize,
}

impl Geometry {
    /// The classes that the forward pass over `maps` maps reads.
    pub(super) fn reads(&self, maps: usize) -> Vec<Class> {
        let windows = |side: usize, out: usize, axis: usize| -> Vec<Window> {
            let windows = (0..out).map(|position| {
                let begin = position * self.stride[axis];
                let row = self.padding[axis].saturating_sub(begin).min(self.kernel[axis]);
                let from = (begin + row).saturating_sub(self.padding[axis]);
                let end = (begin + self.kernel[axis]).saturating_sub(self.padding[axis]).min(side);
                Window { position, from, len: end.saturating_sub(from), row }
            });
            windows.collect()
        };
        let down = windows(self.height, self.out_height(), 0);
        let across = windows(self.width, self.out_width(), 1);
        let read = [self.height, self.width, self.channels];
        let written = [self.out_height(), self.out_width(), self.out_channels];
        classes(&down, &across, self.kernel[1], (read, written), maps)
    }

    /// The classes that the gradient of each tap's weights over `maps` maps reads: the positions that the tap reaches.
    pub(super) fn reads_by_tap(&self, maps: usize) -> Vec<Class> {
        let reached = |axis: usize, tap: usize| {
            let (side, out) = match axis {
                0 => (self.height, self.out_height()),
                _ => (self.width, self.out_width()),
            };
            let at = move |position: usize| {
                (position * self.stride[axis] + tap).checked_sub(self.padding[axis])
            };
            (0..out).filter_map(move |it| Some((it, at(it).filter(|from| *from < side)?)))
        };
        let mut classes = Vec::new();
        for down in 0..self.kernel[0] {
            for across in 0..self.kernel[1] {
                let row = ((down * self.kernel[1] + across) * self.channels) as u32;
                let segments = vec![Segment { offset: 0, len: self.channels as u32, row }];
                let (mut starts, mut places) = (Vec::new(), Vec::new());
                for map in 0..maps {
                    for (y, from_y) in reached(0, down) {
                        for (x, from_x) in reached(1, across) {
                            let from = (map * self.height + from_y) * self.width + from_x;
                            let to = (map * self.out_height() + y) * self.out_width() + x;
                            starts.push((from * self.channels) as u32);
                            places.push((to * self.out_channels) as u32);
                        }
                    }
                }
                classes.push(Class { starts, places, segments });
            }
        }
        classes
    }

    /// The phases in which the backward pass over `maps` maps reads the output's gradient. There is one convolution
    /// for each offset of an input position within the stride, with the taps that reach these positions.
    pub(super) fn reads_back(&self, maps: usize) -> Vec<Phase> {
        let read = [self.out_height(), self.out_width(), self.out_channels];
        let written = [self.height, self.width, self.channels];
        let mut phases = Vec::new();
        for down in 0..self.stride[0] {
            for across in 0..self.stride[1] {
                let taps = [self.taps_back(0, down), self.taps_back(1, across)];
                let rows = self.windows_back(0, down);
                let columns = self.windows_back(1, across);
                let classes = classes(&rows, &columns, taps[1], (read, written), maps);
                phases.push(Phase { first_tap: [down, across], taps, classes });
            }
        }
        phases
    }

    /// The number of taps along an axis that are `first` or whole strides after it.
    fn taps_back(&self, axis: usize, first: usize) -> usize {
        self.kernel[axis].saturating_sub(first).div_ceil(self.stride[axis])
    }

    /// The input positions that the taps of [`Self::taps_back`] reach. Position i is read by tap t of output (i +
    /// padding - t) / stride, where that is whole; the last tap comes first.
    fn windows_back(&self, axis: usize, first: usize) -> Vec<Window> {
        let (side, out) = match axis {
            0 => (self.height, self.out_height()),
            _ => (self.width, self.out_width()),
        };
        let (stride, padding) = (self.stride[axis], self.padding[axis]);
        let taps = self.taps_back(axis, first);
        let positions = (0..side).filter(|position| (position + padding) % stride == first);
        let windows = positions.map(|position| {
            let end = (position + padding) / stride + 1;
            let row = taps.saturating_sub(end);
            let from = (end + row).saturating_sub(taps);
            Window { position, from, len: end.min(out).saturating_sub(from), row }
        });
        windows.collect()
    }
}

/// Groups all pairs of windows by the taps they reach. `taps_across` is the number of taps on the second axis. `read`
/// and `written` are the shapes `[height, width, channels]` of the maps.
fn classes(
    down: &[Window],
    across: &[Window],
    taps_across: usize,
    (read, written): ([usize; 3], [usize; 3]),
    maps: usize,
) -> Vec<Class> {
    let channels = read[2];
    let mut classes: BTreeMap<[usize; 4], Class> = BTreeMap::new();
    for map in 0..maps {
        for y in down {
            for x in across {
                let class = classes.entry([y.row, y.len, x.row, x.len]).or_insert_with(|| {
                    let segment = |index: usize| Segment {
                        offset: (index * read[1] * channels) as u32,
                        len: (x.len * channels) as u32,
                        row: (((y.row + index) * taps_across + x.row) * channels) as u32,
                    };
                    let segments = (0..if x.len > 0 { y.len } else { 0 }).map(segment).collect();
                    Class { starts: Vec::new(), places: Vec::new(), segments }
                });
                let at = |[height, width, channels]: [usize; 3], y: usize, x: usize| {
                    (((map * height + y) * width + x) * channels) as u32
                };
                let nothing = class.segments.is_empty();
                class.starts.push(if nothing { 0 } else { at(read, y.from, x.from) });
                class.places.push(at(written, y.position, x.position));
            }
        }
    }
    classes.into_values().collect()
}

/// The part of a backward pass that the same taps reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Phase {
    /// The first tap down and across. `taps` is the number of taps, which are one stride apart.
    pub first_tap: [usize; 2],
    pub taps: [usize; 2],
    pub classes: Vec<Class>,
}
