//! The sizes of a convolution, and the im2col form of its input.

/// The sizes of a 2d convolution over `images` maps `[height, width, channels]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    pub images: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Height and width of the kernel.
    pub kernel: usize,
    pub stride: usize,
    /// Zeros added on each side.
    pub padding: usize,
    pub out_channels: usize,
}

impl Geometry {
    /// Height of the output map.
    pub fn out_height(&self) -> usize {
        (self.height + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Width of the output map.
    pub fn out_width(&self) -> usize {
        (self.width + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Positions in an output map.
    pub(super) fn out_positions(&self) -> usize {
        self.out_height() * self.out_width()
    }

    /// Values in one input map.
    pub(super) fn in_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Values in one output map.
    pub(super) fn out_len(&self) -> usize {
        self.out_positions() * self.out_channels
    }

    /// Values that one output position reads: `kernel * kernel * channels`.
    pub(crate) fn taps(&self) -> usize {
        self.kernel * self.kernel * self.channels
    }

    /// Whether the input already is its own im2col form.
    pub(super) fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.padding == 0
    }

    /// The convolution that carries gradients from the output back to the input: with stride 1 it
    /// is an ordinary one, and faster than adding up what each output position read.
    pub(super) fn transposed(&self) -> Option<Geometry> {
        if self.stride != 1 || self.is_pointwise() {
            return None;
        }
        let padding = (self.kernel - 1).checked_sub(self.padding)?;
        Some(Geometry {
            height: self.out_height(),
            width: self.out_width(),
            channels: self.out_channels,
            out_channels: self.channels,
            padding,
            ..*self
        })
    }

    /// Images whose im2col form fits half a second-level cache.
    ///
    /// It depends on the shape of one image alone, so an image's result does not depend on the
    /// batch it comes in.
    pub(super) fn images_per_tile(&self) -> usize {
        ((1 << 16) / (self.out_positions() * self.taps()).max(1)).max(1)
    }

    /// Values of the im2col form that a thread holds at once; none where the input is its own.
    pub(crate) fn tile_values(&self) -> usize {
        let image = self.out_positions() * self.taps();
        if self.is_pointwise() { 0 } else { self.images_per_tile() * image }
    }

    /// Writes the `[out_height * out_width, kernel * kernel * channels]` patches of one image.
    pub(super) fn im2col(&self, image: &[f32], columns: &mut [f32]) {
        let mut rows = columns.chunks_exact_mut(self.taps());
        for y in 0..self.out_height() {
            for x in 0..self.out_width() {
                let Some(row) = rows.next() else { return };
                for (ky, taps) in row.chunks_exact_mut(self.kernel * self.channels).enumerate() {
                    match self.span(y, x, ky) {
                        None => taps.fill(0.0),
                        Some(Span { before, from, len }) => {
                            taps[..before].fill(0.0);
                            taps[before..before + len].copy_from_slice(&image[from..from + len]);
                            taps[before + len..].fill(0.0);
                        }
                    }
                }
            }
        }
    }

    /// Adds the patches of [`Self::im2col`] back to the places in the image that they came from.
    pub(super) fn col2im(&self, columns: &[f32], image: &mut [f32]) {
        let mut rows = columns.chunks_exact(self.taps());
        for y in 0..self.out_height() {
            for x in 0..self.out_width() {
                let Some(row) = rows.next() else { return };
                for (ky, taps) in row.chunks_exact(self.kernel * self.channels).enumerate() {
                    if let Some(Span { before, from, len }) = self.span(y, x, ky) {
                        let taps = &taps[before..before + len];
                        for (to, tap) in image[from..from + len].iter_mut().zip(taps) {
                            *to += tap;
                        }
                    }
                }
            }
        }
    }

    /// What row `ky` of the kernel reads at output position `(y, x)`: in channels-last these values
    /// are contiguous. `None` where the whole row lies in the padding.
    fn span(&self, y: usize, x: usize, ky: usize) -> Option<Span> {
        let row = (y * self.stride + ky).checked_sub(self.padding)?;
        if row >= self.height {
            return None;
        }
        let left = x * self.stride;
        let start = left.max(self.padding);
        let end = (left + self.kernel).min(self.width + self.padding);
        (start < end).then(|| Span {
            before: (start - left) * self.channels,
            from: (row * self.width + start - self.padding) * self.channels,
            len: (end - start) * self.channels,
        })
    }
}

/// A run of values of an image within a row of kernel taps.
struct Span {
    /// Taps before it that lie in the padding.
    before: usize,
    /// Where it starts in the image.
    from: usize,
    len: usize,
}
