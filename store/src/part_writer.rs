//! One part file being written: rows in, row groups of hand-made pages out.

use std::path::Path;
use std::sync::Arc;

use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnDescPtr, TypePtr};

use crate::column_chunk::{Chunk, Pages};
use crate::durable::Temp;
use crate::error::{Error, Result};
use crate::hashed_file::{HashedFile, hash_from};
use crate::key_page;
use crate::manifest::Part;
use crate::page_header::PageKind;
use crate::rows::{Rows, Values};
use crate::schema::{Column, Schema};
use crate::statistics::Sums;
use crate::tensor_page::{TensorPage, identity_dictionary};

/// What all parts of a generation have in common.
#[derive(Debug)]
pub(crate) struct PartKind {
    schema: Schema,
    parquet: TypePtr,
    properties: Arc<WriterProperties>,
    columns: Vec<ColumnDescPtr>,
    pages: Vec<TensorPage>,
}

impl PartKind {
    pub fn new(schema: Schema, key: &str) -> Result<Self> {
        let (parquet, metadata) = schema.parquet(key)?;
        let properties = WriterProperties::builder()
            .set_created_by(concat!("gimlet-store ", env!("CARGO_PKG_VERSION")).to_string())
            .set_key_value_metadata(Some(metadata))
            .build();
        let pages = schema.columns.iter().map(TensorPage::new).collect();
        Ok(Self {
            schema,
            parquet: parquet.root_schema_ptr(),
            properties: properties.into(),
            columns: parquet.columns().to_vec(),
            pages,
        })
    }
}

/// A part file being written. Dropped, it leaves nothing.
#[derive(Debug)]
pub(crate) struct PartWriter {
    kind: Arc<PartKind>,
    temp: Temp,
    parquet: SerializedFileWriter<HashedFile>,
    rows: u64,
    group: Group,
    sums: Vec<Sums>,
}

/// The rows of the row group that is not written yet.
#[derive(Debug, Default)]
struct Group {
    ids: Vec<i64>,
    labels: Vec<Option<i64>>,
    sources: Vec<String>,
    tensors: Vec<Pages>,
}

impl PartWriter {
    /// A new part, to be called `path` in the end.
    pub fn create(kind: Arc<PartKind>, path: &Path) -> Result<Self> {
        let temp = Temp::create(path)?;
        let file = temp.file().try_clone().map_err(|error| Error::io(path, "write", &error))?;
        let parquet = SerializedFileWriter::new(
            HashedFile::new(file),
            kind.parquet.clone(),
            kind.properties.clone(),
        )
        .map_err(|error| cannot_write(path, &error))?;
        let tensors = kind.pages.iter().map(|page| Pages::new(page.slot())).collect();
        let group = Group { tensors, ..Group::default() };
        let sums = vec![Sums::NONE; kind.pages.len()];
        Ok(Self { kind, temp, parquet, rows: 0, group, sums })
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows + self.group.ids.len() as u64
    }

    /// Rows in the row group that is not written yet.
    pub fn rows_in_group(&self) -> usize {
        self.group.ids.len()
    }

    /// Bytes of finished row groups.
    pub fn bytes(&self) -> u64 {
        self.parquet.bytes_written() as u64
    }

    /// Adds rows, already checked against the schema, to the row group.
    ///
    /// # Errors
    /// `Failed` when a value cannot be stored; names the row by its id, and the column.
    pub fn add(&mut self, rows: &Rows) -> Result<()> {
        for (index, page) in self.kind.pages.iter().enumerate() {
            let (values, sums) = (rows.tensors[index], &mut self.sums[index]);
            self.group.tensors[index].add(page, values, sums).map_err(|at| {
                let (row, value) = (at / page.values(), at % page.values());
                unstorable(&self.kind.schema.columns[index], rows.ids[row], value, values, at)
            })?;
        }
        self.group.ids.extend(rows.ids);
        self.group.labels.extend(rows.labels);
        self.group.sources.extend(rows.sources.into_iter().flatten().cloned());
        Ok(())
    }

