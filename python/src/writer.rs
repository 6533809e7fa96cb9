//! Writes a dataset from Python: goes on after what is there, and compares what is given again.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::PathBuf;

use gimlet::stage::layout::rows_per_group;
use gimlet::{Error, Kind};
use gimlet_store::{
    Column, Compression, CompressionSetting, DType, DoneRows, ErrorKind, Rows, Schema, Spec, Store,
    Values,
};
use half::f16;
use half::slice::HalfFloatSliceExt;
use pyo3::prelude::*;

use crate::buffer::Buffer;
use crate::dataset::numbers;
use crate::dtype;
use crate::error::{exception, usage};
use crate::given::Given;
use crate::owner::Owner;

/// The key for a description.
#[pyfunction]
pub fn key_of(text: &str) -> String {
    gimlet_store::key_of(text)
}

/// Writes one generation, from its first row on.
#[pyclass(module = "gimlet._native")]
pub struct Writer {
    /// `None` once it is committed or left.
    writer: Option<gimlet_store::Writer>,
    done: Option<DoneRows>,
    /// The positions of the rows that were there, by their ids.
    positions: HashMap<i64, u64>,
    /// The ids that were given.
    given: HashSet<i64>,
    /// The number and the rows of the generation that was committed before with this key.
    committed: Option<(u64, u64)>,
    columns: Vec<Column>,
    folder: String,
    owner: Owner,
}

