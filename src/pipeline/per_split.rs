//! One value for each split.

use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

use super::Split;
use crate::Result;

/// One value for each split. Records hold it as `{ "train": …, "test": … }`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerSplit<T> {
    /// The value for the train split.
    pub train: T,
    /// The value for the test split.
    pub test: T,
}

impl<T> PerSplit<T> {
    /// Calls `make` for each split.
    pub fn from_fn(mut make: impl FnMut(Split) -> T) -> Self {
        Self { train: make(Split::Train), test: make(Split::Test) }
    }

    /// Calls `make` for each split, and stops at an error.
    ///
    /// # Errors
    /// The errors of `make`.
    pub fn try_from_fn(mut make: impl FnMut(Split) -> Result<T>) -> Result<Self> {
        Ok(Self { train: make(Split::Train)?, test: make(Split::Test)? })
    }

    /// Calls `make` on the value of each split.
    pub fn map<U>(self, mut make: impl FnMut(T) -> U) -> PerSplit<U> {
        PerSplit { train: make(self.train), test: make(self.test) }
    }

    /// References to both values.
    pub fn as_ref(&self) -> PerSplit<&T> {
        PerSplit { train: &self.train, test: &self.test }
    }

    /// Both values with their splits, the train split first.
    pub fn iter(&self) -> impl Iterator<Item = (Split, &T)> {
        [(Split::Train, &self.train), (Split::Test, &self.test)].into_iter()
    }
}

impl<T> IntoIterator for PerSplit<T> {
    type Item = (Split, T);
    type IntoIter = std::array::IntoIter<(Split, T), 2>;

    fn into_iter(self) -> Self::IntoIter {
        [(Split::Train, self.train), (Split::Test, self.test)].into_iter()
    }
}

impl<T> Index<Split> for PerSplit<T> {
    type Output = T;

    fn index(&self, split: Split) -> &T {
        match split {
            Split::Train => &self.train,
            Split::Test => &self.test,
        }
    }
}

impl<T> IndexMut<Split> for PerSplit<T> {
    fn index_mut(&mut self, split: Split) -> &mut T {
        match split {
            Split::Train => &mut self.train,
            Split::Test => &mut self.test,
        }
    }
}
