//! An input for tests whose values tell their generation, row and place.

use gimlet_store::Keys;

use super::input::{Input, Layout, Look};
use crate::Result;

/// The number of rows; each is one sample.
pub const ROWS: usize = 60;

/// An input with rows `[2, 4, width, 8]` of rising values.
pub struct Ramps {
    pub generation: u64,
    pub width: usize,
}

impl Ramps {
    pub fn of(generation: u64) -> Self {
        Self { generation, width: 200 }
    }

    /// The values of a row.
    pub fn row(&self, row: u64) -> Vec<f32> {
        let first = (1000 * self.generation + row) as f32;
        (0..self.row_len()).map(|place| first + place as f32 / 16384.0).collect()
    }
}

impl Input for Ramps {
    fn layout(&self) -> Layout {
        Layout { samples: ROWS, views: 1, shape: [2, 4, self.width, 8] }
    }

    fn keys(&self) -> Result<Keys> {
        let ids = (0..ROWS as i64).map(|id| id + 1000 * self.generation as i64).collect();
        Ok(Keys { ids, labels: vec![None; ROWS], sources: None, attributes: vec![] })
    }

    fn will_need(&self, _rows: &[u64], _look: Look) -> Result<()> {
        Ok(())
    }

    fn read(&self, rows: &[u64], _look: Look, out: &mut [f32]) -> Result<()> {
        let places = out.chunks_exact_mut(self.row_len());
        rows.iter().zip(places).for_each(|(row, out)| out.copy_from_slice(&self.row(*row)));
        Ok(())
    }
}
