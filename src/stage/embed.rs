//! What a trained stack makes of new images, without a store in between.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use candle_core::Tensor;
use parquet::arrow::ArrowWriter;
use serde_json::json;

use super::Run;
use super::encode::BATCH;
use super::layout::rows_per_group;
use super::samples::{check_size, rows_at_once};
use crate::device;
use crate::module::{self, Module};
use crate::source::{Sample, Source};
use crate::train::input::POOLED;
use crate::view::{self, Framing, PatchShape, Pixels};
use crate::{Error, Result};

/// The column that holds the mean of the pooled vectors over the grid, `[channels]`.
const EMBEDDING: &str = "embedding";

impl Run<'_> {
    /// Writes, as one Parquet file, what the modules up to `last` make of the images of `source`:
    /// their centre crops, a few at a time. Returns the rows that were written.
    ///
    /// Columns: `id`, the row in the source; `label`, null where there is none; `source`;
    /// [`EMBEDDING`] `[channels]`; `pooled` `[grid, grid, channels]`. The last two are f32.
    ///
    /// # Errors
    /// [`crate::Kind::NotReady`] when a module has no weights; when an image is broken and
    /// `data.on_bad_sample` is `fail`, or none can be read; when `out` cannot be written.
    pub fn embed(&self, source: &dyn Source, last: usize, out: impl Write + Send) -> Result<usize> {
        let stack = (0..=last).map(|it| self.encoder(it)).collect::<Result<Vec<_>>>()?;
        let rows = source.rows();
        self.progress.begin("embed", rows as u64, 0);
        let mut out = Some(out);
        let mut file: Option<Embeddings<_>> = None;
        // One row alone, to see how large images are.
        let (mut next, mut at_once, mut skipped) = (0, 1, 0);
        while next < rows {
            let wanted: Vec<usize> = (next..rows.min(next + at_once)).collect();
            next += wanted.len();
            let size = file.as_ref().map(|it| it.size);
            let read = self.samples(source, &wanted, size)?;
            skipped += read.skipped.len();
            for batch in read.whole.chunks(BATCH) {
                self.check_stop()?;
                let pixels = &batch[0].1;
                at_once = rows_at_once(pixels);
                let size = size.unwrap_or((pixels.height, pixels.width));
                let shape = view::patch_shape(&self.pipeline.view, size)?;
                let pooled = self.pooled(&stack, batch, size, shape)?;
                let file = match (&mut file, out.take()) {
                    (Some(file), _) => file,
                    (none, Some(out)) => {
                        none.insert(Embeddings::begin(out, source, size, &pooled)?)
                    }
                    (None, None) => return Err(Error::failed("a file was begun twice")),
                };
                file.write(batch, &pooled)?;
            }
            self.progress.advance(next as u64, "");
        }
        let Some(file) = file else {
            return Err(Error::failed(format!("none of {rows} images could be read")));
        };
        let written = file.end()?;
        let skipped = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
        self.progress.end(&format!("{written} rows{skipped}"));
        Ok(written)
    }

    /// `[batch, grid, grid, channels]`.
    fn pooled(
        &self,
        stack: &[Module],
        batch: &[(Sample, Pixels)],
        size: (usize, usize),
        shape: PatchShape,
    ) -> Result<Tensor> {
        let view = &self.pipeline.view;
        let mut values = vec![0.0; batch.len() * shape.values()];
        for ((sample, pixels), out) in batch.iter().zip(values.chunks_exact_mut(shape.values())) {
            check_size(sample, (pixels.height, pixels.width), size)?;
            let frame = Framing::Centre.frame(view, size, sample.id);
            view::patches(view, &pixels.values, size, frame, out);
        }
        let dims = (batch.len() * shape.patches(), shape.patch, shape.patch, shape.channels);
        let patches = Tensor::from_vec(values, dims, &candle_core::Device::Cpu)?;
        let mut maps = self.device.take(&patches)?;
        for module in stack {
            maps = module.forward(&maps)?;
        }
        module::pooled(&device::home(&maps)?, shape.grid)
    }
}

/// The file that is written.
struct Embeddings<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: Arc<Schema>,
    /// Of the images, as the view has them.
    size: (usize, usize),
    rows: usize,
    rows_per_group: usize,
}

impl<W: Write + Send> Embeddings<W> {
    /// A file for such images, and such pooled vectors `[batch, grid, grid, channels]`.
    fn begin(out: W, source: &dyn Source, size: (usize, usize), pooled: &Tensor) -> Result<Self> {
        let (_, grid, _, channels) = pooled.dims4()?;
        let mut metadata = HashMap::new();
        if let Some(names) = source.label_names() {
            let label = json!({ "names": names, "_type": "ClassLabel" });
            let features = json!({ "info": { "features": { "label": label } } });
            metadata.insert("huggingface".to_string(), features.to_string());
        }
        let fields = vec![
            Field::new("id", DataType::Int64, false),
            Field::new("label", DataType::Int64, true),
            Field::new("source", DataType::Utf8, false),
            tensor_field(EMBEDDING, &[channels], &["channel"])?,
            tensor_field(POOLED, &[grid, grid, channels], &["row", "column", "channel"])?,
        ];
        let schema = Arc::new(Schema::new(fields).with_metadata(metadata));
        let writer = ArrowWriter::try_new(out, schema.clone(), None).map_err(failed)?;
        let row_bytes = (grid * grid + 1) * channels * size_of::<f32>();
        Ok(Self { writer, schema, size, rows: 0, rows_per_group: rows_per_group(row_bytes) })
    }

    /// Appends samples with their pooled vectors `[batch, grid, grid, channels]`.
    fn write(&mut self, batch: &[(Sample, Pixels)], pooled: &Tensor) -> Result<()> {
        let samples = || batch.iter().map(|(sample, _)| sample);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(samples().map(|it| it.id))),
            Arc::new(Int64Array::from_iter(samples().map(|it| it.label))),
            Arc::new(StringArray::from_iter_values(samples().map(|it| &it.source))),
            self.tensors(EMBEDDING, &pooled.mean((1, 2))?)?,
            self.tensors(POOLED, pooled)?,
        ];
        let batch = RecordBatch::try_new(self.schema.clone(), columns)
            .map_err(|error| Error::failed(format!("could not lay out embeddings: {error}")))?;
        self.writer.write(&batch).map_err(failed)?;
        self.rows += batch.num_rows();
        if self.writer.in_progress_rows() >= self.rows_per_group {
            self.writer.flush().map_err(failed)?;
        }
        Ok(())
    }

    /// A column of tensors, one a row.
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

    /// Ends the file; returns its rows.
    fn end(self) -> Result<usize> {
        self.writer.close().map_err(failed)?;
        Ok(self.rows)
    }
}

/// A column of f32 tensors as pyarrow knows them, and as the store has them.
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
