//! The pooled vectors of a dataset, read in order.

use gimlet_store::{Generation, Reader};
use rayon::prelude::*;

use crate::train::input::POOLED;
use crate::{Error, Result};

/// Rows read at once, at most.
pub const CHUNK: usize = 256;
const CHUNK_BYTES: usize = 8 << 20;

/// The pooled vectors of a dataset: `[rows, columns, channels]` in each row of it.
pub struct Pooled {
    reader: Reader,
    shape: [usize; 3],
}

impl Pooled {
    /// Those of a generation.
    ///
    /// # Errors
    /// When it has none, or cannot be read.
    pub fn open(generation: &Generation) -> Result<Self> {
        let column = generation.manifest().schema.column(POOLED).map(|it| it.shape.as_slice());
        let Some([rows, columns, channels]) = column else {
            let at = generation.dir();
            return Err(Error::failed(format!("`{}` has no pooled vectors", at)));
        };
        let shape = [*rows, *columns, *channels];
        Ok(Self { reader: generation.reader(&[POOLED])?, shape })
    }

    /// Rows of the dataset.
    pub fn rows(&self) -> u64 {
        self.reader.rows()
    }

    /// Of one row's vectors: rows, columns, channels.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Vectors of one row.
    pub fn positions(&self) -> usize {
        self.shape[0] * self.shape[1]
    }

    /// Values of each vector.
    pub fn channels(&self) -> usize {
        self.shape[2]
    }

    /// The vectors of one row, `[positions, channels]`.
    ///
    /// # Errors
    /// When there is no such row, or it cannot be read.
    pub fn row(&self, row: u64) -> Result<Vec<f32>> {
        let mut vectors = vec![0.0; self.positions() * self.channels()];
        self.reader.read_f32(POOLED, &[row], &mut vectors)?;
        Ok(vectors)
    }

    /// What `work` makes of every [`CHUNK`], or fewer, of the first `rows` rows, in order: it gets the first row's
    /// place and the vectors `[rows, positions, channels]`. Chunks are read by all threads at once.
    ///
    /// # Errors
    /// When a row cannot be read, or `work` fails.
    pub fn map_chunks<T: Send>(
        &self,
        rows: u64,
        work: impl Fn(u64, &[f32]) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let rows: Vec<u64> = (0..rows.min(self.rows())).collect();
        self.map_rows(&rows, |rows, vectors| work(rows.first().copied().unwrap_or(0), vectors))
    }

    /// What `work` makes of every [`CHUNK`], or fewer, of these rows, in order: it gets their places and the vectors
    /// `[rows, positions, channels]`.
    ///
    /// # Errors
    /// As [`Self::map_chunks`], and when there is no such row.
    pub fn map_rows<T: Send>(
        &self,
        rows: &[u64],
        work: impl Fn(&[u64], &[f32]) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        // Each thread holds one, and a row may be long.
        let row = (self.positions() * self.channels() * size_of::<f32>()).max(1);
        let chunks = rows.par_chunks((CHUNK_BYTES / row).clamp(1, CHUNK)).map(|rows| {
            let mut vectors = vec![0.0; rows.len() * self.positions() * self.channels()];
            self.reader.read_f32(POOLED, rows, &mut vectors)?;
            work(rows, &vectors)
        });
        chunks.collect()
    }

    /// At most `most` rows, as far apart as each other, so that each class has its share where rows are
    /// sorted by class.
    pub fn spread_rows(&self, most: u64) -> Vec<u64> {
        let (rows, taken) = (self.rows(), self.rows().min(most));
        (0..taken).map(|it| it * rows / taken.max(1)).collect()
    }

    /// Each of the first `rows` rows as a probe sees it, the mean of its vectors: `[rows, channels]`.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn means(&self, rows: u64) -> Result<Vec<f32>> {
        self.means_of(&(0..rows.min(self.rows())).collect::<Vec<_>>())
    }

    /// The same of these rows, `[rows, channels]`.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn means_of(&self, rows: &[u64]) -> Result<Vec<f32>> {
        let (positions, channels) = (self.positions(), self.channels());
        let chunks = self.map_rows(rows, |_, vectors| {
            let mut means = Vec::with_capacity(vectors.len() / positions);
            for row in vectors.chunks_exact(positions * channels) {
                let mut sums = vec![0.0f64; channels];
                for vector in row.chunks_exact(channels) {
                    sums.iter_mut().zip(vector).for_each(|(sum, value)| *sum += f64::from(*value));
                }
                means.extend(sums.iter().map(|sum| (sum / positions as f64) as f32));
            }
            Ok(means)
        })?;
        Ok(chunks.concat())
    }
}
