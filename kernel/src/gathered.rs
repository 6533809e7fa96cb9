//! Matrices whose rows are read from where they lie: in channels-last, the windows of a convolution.

/// Adjacent values in a gathered row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The distance of the first value from the row's start.
    pub offset: u32,
    /// The number of values.
    pub len: u32,
    /// The row of the right side that the first value is multiplied with.
    pub row: u32,
}

/// A matrix whose row i consists of the values in all segments, counted from `starts[i]`.
#[derive(Clone, Copy)]
pub struct Gathered<'a> {
    /// The values that the rows are taken from.
    pub values: &'a [f32],
    /// Where each row starts among the values.
    pub starts: &'a [u32],
    /// The segments of each row, counted from its start.
    pub segments: &'a [Segment],
}

impl Gathered<'_> {
    /// The number of rows that the right side must have.
    pub(super) fn inner(&self) -> usize {
        self.segments.iter().map(|it| (it.row + it.len) as usize).max().unwrap_or(0)
    }

    /// Checks that all rows lie within the values.
    ///
    /// # Panics
    /// When a row reaches past the values: the kernels read without a check.
    pub(super) fn check(&self) {
        let reach = self.segments.iter().map(|it| it.offset as usize + it.len as usize).max();
        let last = self.starts.iter().max().map_or(0, |start| *start as usize);
        assert!(last + reach.unwrap_or(0) <= self.values.len(), "rows within the values");
    }
}
