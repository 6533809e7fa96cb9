//! The pooled vectors of a dataset, read in order.

use gimlet_store::{Generation, Reader};
use rayon::prelude::*;

use crate::train::input::POOLED;
use crate::{Error, Result};

/// The most rows that are read at once.
pub const CHUNK: usize = 256;
const CHUNK_BYTES: usize = 8 << 20;

/// The pooled vectors of a dataset: each row has `[rows, columns, channels]`.
pub struct Pooled {
    reader: Reader,
    shape: [usize; 3],
}

impl Pooled {
    /// Opens the pooled vectors of a generation.
    ///
    /// # Errors
    /// When the generation has none, or cannot be read.
    pub fn open(generation: &Generation) -> Result<Self> {
        let column = generation.manifest().schema.column(POOLED).map(|it| it.shape.as_slice());
        let Some([rows, columns, channels]) = column else {
            let at = generation.dir();
            return Err(Error::failed(format!("`{}` has no pooled vectors", at)));
        };
        let shape = [*rows, *columns, *channels];
        Ok(Self { reader: generation.reader(&[POOLED])?, shape })
    }

    /// The number of rows of the dataset.
    pub fn rows(&self) -> u64 {
        self.reader.rows()
    }

    /// The shape of one row's vectors: rows, columns, channels.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The number of vectors per row.
    pub fn positions(&self) -> usize {
        self.shape[0] * self.shape[1]
    }

    /// The number of values per vector.
    pub fn channels(&self) -> usize {
        self.shape[2]
    }

    /// The vectors of one row, `[positions, channels]`.
    ///
    /// # Errors
    /// When the row does not exist, or cannot be read.
    pub fn row(&self, row: u64) -> Result<Vec<f32>> {
        let mut vectors = vec![0.0; self.positions() * self.channels()];
        self.reader.read_f32(POOLED, &[row], &mut vectors)?;
        Ok(vectors)
    }

    /// Applies `work` to the first `rows` rows in chunks of up to [`CHUNK`], and returns its results in order.
    /// `work` gets the place of the chunk's first row, and the vectors `[rows, positions, channels]`. All
    /// threads read chunks at once.
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

    /// Applies `work` to `rows` in chunks of up to [`CHUNK`], and returns its results in order. `work` gets the
    /// places of the chunk's rows, and the vectors `[rows, positions, channels]`.
    ///
    /// # Errors
    /// When a row does not exist or cannot be read, or `work` fails.
    pub fn map_rows<T: Send>(
        &self,
        rows: &[u64],
        work: impl Fn(&[u64], &[f32]) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        // Each thread holds one chunk, and rows may be long.
        let row = (self.positions() * self.channels() * size_of::<f32>()).max(1);
        let chunks = rows.par_chunks((CHUNK_BYTES / row).clamp(1, CHUNK)).map(|rows| {
            let mut vectors = vec![0.0; rows.len() * self.positions() * self.channels()];
            self.reader.read_f32(POOLED, rows, &mut vectors)?;
            work(rows, &vectors)
        });
        chunks.collect()
    }

    /// Picks at most `most` rows, evenly spread, so that each class has its share if rows are sorted by class.
    pub fn spread_rows(&self, most: u64) -> Vec<u64> {
        let (rows, taken) = (self.rows(), self.rows().min(most));
        (0..taken).map(|it| it * rows / taken.max(1)).collect()
    }

    /// The mean vector of each of the first `rows` rows, as probes see them: `[rows, channels]`.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn means(&self, rows: u64) -> Result<Vec<f32>> {
        self.means_of(&(0..rows.min(self.rows())).collect::<Vec<_>>())
    }

    /// The mean vector of each of `rows`: `[rows, channels]`.
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
