//! Embeds new images or recordings with a trained stack, without a store in between.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use candle_core::Tensor;
use parquet::arrow::ArrowWriter;
use serde_json::json;

use super::encode::BATCH;
use super::layout::rows_per_group;
use super::progress::Unit;
use super::{Run, Stack, frozen, module_input, samples};
use crate::device;
use crate::media::{self, rows_at_once};
use crate::module::{self, Frozen};
use crate::pipeline::SampleSize;
use crate::source::{Sample, Source};
use crate::train::input::POOLED;
use crate::{Error, Result};

/// The column that holds the mean of the pooled vectors over the grid, `[channels]`.
const EMBEDDING: &str = "embedding";

/// The column that holds the words that are said in a recording.
const TEXT: &str = "text";

/// Writes the outputs of the modules up to `last` for the samples of `source` as one Parquet file. Returns the
/// number of rows that were written.
///
/// The modules see the centre crops of images, or the middle windows of recordings, a few at a time.
///
/// Columns: `id`, the row in the source; `label`, null if there is none; `source`; for recordings
/// `text`, null if there is none; `embedding` `[channels]`; `pooled` `[rows, columns, channels]`.
/// The last two are f32.
///
/// # Errors
/// [`crate::Kind::NotReady`] when a module has no weights; when a sample is broken and
/// `data.on_bad_sample` is `fail`, or none can be read; when `out` cannot be written.
pub fn embed(
    run: &Run<'_>,
    source: &dyn Source,
    last: usize,
    out: impl Write + Send,
) -> Result<usize> {
    let stack = (0..=last)
        .map(|it| frozen::trained(run, run.standing.plan.last(it)))
        .collect::<Result<Vec<_>>>()?;
    let rows = source.rows();
    run.session.progress.begin("embed", Unit::Of("samples"), rows as u64, 0);
    let mut out = Some(out);
    let mut file: Option<Embeddings<_>> = None;
    // The first batch is one row, to see how large samples are.
    let (mut next, mut at_once, mut skipped) = (0, 1, 0);
    while next < rows {
        let wanted: Vec<usize> = (next..rows.min(next + at_once)).collect();
        next += wanted.len();
        let looked = look(run, source, &wanted, file.as_ref().map(|it| it.size))?;
        skipped += looked.skipped;
        at_once = looked.at_once.unwrap_or(at_once);
        for batch in looked.whole.chunks(BATCH) {
            run.session.stop.check("no file was written")?;
            let pooled = pooled(run, &stack, batch, looked.size)?;
            let file = match (&mut file, out.take()) {
                (Some(file), _) => file,
                (none, Some(out)) => {
                    let with_text = media::of(&run.pipeline.view).has_text();
                    none.insert(Embeddings::begin(out, source, looked.size, &pooled, with_text)?)
                }
                (None, None) => return Err(Error::failed("a file was begun twice")),
            };
            file.write(batch, &pooled)?;
        }
        run.session.progress.advance(next as u64, "");
    }
    let Some(file) = file else {
        return Err(Error::failed(format!("none of {rows} samples could be read")));
    };
    let written = file.end()?;
    let skipped = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
    run.session.progress.end(&format!("{written} rows{skipped}"));
    Ok(written)
}

/// Reads the samples `rows` in the form that the first module reads. Images have the size `size`, if it is known.
fn look(
    run: &Run<'_>,
    source: &dyn Source,
    rows: &[usize],
    size: Option<SampleSize>,
) -> Result<Looked> {
    let handler = media::of(&run.pipeline.view);
    let training = module_input::normalised_by(run)?;
    let read = samples::read(run, source, rows, size)?;
    let first = read.whole.first().map(|it| handler.seen_size(it)).transpose()?;
    let most = read.whole.iter().map(|it| it.media.bytes()).max();
    let mut skipped = read.skipped.len();
    let mut whole = Vec::with_capacity(read.whole.len());
    for sample in read.whole {
        match handler.evaluated(&sample, training.as_ref())? {
            Some(values) => whole.push((sample, values)),
            None => {
                let (id, name) = (sample.id, &sample.source);
                run.session.progress.warn(&format!("skipped row {id} ({name}): it is too short"));
                skipped += 1;
            }
        }
    }
    let size = size.or(first).unwrap_or(SampleSize::square(0));
    Ok(Looked { whole, size, at_once: most.map(rows_at_once), skipped })
}

/// Computes the pooled vectors `[batch, rows, columns, channels]` for samples of the size `size`.
fn pooled(
    run: &Run<'_>,
    stack: &[Box<dyn Frozen>],
    batch: &[(Sample, Vec<f32>)],
    size: SampleSize,
) -> Result<Tensor> {
    let (of_size, known) = (OnceCell::new(), run.stack()?);
    let of_size = match known.sample == size {
        true => known,
        false => {
            let new = Stack::new(run.pipeline, size)?;
            of_size.get_or_init(|| new)
        }
    };
    let (pooling, map) = (of_size.pooling, of_size.input(0));
    let values: Vec<f32> = batch.iter().flat_map(|(_, values)| values).copied().collect();
    let dims = (batch.len() * pooling.maps(), map.height, map.width, map.channels);
    let read = Tensor::from_vec(values, dims, &candle_core::Device::Cpu)?;
    let mut maps = read;
    for module in stack {
        maps = module.forward(&run.session.device.take(&maps)?)?;
    }
    module::pooled(&device::home(&maps)?, pooling)
}

