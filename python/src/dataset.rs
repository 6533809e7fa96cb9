//! A generation of a dataset, open and leased.

use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use gimlet::{Error, Kind};
use gimlet_store::{DType, Generation, Keys, Reader, Store};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::buffer::{Buffer, Memory, Pool, of_column};
use crate::error::{exception, usage};
use crate::given::Given;
use crate::owner::Owner;

/// How often the newest generation is looked for, where one that was found is removed before it is leased.
const TRIES: usize = 5;

/// An open generation: what it holds, and a reader with its lease until it is closed.
#[pyclass(frozen, module = "gimlet._native")]
pub struct Dataset {
    generation: Generation,
    reader: Mutex<Option<Arc<Reader>>>,
    owner: Owner,
}

/// A tensor column, and whether its values are widened to f32.
#[derive(Clone)]
pub struct Asked {
    pub name: String,
    pub shape: Vec<usize>,
    /// The type of the values that are handed over.
    pub dtype: DType,
    is_widened: bool,
}

impl Asked {
    /// The bytes of `rows` rows.
    pub fn bytes(&self, rows: usize) -> usize {
        rows * self.shape.iter().product::<usize>() * self.dtype.bytes()
    }

    /// Reads rows into `memory`, which holds exactly these.
    pub fn read(&self, reader: &Reader, rows: &[u64], memory: &mut Memory) -> gimlet::Result<()> {
        match self.is_widened {
            true => reader.read_f32(&self.name, rows, memory.values())?,
            false => reader.read_stored(&self.name, rows, memory.bytes())?,
        }
        Ok(())
    }

    /// The shape of `rows` rows.
    pub fn shape_of(&self, rows: usize) -> Vec<usize> {
        [&[rows], self.shape.as_slice()].concat()
    }
}

impl Dataset {
    /// The reader, while the dataset is open and this is the process that opened it.
    pub fn reader(&self) -> PyResult<Arc<Reader>> {
        self.owner.check("this dataset")?;
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.clone().ok_or_else(|| usage("the dataset is closed", "open it again"))
    }

    /// Tensor columns by name; those called in `widened` are read as f32.
    pub fn asked(&self, columns: Vec<(String, bool)>) -> PyResult<Vec<Asked>> {
        let schema = &self.generation.manifest().schema;
        let find = |(name, is_widened): (String, bool)| {
            if let Some(column) = schema.column(&name) {
                let dtype = if is_widened { DType::F32 } else { column.dtype };
                return Ok(Asked { name, shape: column.shape.clone(), dtype, is_widened });
            }
            let of_scales = name.strip_suffix("_scale").and_then(|name| schema.column(name));
            if let Some(column) = of_scales.filter(|column| column.dtype == DType::I8) {
                let shape = column.shape.last().copied().into_iter().collect();
                return Ok(Asked { name, shape, dtype: DType::F32, is_widened: false });
            }
            let names: Vec<_> = schema.columns.iter().map(|it| it.name.as_str()).collect();
            let what = format!("there is no tensor column `{name}`");
            Err(usage(what, &format!("it has the columns {}", names.join(", "))))
        };
        columns.into_iter().map(find).collect()
    }
}

