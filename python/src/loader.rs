//! Reads the batches of an epoch by threads of ours, ahead of the Python code that takes them.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gimlet::train::feed::{Course, ahead};
use gimlet_store::Reader;
use pyo3::prelude::*;

use crate::buffer::{Buffer, Memory, Pool, of_column};
use crate::dataset::{Asked, Dataset, numbers};
use crate::error::{exception, usage};
use crate::owner::Owner;

/// The time after which a wait for rows looks for Ctrl-C.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Batches beyond those that are read, of which the system is told, so that the disk works ahead of the threads.
const TOLD: usize = 2;

/// What is read, in which order, and the buffers for it.
#[pyclass(frozen, module = "gimlet._native")]
pub struct Loader {
    reader: Arc<Reader>,
    columns: Arc<Vec<Asked>>,
    course: Course,
    /// Batches that are read ahead, one that a thread holds included.
    ahead: usize,
    threads: usize,
    pool: Arc<Pool>,
    owner: Owner,
}

/// A batch that a thread has read.
struct Batch {
    rows: Vec<u64>,
    tensors: Vec<Memory>,
}

#[pymethods]
impl Loader {
    /// A loader of tensor columns, each with whether it is widened to f32. `memory` is what batches may take that are
    /// read ahead, in bytes; one always is.
    #[new]
    fn new(
        data: &Dataset,
        columns: Vec<(String, bool)>,
        batch: usize,
        seed: u64,
        module: String,
        views: usize,
        threads: usize,
        memory: u64,
    ) -> PyResult<Self> {
        let (reader, columns) = (data.reader()?, data.asked(columns)?);
        let rows = usize::try_from(reader.rows()).unwrap_or(usize::MAX);
        if batch == 0 || threads == 0 {
            return Err(usage(
                "a batch has at least one row, and a thread reads it",
                "name 1 or more",
            ));
        }
        if views == 0 || !rows.is_multiple_of(views) {
            let what = format!("{rows} rows are not {views} views of samples");
            return Err(usage(what, "leave `views` out"));
        }
        let samples = rows / views;
        if u32::try_from(samples).is_err() {
            let what = format!("{samples} samples are more than an order of 32 bits has");
            return Err(usage(what, "cut the dataset in several"));
        }
        let batch_bytes: usize = columns.iter().map(|column| column.bytes(batch)).sum();
        let ahead = ahead(batch_bytes as u64, memory).max(1);
        let threads = threads.min(ahead);
        // Those that are read ahead, the one that the caller has, and the one before it.
        let pool = Pool::new((ahead + 2) * columns.len());
        let course = Course { seed, module, samples, views, batch, epochs: 1 };
        let (columns, owner) = (Arc::new(columns), Owner::this());
        Ok(Self { reader, columns, course, ahead, threads, pool, owner })
    }

    /// Samples in an epoch.
    #[getter]
    fn samples(&self) -> usize {
        self.course.samples
    }

    /// The rows of an epoch, in the order of a training.
    fn order(&self, py: Python<'_>, epoch: u64) -> PyResult<Buffer> {
        let rows = py.detach(|| self.rows(epoch));
        numbers(rows.into_iter().map(|row| row as i64))
    }

    /// Reads an epoch on this thread, into one set of buffers that nothing reads, and returns the number of its rows:
    /// what the way into Python is measured by.
    fn read_through(&self, py: Python<'_>, epoch: u64) -> PyResult<usize> {
        let read_all = || -> gimlet::Result<usize> {
            let rows = self.rows(epoch);
            for rows in rows.chunks(self.course.batch) {
                will_need(&self.reader, &self.columns, rows);
                let batch = read(&self.reader, &self.columns, &self.pool, rows.to_vec())?;
                batch.tensors.into_iter().for_each(|memory| self.pool.give_back(memory));
            }
            Ok(rows.len())
        };
        py.detach(read_all).map_err(exception)
    }

    /// Begins to read the rows of an epoch from number `start` on. A last batch of fewer rows is read with `is_ragged`.
    fn stream(
        &self,
        py: Python<'_>,
        epoch: u64,
        start: usize,
        is_ragged: bool,
    ) -> PyResult<Stream> {
        self.owner.check("this loader")?;
        py.detach(|| self.begin(epoch, start, is_ragged))
    }
}

impl Loader {
    fn rows(&self, epoch: u64) -> Vec<u64> {
        let order = self.course.order(epoch).into_iter();
        order.map(|sample| self.course.row(epoch, u64::from(sample))).collect()
    }

