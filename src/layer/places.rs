//! The places of layers in the published code.

/// Counts the layers of a module in order, as the published code does.
#[derive(Debug, Default)]
pub struct Places {
    index: usize,
    along: usize,
    /// Kind and width of the block before, its stage, and its number in the stage.
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

    /// The number of the next convolution along time; counts on with each call.
    pub fn along(&mut self) -> usize {
        self.along += 1;
        self.along - 1
    }

    /// The place of a residual block. A stage begins at a block that has a stride, or whose kind or width differs from
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

/// The published shape of a parameter: `[out, in, h, w]` for the weight `[h, w, in, out]` of a convolution, and
/// `[out, in]` for a projection `[in, out]`.
pub fn turned(ours: &[usize]) -> Vec<usize> {
    match *ours {
        [down, across, from, to] => vec![to, from, down, across],
        [from, to] => vec![to, from],
        _ => ours.to_vec(),
    }
}
