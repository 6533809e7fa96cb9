//! A share of the parts of a generation, for writers that write it together.

use std::fmt;

/// Shard `index` of `count`, from 0: the parts of a generation whose number modulo `count` is `index`. There may be
/// more shards than parts; some have nothing to do then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// The single shard that has all parts.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Shard `index` of `count`; `None` unless `index` is below `count`.
    pub fn new(index: usize, count: usize) -> Option<Self> {
        (index < count).then_some(Self { index, count })
    }

    /// The number of this shard, from 0.
    pub fn index(self) -> usize {
        self.index
    }

    /// The number of shards.
    pub fn count(self) -> usize {
        self.count
    }

    /// Whether this is the only shard.
    pub fn is_whole(self) -> bool {
        self.count == 1
    }

    /// Whether part number `place`, from 0, belongs to this shard.
    pub fn has(self, place: usize) -> bool {
        place % self.count == self.index
    }
}

/// Shows the shard as "2/8".
impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}