    /// Writes the row group and begins the next.
    pub fn end_group(&mut self, path: &Path) -> Result<()> {
        if self.group.ids.is_empty() {
            return Ok(());
        }
        let written = self.write_group();
        written.map_err(|error| cannot_write(path, &error))
    }

    fn write_group(&mut self) -> ParquetResult<()> {
        let group = &mut self.group;
        let rows = group.ids.len();
        let mut out = self.parquet.next_row_group()?;
        let mut keys = vec![key_page::ids(&group.ids), key_page::labels(&group.labels)];
        if self.kind.schema.source {
            keys.push(key_page::sources(&group.sources));
        }
        let (key_columns, tensor_columns) = self.kind.columns.split_at(keys.len());
        for (column, page) in key_columns.iter().zip(&keys) {
            append_page(column, &mut out, page, rows)?;
        }
        let tensors = self.kind.pages.iter().zip(&mut group.tensors);
        for (column, (page, pages)) in tensor_columns.iter().zip(tensors) {
            let dictionary = match page.kind() {
                PageKind::Indices => identity_dictionary(),
                _ => Vec::new(),
            };
            let chunk = Chunk { dictionary: &dictionary, pages: pages.iter().collect() };
            let rows_in_page = 1;
            chunk.append(column, &mut out, rows * page.values(), rows_in_page)?;
            pages.clear();
        }
        out.close()?;
        self.rows += rows as u64;
        group.ids.clear();
        group.labels.clear();
        group.sources.clear();
        Ok(())
    }

    /// Finishes the file and gives it its name. Another writer may have been first: then its file
    /// must have the same bytes, and stays.
    ///
    /// # Errors
    /// `Failed` when the disk will not take it, or when the other file has other bytes.
    pub fn finish(mut self, path: &Path, name: String) -> Result<(Part, Vec<Sums>)> {
        self.end_group(path)?;
        let rows = self.rows;
        let index_offset = self.parquet.bytes_written() as u64;
        let file = self.parquet.into_inner().map_err(|error| cannot_write(path, &error))?;
        let (blake3, bytes) = file.finish().map_err(|error| Error::io(path, "write", &error))?;
        let index_blake3 = hash_from(self.temp.path(), index_offset)?;
        let part = Part { file: name, rows, bytes, blake3, index_offset, index_blake3 };
        if !self.temp.publish()? && hash_from(path, 0)? != part.blake3 {
            return Err(Error::failed(format_args!(
                "{}: another writer made this part of the same key with other bytes, so the key \
                 leaves out something that the rows depend on",
                path.display()
            )));
        }
        Ok((part, self.sums))
    }
}

fn cannot_write(path: &Path, error: &ParquetError) -> Error {
    Error::failed(format_args!("{}: cannot write: {error}", path.display()))
}

fn unstorable(column: &Column, id: i64, value: usize, tensor: Values, at: usize) -> Error {
    let what = match tensor {
        Values::F32(values) => values[at].to_string(),
        Values::U8(values) => values[at].to_string(),
    };
    let (name, dtype) = (&column.name, column.dtype);
    Error::failed(format_args!(
        "row with id {id}, column `{name}`, value {value}: {what} is not a number {dtype:?} holds"
    ))
}

/// A key column's chunk: one page.
fn append_page(
    column: &ColumnDescPtr,
    out: &mut SerializedRowGroupWriter<HashedFile>,
    page: &[u8],
    rows: usize,
) -> ParquetResult<()> {
    // Sources may be of any length, and Parquet counts a page's bytes in 31 bits.
    if i32::try_from(page.len()).is_err() {
        return Err(ParquetError::General("the sources of a row group are 2 GiB long".into()));
    }
    Chunk { dictionary: &[], pages: vec![page] }.append(column, out, rows, rows)
}
