//! The values that all sides write and read: half of them zero, the others half a normal
//! distribution, as after a ReLU.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use half::f16;
use zerocopy::IntoBytes;

use crate::side::{BATCH, Result};

pub struct Data {
    shape: Vec<usize>,
    rows: usize,
    folder: PathBuf,
    path: PathBuf,
    file: File,
    order: Vec<u64>,
    in_order: Vec<u64>,
}

impl Data {
    /// Writes the values, row after row, to a file that all sides copy from.
    pub fn create(shape: &[usize], bytes: u64, folder: &Path) -> Result<Self> {
        let values: usize = shape.iter().product();
        let batches = (bytes as usize).div_ceil(2 * values * BATCH).max(4);
        let rows = batches * BATCH;
        let path = folder.join("values");
        let mut out = BufWriter::with_capacity(1 << 20, File::create_new(&path)?);
        let normal = normal();
        let mut random = Random(88_172_645_463_325_252);
        let mut row = vec![f16::ZERO; values];
        for _ in 0..rows {
            for four in row.chunks_mut(4) {
                let bits = random.next();
                for (lane, value) in four.iter_mut().enumerate() {
                    *value = normal[(bits >> (16 * lane)) as u16 as usize];
                }
            }
            out.write_all(row.as_bytes())?;
        }
        out.into_inner()?.sync_all()?;
        let in_order: Vec<u64> = (0..rows as u64).collect();
        let mut order = in_order.clone();
        for last in (1..rows).rev() {
            order.swap(last, random.next() as usize % (last + 1));
        }
        // For Python.
        std::fs::write(folder.join("order"), order.as_bytes())?;
        let file = File::open(&path)?;
        let (shape, folder) = (shape.to_vec(), folder.to_path_buf());
        Ok(Self { shape, rows, folder, path, file, order, in_order })
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Values of a row.
    pub fn values(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of a row's values as halves.
    pub fn row_bytes(&self) -> usize {
        2 * self.values()
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Where the sides put their files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All rows in a random order.
    pub fn order(&self) -> &[u64] {
        &self.order
    }

    /// All rows in the order that they are written in.
    pub fn in_order(&self) -> &[u64] {
        &self.in_order
    }

    /// The rows of a batch.
    pub fn read(&self, batch: usize, out: &mut [f16]) -> Result<()> {
        let offset = batch * BATCH * self.row_bytes();
        Ok(self.file.read_exact_at(out.as_mut_bytes(), offset as u64)?)
    }

    /// A row.
    pub fn read_row(&self, row: u64, out: &mut [f16]) -> Result<()> {
        let offset = row * self.row_bytes() as u64;
        Ok(self.file.read_exact_at(out.as_mut_bytes(), offset)?)
    }
}

/// 65,536 draws from a normal distribution, those below zero set to zero.
fn normal() -> Vec<f16> {
    let draws = f64::from(1 << 16);
    let one = |index: u32| {
        let first = (f64::from(index) + 0.5) / draws;
        let second = (f64::from(index) * 0.618_033_988_749_895).fract();
        let normal = (-2.0 * first.ln()).sqrt() * (std::f64::consts::TAU * second).cos();
        f16::from_f64(normal.max(0.0))
    };
    (0..1 << 16).map(one).collect()
}

/// Xorshift: fast, and good enough for values that are only to be copied.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
