//! The window of a batch of sequences: which vectors predict which.

/// The steps that predict and are predicted: `len` from `start` on, of the `rows` of each sequence.
///
/// Vectors are numbered over all steps of all sequences, `b * rows + t`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// The number of sequences.
    pub batch: usize,
    pub rows: usize,
    pub start: usize,
    pub len: usize,
}

impl Window {
    /// The number of vectors of the batch.
    pub fn vectors(self) -> usize {
        self.batch * self.rows
    }

    /// The number of positions that predict the vector `ahead` steps later.
    pub fn positions(self, ahead: usize) -> usize {
        self.batch * self.len.saturating_sub(ahead)
    }

    /// The number of the target of each position that predicts `ahead` steps later, by sequence and step.
    pub fn targets(self, ahead: usize) -> impl Iterator<Item = u32> {
        let Self { batch, rows, start, len } = self;
        let steps = start + ahead..start + len.max(ahead);
        (0..batch).flat_map(move |b| steps.clone().map(move |t| (b * rows + t) as u32))
    }
}