#[pymethods]
impl Dataset {
    /// Opens generation `number` of the dataset at `path`, which must have `key`; or the newest that is whole.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf, expected: Option<(u64, String)>) -> PyResult<Self> {
        let opened = py.detach(|| open(path, expected));
        let (generation, reader) = opened.map_err(exception)?;
        let reader = Mutex::new(Some(Arc::new(reader)));
        Ok(Self { generation, reader, owner: Owner::this() })
    }

    /// The number of the generation.
    #[getter]
    fn number(&self) -> u64 {
        self.generation.number()
    }

    /// The manifest as JSON.
    fn manifest(&self) -> PyResult<String> {
        let text = serde_json::to_string(self.generation.manifest());
        text.map_err(|error| exception(Error::failed(format!("the manifest: {error}"))))
    }

    /// The folder of its parts, and a glob for them.
    #[getter]
    fn parts(&self) -> (String, String) {
        (self.generation.dir().to_string(), self.generation.glob().display().to_string())
    }

    /// Whether rows come from a server.
    #[getter]
    fn is_remote(&self) -> bool {
        self.generation.dir().properties().is_remote
    }

    /// Whether this process opened it, and has not closed it.
    #[getter]
    fn is_open(&self) -> bool {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        self.owner.is_here() && reader.is_some()
    }

    /// Ids, labels (-1 where there is none) and attributes of all rows as arrays, and sources as a list.
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let reader = self.reader()?;
        let keys = py.detach(|| reader.keys()).map_err(exception)?;
        let Keys { ids, labels, sources, attributes } = keys;
        let found = PyDict::new(py);
        found.set_item("id", numbers(ids.into_iter())?)?;
        let labels = labels.into_iter().map(|label| label.unwrap_or(-1));
        found.set_item("label", numbers(labels)?)?;
        if let Some(sources) = sources {
            found.set_item("source", sources)?;
        }
        let names = &self.generation.manifest().schema.attributes;
        for (name, values) in names.iter().zip(attributes) {
            found.set_item(name, numbers(values.into_iter())?)?;
        }
        Ok(found)
    }

    /// Reads `rows`, which exist, of tensor columns, each with whether it is widened to f32.
    fn read(
        &self,
        py: Python<'_>,
        columns: Vec<(String, bool)>,
        rows: Bound<'_, PyAny>,
    ) -> PyResult<Vec<Buffer>> {
        let (reader, asked, rows) = (self.reader()?, self.asked(columns)?, Given::of(rows)?);
        let rows: Vec<u64> = rows.values::<i64>()?.iter().map(|row| *row as u64).collect();
        // Rows that are asked for by number are seldom asked for in the same number again.
        let pool = Pool::new(0);
        let read = || -> gimlet::Result<Vec<Memory>> {
            let read = asked.iter().map(|column| {
                let mut memory = pool.take(column.bytes(rows.len()))?;
                column.read(&reader, &rows, &mut memory)?;
                Ok(memory)
            });
            read.collect()
        };
        let read = py.detach(read).map_err(exception)?;
        let buffers = read.into_iter().zip(&asked).map(|(memory, column)| {
            of_column(memory, &pool, column.dtype, column.shape_of(rows.len()))
        });
        Ok(buffers.collect())
    }

    /// Lets go of the lease, and of all files once no loader reads them.
    fn close(&self) {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        if !self.owner.is_here() {
            // Its lock and its files are the parent's, and so may be what waits for them.
            mem::forget(reader);
        }
    }
}

impl Drop for Dataset {
    fn drop(&mut self) {
        self.close();
    }
}

/// An array of whole numbers.
pub fn numbers(values: impl ExactSizeIterator<Item = i64>) -> PyResult<Buffer> {
    let (pool, count) = (Pool::new(0), values.len());
    let mut memory = pool.take(count * size_of::<i64>()).map_err(exception)?;
    memory.values::<i64>().iter_mut().zip(values).for_each(|(out, value)| *out = value);
    Ok(memory.into_buffer(&pool, "<i8", vec![count]))
}

fn open(path: PathBuf, expected: Option<(u64, String)>) -> gimlet::Result<(Generation, Reader)> {
    let mut tries = 0;
    loop {
        let generation = find(&path, expected.as_ref())?;
        let columns: Vec<String> =
            generation.manifest().schema.columns.iter().map(|it| it.name.clone()).collect();
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        match generation.reader(&columns) {
            Ok(reader) => return Ok((generation, reader)),
            // It was superseded and removed after it was found.
            Err(error) if error.kind() == gimlet_store::ErrorKind::NotFound && tries < TRIES => {
                tries += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn find(path: &PathBuf, expected: Option<&(u64, String)>) -> gimlet::Result<Generation> {
    // A store of its own: what another one knows of a folder may have been before a fork.
    let dataset = Store::new().dataset(path);
    let at = dataset.folder().to_string();
    if let Some((number, key)) = expected {
        let generation = dataset.generation(*number)?;
        if generation.manifest().key == *key {
            return Ok(generation);
        }
        let message = format!("generation {number} of `{at}` is not the one that was open before");
        return Err(Error::new(Kind::NotReady, message).hint("open the dataset again by its path"));
    }
    let mut broken = None;
    for generation in dataset.readable()? {
        let generation = generation?;
        if generation.is_whole()? {
            return Ok(generation);
        }
        broken.get_or_insert(generation.number());
    }
    if let Some(number) = broken {
        let message = format!("parts of generation {number} of `{at}` are missing or damaged");
        return Err(Error::new(Kind::Damaged, message));
    }
    if let Some(error) = dataset.unreadable()?.into_iter().next() {
        return Err(error.into());
    }
    let missing = |message: String, hint: &str| Err(Error::new(Kind::NotReady, message).hint(hint));
    if dataset.was_begun()? {
        let hint =
            "wait for its writer, or run that again, which goes on after the last whole part";
        return missing(format!("`{at}` was begun, and is not committed yet"), hint);
    }
    let hint = "name the folder of a split, such as `runs/quickstart/datasets/a/train`";
    missing(format!("there is no dataset in `{at}`"), hint)
}
