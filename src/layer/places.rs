//! Where layers stand in the published code.

/// Counts what the published code counts, over the layers of a module in order.
#[derive(Debug, Default)]
pub struct Places {
    index: usize,
    along: usize,
    /// Kind and width of the block before, its stage and its number in that.
    block: Option<((&'static str, usize), usize, usize)>,
}

impl Places {
    /// Goes on to the next layer.
    pub fn advance(&mut self) {
        self.index += 1;
    }

    /// The number of the layer in its module.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The number of a convolution among those along time.
    pub fn along(&mut self) -> usize {
        self.along += 1;
        self.along - 1
    }

    /// Where a residual block stands. A stage begins at a block that strides, or is of another kind or width than
    /// the block before it.
    pub fn block(&mut self, kind: &'static str, width: usize, stride: usize) -> String {
        let like = (kind, width);
        let (stage, number) = match self.block {
            None => (0, 0),
            Some((before, stage, number)) if before == like && stride == 1 => (stage, number + 1),
            Some((_, stage, _)) => (stage + 1, 0),
        };
        self.block = Some((like, stage, number));
        format!("model.layer {stage}.{number}")
    }
}

/// The published shape of a parameter: of a convolution `[h, w, in, out]` it is `[out, in, h, w]`, of a projection
/// `[in, out]` `[out, in]`.
pub fn turned(ours: &[usize]) -> Vec<usize> {
    match *ours {
        [down, across, from, to] => vec![to, from, down, across],
        [from, to] => vec![to, from],
        _ => ours.to_vec(),
    }
}