#[pymethods]
impl Writer {
    /// Begins, or goes on with, the dataset at `path`. `settings` is JSON; `columns` have a name, a type, a shape and
    /// names of dimensions, or none.
    #[new]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        key: String,
        settings: &str,
        columns: Vec<(String, String, Vec<usize>, Vec<String>)>,
        attributes: Vec<String>,
        label_names: Option<Vec<String>>,
        rows: Option<u64>,
        rows_per_part: usize,
        compression: &str,
    ) -> PyResult<Self> {
        let columns = columns.into_iter().map(column).collect::<PyResult<Vec<_>>>()?;
        let settings = serde_json::from_str(settings)
            .map_err(|error| usage(format!("the settings: {error}"), "give what JSON can say"))?;
        let compression = compression_called(compression)?;
        let schema = Schema { columns: columns.clone(), source: false, label_names, attributes };
        let rows_per_group = rows_per_group(schema.row_bytes());
        let spec = Spec { schema, key, settings, rows, rows_per_part, rows_per_group, compression };
        py.detach(|| begin(path, spec, columns)).map_err(exception)
    }

    /// The ids of rows that are there, in their order.
    fn done_ids(&self) -> PyResult<Buffer> {
        let ids = self.done.as_ref().map_or(&[][..], |done| &done.keys().ids);
        numbers(ids.iter().copied())
    }

    /// Writes rows; those that were there are compared instead. Labels are 0 or more, or -1 where there is none.
    fn write(
        &mut self,
        py: Python<'_>,
        ids: Bound<'_, PyAny>,
        labels: Option<Bound<'_, PyAny>>,
        attributes: Vec<Bound<'_, PyAny>>,
        tensors: Vec<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.owner.check("this writer")?;
        let (ids, labels) = (Given::of(ids)?, labels.map(Given::of).transpose()?);
        let attributes: Vec<Given> =
            attributes.into_iter().map(Given::of).collect::<PyResult<_>>()?;
        let tensors: Vec<Given> = tensors.into_iter().map(Given::of).collect::<PyResult<_>>()?;
        let ids = ids.values::<i64>()?;
        self.check_shapes(ids.len(), labels.as_ref(), &attributes, &tensors)?;
        let labels: Vec<Option<i64>> = match &labels {
            Some(labels) => labels.values()?.iter().map(|it| (*it >= 0).then_some(*it)).collect(),
            None => vec![None; ids.len()],
        };
        let attributes: Vec<&[i64]> =
            attributes.iter().map(Given::values).collect::<PyResult<_>>()?;
        // Widened, so that they are rounded back to what they were.
        let mut halves = Vec::new();
        for (tensor, column) in tensors.iter().zip(&self.columns) {
            let is_half = column.dtype != DType::U8 && tensor.is("<f2");
            halves.push(if is_half { Some(tensor.values::<f16>()?) } else { None });
        }
        let halves: Vec<Option<Vec<f32>>> =
            py.detach(|| halves.into_iter().map(|it| it.map(widened)).collect());
        let mut values = Vec::new();
        for ((tensor, column), half) in tensors.iter().zip(&self.columns).zip(&halves) {
            values.push(match (half, column.dtype) {
                (Some(half), _) => Values::F32(half),
                (None, DType::U8) if tensor.is("|u1") => Values::U8(tensor.values()?),
                (None, DType::F16 | DType::Bf16 | DType::F32 | DType::I8) if tensor.is("<f4") => {
                    Values::F32(tensor.values()?)
                }
                (None, dtype) => return Err(unfit(&column.name, dtype, tensor.typestr())),
            });
        }
        let rows =
            Rows { ids, labels: &labels, sources: None, attributes: &attributes, tensors: &values };
        py.detach(|| self.take(&rows)).map_err(exception)
    }

    /// Makes the generation visible; returns its number. `summary` is JSON.
    fn commit(&mut self, py: Python<'_>, summary: &str) -> PyResult<u64> {
        self.owner.check("this writer")?;
        let summary = serde_json::from_str(summary)
            .map_err(|error| usage(format!("the summary: {error}"), "give what JSON can say"))?;
        let writer = self.writer.take();
        let writer = writer.ok_or_else(closed).map_err(exception)?;
        let committed = py.detach(|| writer.commit(summary));
        committed.map(|generation| generation.number()).map_err(|error| exception(hinted(error)))
    }

    /// Lets go of the folder. Parts that are complete stay for the next writer with this key.
    fn leave(&mut self) {
        let writer = self.writer.take();
        if !self.owner.is_here() {
            // What it has open is the parent's: nothing of it is removed here.
            std::mem::forget(writer);
        }
    }

    /// Bytes in complete parts and row groups.
    #[getter]
    fn bytes_written(&self) -> u64 {
        self.writer.as_ref().map_or(0, gimlet_store::Writer::bytes_written)
    }

    /// Rows that are there: those that were, and those that were written.
    #[getter]
    fn rows(&self) -> u64 {
        self.writer.as_ref().map_or(0, gimlet_store::Writer::position)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Writer {
    /// Refuses columns that are not of `count` rows of the right shape.
    fn check_shapes(
        &self,
        count: usize,
        labels: Option<&Given<'_>>,
        attributes: &[Given<'_>],
        tensors: &[Given<'_>],
    ) -> PyResult<()> {
        let unfit = |name: &str, found: &[usize], wanted: &[usize]| {
            let what = format!("`{name}` has shape {found:?}, not {wanted:?}");
            usage(what, "the first dimension counts the rows, which are as many as the ids")
        };
        if tensors.len() != self.columns.len() {
            let what = format!("{} tensors for {} columns", tensors.len(), self.columns.len());
            return Err(usage(what, "give every column of the writer, and no other"));
        }
        for numbers in labels.into_iter().chain(attributes) {
            if numbers.shape != [count] {
                return Err(unfit("labels and other whole numbers", &numbers.shape, &[count]));
            }
        }
        for (tensor, column) in tensors.iter().zip(&self.columns) {
            let wanted = [&[count], column.shape.as_slice()].concat();
            if tensor.shape != wanted {
                return Err(unfit(&column.name, &tensor.shape, &wanted));
            }
        }
        Ok(())
    }

    fn take(&mut self, rows: &Rows<'_>) -> gimlet::Result<()> {
        if self.writer.is_none() {
            return Err(closed());
        }
        let mut seen = HashSet::with_capacity(rows.ids.len());
        if let Some(id) = rows.ids.iter().find(|id| self.given.contains(*id) || !seen.insert(**id))
        {
            let message = format!("`{}`: id {id} was given twice", self.folder);
            return Err(Error::new(Kind::Usage, message).hint("give each sample an id of its own"));
        }
        // Neighbours that were there, or were not, are taken together.
        let mut start = 0;
        while start < rows.ids.len() {
            let is_there = |id: &i64| self.positions.contains_key(id);
            let was = is_there(&rows.ids[start]);
            let length = rows.ids[start..].iter().take_while(|id| is_there(id) == was).count();
            let sliced = Sliced::of(rows, start..start + length, &self.columns);
            self.take_run(&sliced.rows(), was)?;
            start += length;
        }
        self.given.extend(rows.ids);
        Ok(())
    }

    fn take_run(&mut self, rows: &Rows<'_>, were_there: bool) -> gimlet::Result<()> {
        match (were_there, &self.done, &mut self.writer) {
            (true, Some(done), _) => {
                let at: Vec<u64> = rows.ids.iter().map(|id| self.positions[id]).collect();
                done.compare(&at, rows).map_err(hinted)
            }
            (_, _, Some(writer)) => {
                if let (Some((number, of)), Some(id)) = (self.committed, rows.ids.first())
                    && writer.position() >= of
                {
                    let message = format!(
                        "`{}`: generation {number} is committed with these settings, and has no row with id {id}",
                        self.folder
                    );
                    return Err(Error::new(Kind::Usage, message).hint(ANOTHER_KEY));
                }
                Ok(writer.write(rows)?)
            }
            _ => Err(closed()),
        }
    }
}

/// What to do where the same settings give other rows.
const ANOTHER_KEY: &str =
    "add to `settings` what has changed since: other settings are another generation";

fn begin(path: PathBuf, spec: Spec, columns: Vec<Column>) -> gimlet::Result<Writer> {
    let dataset = Store::new().dataset(path);
    let folder = dataset.folder().to_string();
    let committed = dataset.find(&spec.key)?.map(|it| (it.number(), it.rows()));
    let mut writer = dataset.begin(spec)?;
    let done = writer.done_rows()?;
    let mut positions = HashMap::new();
    if let Some(done) = &done {
        writer.skip(done.rows())?;
        positions.extend(done.keys().ids.iter().copied().zip(0..));
    }
    let (given, owner) = (HashSet::new(), Owner::this());
    let writer = Some(writer);
    Ok(Writer { writer, done, positions, given, committed, columns, folder, owner })
}

fn closed() -> Error {
    Error::new(Kind::Usage, "the writer is closed")
        .hint("begin again, with the same settings, to go on")
}

/// An error of the store, with what to do about rows that differ.
fn hinted(error: gimlet_store::Error) -> Error {
    let differs = error.kind() == ErrorKind::Differs;
    let error = Error::from(error);
    if differs { error.hint(ANOTHER_KEY) } else { error }
}

/// Some rows of others.
struct Sliced<'a> {
    ids: &'a [i64],
    labels: &'a [Option<i64>],
    attributes: Vec<&'a [i64]>,
    tensors: Vec<Values<'a>>,
}

impl<'a> Sliced<'a> {
    /// The rows in a range. Every column has been checked to have a value for each row.
    fn of(rows: &Rows<'a>, run: Range<usize>, columns: &[Column]) -> Self {
        let attributes = rows.attributes.iter().map(|it| &it[run.clone()]).collect();
        let tensors = rows.tensors.iter().zip(columns).map(|(values, column)| {
            let run = run.start * column.values()..run.end * column.values();
            match values {
                Values::U8(values) => Values::U8(&values[run]),
                Values::F32(values) => Values::F32(&values[run]),
            }
        });
        let tensors = tensors.collect();
        Self { ids: &rows.ids[run.clone()], labels: &rows.labels[run], attributes, tensors }
    }

    fn rows(&self) -> Rows<'_> {
        let Self { ids, labels, attributes, tensors } = self;
        Rows { ids, labels, sources: None, attributes, tensors }
    }
}

fn widened(halves: &[f16]) -> Vec<f32> {
    let mut wide = vec![0.0; halves.len()];
    halves.convert_to_f32_slice(&mut wide);
    wide
}

fn column((name, of, shape, dims): (String, String, Vec<usize>, Vec<String>)) -> PyResult<Column> {
    let Some(dtype) = dtype::named(&of) else {
        let what = format!("column `{name}`: `{of}` is no type of the store");
        return Err(usage(what, &format!("use one of {}", dtype::names())));
    };
    Ok(Column { dims, ..Column::new(name, dtype, shape) })
}

fn compression_called(name: &str) -> PyResult<CompressionSetting> {
    Ok(match name {
        "auto" => CompressionSetting::Auto,
        "none" => CompressionSetting::Fixed(Compression::None),
        "lz4" => CompressionSetting::Fixed(Compression::Lz4),
        "zstd" => CompressionSetting::Fixed(Compression::Zstd),
        _ => {
            let what = format!("there is no compression `{name}`");
            return Err(usage(what, "use `none`, `lz4`, `zstd` or `auto`"));
        }
    })
}

fn unfit(column: &str, dtype: DType, found: &str) -> PyErr {
    let takes = match dtype {
        DType::U8 => "whole numbers of 8 bits (`uint8`)",
        _ => "`float32` or `float16`",
    };
    let what = format!("column `{column}` takes {takes}, not NumPy's `{found}`");
    usage(what, "convert the values first, so that it is you who says how they are rounded")
}