    fn begin(&self, epoch: u64, start: usize, is_ragged: bool) -> PyResult<Stream> {
        let rows: Arc<Vec<u64>> = Arc::new(self.rows(epoch));
        let batch = self.course.batch;
        let left = rows.len().saturating_sub(start);
        let batches = if is_ragged { left.div_ceil(batch) } else { left / batch };
        let mut lanes = VecDeque::new();
        for lane in 0..self.threads {
            // One less: a thread also holds the batch that it waits to send.
            let (sender, receiver) = sync_channel((self.ahead + lane) / self.threads - 1);
            let places = (lane..batches).step_by(self.threads);
            let rows = rows.clone();
            let mut turns = places.map(move |place| {
                let first = start + place * batch;
                let range: Range<usize> = first..rows.len().min(first + batch);
                rows[range].to_vec()
            });
            let (reader, columns, pool) =
                (self.reader.clone(), self.columns.clone(), self.pool.clone());
            let mut told = VecDeque::new();
            let work = move || {
                loop {
                    while told.len() <= TOLD
                        && let Some(rows) = turns.next()
                    {
                        will_need(&reader, &columns, &rows);
                        told.push_back(rows);
                    }
                    let Some(rows) = told.pop_front() else { return };
                    let batch = read(&reader, &columns, &pool, rows);
                    let failed = batch.is_err();
                    if sender.send(batch).is_err() || failed {
                        return;
                    }
                }
            };
            let thread = std::thread::Builder::new().name("gimlet-loader".into()).spawn(work);
            let thread = thread.map_err(|error| {
                let message = format!("could not begin a thread: {error}");
                exception(gimlet::Error::failed(message).hint("ask for fewer with `threads=`"))
            })?;
            lanes.push_back(Lane { batches: Mutex::new(receiver), thread });
        }
        Ok(Stream {
            lanes,
            left: batches,
            columns: self.columns.clone(),
            pool: self.pool.clone(),
            waited: 0.0,
            owner: self.owner,
        })
    }
}

/// Tells the system that rows will be read soon. Errors are left to the reading.
fn will_need(reader: &Reader, columns: &[Asked], rows: &[u64]) {
    for column in columns {
        let _ = reader.will_need(&column.name, rows);
    }
}

fn read(reader: &Reader, columns: &[Asked], pool: &Pool, rows: Vec<u64>) -> gimlet::Result<Batch> {
    let read = columns.iter().map(|column| {
        let mut memory = pool.take(column.bytes(rows.len()))?;
        column.read(reader, &rows, &mut memory)?;
        Ok(memory)
    });
    let tensors = read.collect::<gimlet::Result<_>>()?;
    Ok(Batch { rows, tensors })
}

/// A reading thread, as the caller sees it.
struct Lane {
    batches: Mutex<Receiver<gimlet::Result<Batch>>>,
    thread: JoinHandle<()>,
}

impl Lane {
    fn batches(&self) -> MutexGuard<'_, Receiver<gimlet::Result<Batch>>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The batches of an epoch, in order. When it is closed or dropped, its threads end.
#[pyclass(module = "gimlet._native")]
pub struct Stream {
    /// One lane for each thread, used in turn.
    lanes: VecDeque<Lane>,
    /// Batches still to come.
    left: usize,
    columns: Arc<Vec<Asked>>,
    pool: Arc<Pool>,
    /// Seconds that the caller has waited.
    waited: f64,
    owner: Owner,
}

#[pymethods]
impl Stream {
    /// The next batch: its rows, and an array for each column. `None` after the last.
    fn next(&mut self, py: Python<'_>) -> PyResult<Option<(Buffer, Vec<Buffer>)>> {
        self.owner.check("this loader")?;
        if self.left == 0 {
            self.close(py);
            return Ok(None);
        }
        let began = Instant::now();
        let Some(lane) = self.lanes.pop_front() else { return Ok(None) };
        let batch = loop {
            // Not in the `match`, where it would be locked while it is locked again.
            let there = lane.batches().try_recv();
            let waited = match there {
                Ok(batch) => Ok(batch),
                // Until something is there, other threads of Python go on.
                Err(_) => py.detach(|| lane.batches().recv_timeout(BETWEEN_LOOKS)),
            };
            match waited {
                Ok(batch) => break batch,
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(interrupted) = py.check_signals() {
                        self.lanes.push_front(lane);
                        return Err(interrupted);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let what = "a thread that reads has ended before its work was done";
                    break Err(gimlet::Error::failed(what));
                }
            }
        };
        self.waited += began.elapsed().as_secs_f64();
        self.lanes.push_back(lane);
        let Batch { rows, tensors } = batch.map_err(|error| {
            self.left = 0;
            exception(error)
        })?;
        self.left -= 1;
        let count = rows.len();
        let rows = numbers(rows.into_iter().map(|row| row as i64))?;
        let tensors = tensors.into_iter().zip(self.columns.iter()).map(|(memory, column)| {
            of_column(memory, &self.pool, column.dtype, column.shape_of(count))
        });
        Ok(Some((rows, tensors.collect())))
    }

    /// Seconds that the caller has waited for batches.
    #[getter]
    fn waited(&self) -> f64 {
        self.waited
    }

    /// Ends the threads, and waits until each has read the batch in hand.
    fn close(&mut self, py: Python<'_>) {
        let threads = self.end();
        py.detach(|| threads.into_iter().for_each(join));
    }
}

impl Stream {
    /// Asks the threads to end; returns them.
    fn end(&mut self) -> Vec<JoinHandle<()>> {
        self.left = 0;
        let lanes = std::mem::take(&mut self.lanes);
        if !self.owner.is_here() {
            // There are no such threads in this process.
            std::mem::forget(lanes);
            return Vec::new();
        }
        lanes.into_iter().map(|lane| lane.thread).collect()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.end().into_iter().for_each(join);
    }
}

fn join(thread: JoinHandle<()>) {
    // A thread that has panicked has said so, and the caller has been told that it ended.
    let _ = thread.join();
}