/// Samples, with the values that the first module reads.
struct Looked {
    whole: Vec<(Sample, Vec<f32>)>,
    /// The size of images as they are stored, or of the window of sound.
    size: SampleSize,
    /// Number of samples to read at once from now on; `None` if no sample could be read.
    at_once: Option<usize>,
    skipped: usize,
}

/// The Parquet file of embeddings while it is written.
struct Embeddings<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: Arc<Schema>,
    /// The size of the samples, as the view has them.
    size: SampleSize,
    rows: usize,
    rows_per_group: usize,
}

impl<W: Write + Send> Embeddings<W> {
    /// Begins a file for samples of the size `size` and pooled vectors shaped like `pooled`
    /// `[batch, rows, columns, channels]`.
    fn begin(
        out: W,
        source: &dyn Source,
        size: SampleSize,
        pooled: &Tensor,
        with_text: bool,
    ) -> Result<Self> {
        let (_, rows, columns, channels) = pooled.dims4()?;
        let mut metadata = HashMap::new();
        if let Some(names) = source.label_names() {
            let label = json!({ "names": names, "_type": "ClassLabel" });
            let features = json!({ "info": { "features": { "label": label } } });
            metadata.insert("huggingface".to_string(), features.to_string());
        }
        let mut fields = vec![
            Field::new("id", DataType::Int64, false),
            Field::new("label", DataType::Int64, true),
            Field::new("source", DataType::Utf8, false),
        ];
        if with_text {
            fields.push(Field::new(TEXT, DataType::Utf8, true));
        }
        let dims = ["row", "column", "channel"];
        fields.push(tensor_field(EMBEDDING, &[channels], &["channel"])?);
        fields.push(tensor_field(POOLED, &[rows, columns, channels], &dims)?);
        let schema = Arc::new(Schema::new(fields).with_metadata(metadata));
        let writer = ArrowWriter::try_new(out, schema.clone(), None).map_err(failed)?;
        let row_bytes = (rows * columns + 1) * channels * size_of::<f32>();
        Ok(Self { writer, schema, size, rows: 0, rows_per_group: rows_per_group(row_bytes) })
    }

    /// Appends samples with their pooled vectors `[batch, rows, columns, channels]`.
    fn write(&mut self, batch: &[(Sample, Vec<f32>)], pooled: &Tensor) -> Result<()> {
        let samples = || batch.iter().map(|(sample, _)| sample);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(samples().map(|it| it.id))),
            Arc::new(Int64Array::from_iter(samples().map(|it| it.label))),
            Arc::new(StringArray::from_iter_values(samples().map(|it| &it.source))),
        ];
        if self.schema.field_with_name(TEXT).is_ok() {
            columns.push(Arc::new(StringArray::from_iter(samples().map(|it| it.text.as_ref()))));
        }
        columns.push(self.tensors(EMBEDDING, &pooled.mean((1, 2))?)?);
        columns.push(self.tensors(POOLED, pooled)?);
        let batch = RecordBatch::try_new(self.schema.clone(), columns)
            .map_err(|error| Error::failed(format!("could not lay out embeddings: {error}")))?;
        self.writer.write(&batch).map_err(failed)?;
        self.rows += batch.num_rows();
        if self.writer.in_progress_rows() >= self.rows_per_group {
            self.writer.flush().map_err(failed)?;
        }
        Ok(())
    }

    /// A column of tensors, one per row.
    fn tensors(&self, column: &str, values: &Tensor) -> Result<ArrayRef> {
        let wrong = |error: String| Error::failed(format!("could not lay out `{column}`: {error}"));
        let field = self.schema.field_with_name(column).map_err(|e| wrong(e.to_string()))?;
        let DataType::FixedSizeList(element, size) = field.data_type() else {
            return Err(wrong("it is no column of tensors".to_string()));
        };
        let values = Float32Array::from(values.flatten_all()?.to_vec1::<f32>()?);
        let list = FixedSizeListArray::try_new(element.clone(), *size, Arc::new(values), None);
        Ok(Arc::new(list.map_err(|error| wrong(error.to_string()))?))
    }

    /// Ends the file; returns its number of rows.
    fn end(self) -> Result<usize> {
        self.writer.close().map_err(failed)?;
        Ok(self.rows)
    }
}

/// A column of f32 tensors in the form that pyarrow knows and the store uses.
fn tensor_field(name: &str, shape: &[usize], dims: &[&str]) -> Result<Field> {
    let size = i32::try_from(shape.iter().product::<usize>())
        .map_err(|_| Error::failed(format!("`{name}` of shape {shape:?} is too large")))?;
    let list =
        DataType::FixedSizeList(Arc::new(Field::new("element", DataType::Float32, true)), size);
    Ok(Field::new(name, list, false).with_metadata(HashMap::from([
        ("ARROW:extension:name".to_string(), "arrow.fixed_shape_tensor".to_string()),
        (
            "ARROW:extension:metadata".to_string(),
            json!({ "shape": shape, "dim_names": dims }).to_string(),
        ),
    ])))
}

fn failed(error: parquet::errors::ParquetError) -> Error {
    Error::failed(format!("could not write embeddings: {error}"))
}
