//! A share of the parts of a generation, for writers that write it together.

use std::fmt;

/// Shard `index` of `count`, from 0: of the parts of a generation those whose place leaves `index` when
/// divided by `count`. There may be more shards than parts: some have nothing to do then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// All parts.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// `None` unless `index` is below `count`.
    pub fn new(index: usize, count: usize) -> Option<Self> {
        (index < count).then_some(Self { index, count })
    }

    /// Which one it is, from 0.
    pub fn index(self) -> usize {
        self.index
    }

    /// How many there are.
    pub fn count(self) -> usize {
        self.count
    }

    /// Whether it is all there is.
    pub fn is_whole(self) -> bool {
        self.count == 1
    }

    /// Whether what has this place, from 0, is its own.
    pub fn has(self, place: usize) -> bool {
        place % self.count == self.index
    }
}

/// "2/8".
impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}
