//! One plain file with all rows, read by `pread`, a call a row (a scan: a call a batch).

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Instant;

use half::f16;
use half::slice::HalfFloatSliceExt;
use zerocopy::IntoBytes;

use crate::data::Data;
use crate::side::{BATCH, Job, Measured, Operation, Rate, Result, Side};

pub struct Plain {
    path: PathBuf,
    /// Whether the values are widened to f32 with `half`, a batch at a time.
    widened: bool,
}

impl Plain {
    pub fn new(data: &Data, widened: bool) -> Self {
        let name = if widened { "plain-widened" } else { "plain" };
        Self { path: data.folder().join(name), widened }
    }
}

impl Side for Plain {
    fn name(&self) -> &str {
        if self.widened { "plain file, pread, then widened" } else { "plain file, pread" }
    }

    fn write(&mut self, data: &Data) -> Result<Measured> {
        self.remove()?;
        let mut batch = vec![f16::ZERO; BATCH * data.values()];
        let begun = Instant::now();
        let mut file = File::create_new(&self.path)?;
        let mut time = begun.elapsed();
        for nth in 0..data.rows() / BATCH {
            data.read(nth, &mut batch)?;
            let begun = Instant::now();
            file.write_all(batch.as_bytes())?;
            time += begun.elapsed();
        }
        let begun = Instant::now();
        file.sync_all()?;
        time += begun.elapsed();
        Ok(Ok(Rate { rows: data.rows() as u64, time }))
    }

    fn read(&self, job: &Job) -> Result<Measured> {
        let file = File::open(&self.path)?;
        let row_bytes = job.data.row_bytes();
        let advised = job.operation == Operation::RandomColdAdvised;
        let values = BATCH * job.data.values();
        let singles = if self.widened { values } else { 0 };
        // Ones, not zeros: memory that was never written to is not there yet.
        let buffers = || (vec![f16::ONE; values], vec![1f32; singles]);
        job.measure(buffers, |(halves, singles), batch, later| {
            for row in later.iter().copied().flatten().filter(|_| advised) {
                advise(&file, row * row_bytes as u64, row_bytes as u64);
            }
            let bytes = halves.as_mut_bytes();
            if job.operation.is_scan() {
                file.read_exact_at(bytes, batch[0] * row_bytes as u64)?;
            } else {
                for (row, bytes) in batch.iter().zip(bytes.chunks_exact_mut(row_bytes)) {
                    file.read_exact_at(bytes, row * row_bytes as u64)?;
                }
            }
            if self.widened {
                halves.convert_to_f32_slice(singles);
            }
            Ok(())
        })
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        Ok(vec![self.path.clone()])
    }

    fn remove(&mut self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(target_os = "linux")]
fn advise(file: &File, offset: u64, length: u64) {
    let length = std::num::NonZeroU64::new(length);
    let _ = rustix::fs::fadvise(file, offset, length, rustix::fs::Advice::WillNeed);
}

#[cfg(not(target_os = "linux"))]
fn advise(_file: &File, _offset: u64, _length: u64) {}
