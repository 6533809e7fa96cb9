//! Collects the rows of a row group that is not written yet.

use std::collections::BTreeMap;
use std::io;

use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::ColumnDescPtr;

use crate::column_chunk::Chunk;
use crate::compression::{Compression, CompressionChoice};
use crate::error::{Error, Result};
use crate::hashed_file::HashedFile;
use crate::key_page;
use crate::pages::Pages;
use crate::rows::{Rows, Values};
use crate::schema::{Column, DType, Schema};
use crate::statistics::Sums;
use crate::tensor_page::TensorPage;

/// The rows collected so far. The next row group uses the buffers again.
#[derive(Debug)]
pub(crate) struct RowGroup {
    ids: Vec<i64>,
    labels: Vec<Option<i64>>,
    sources: Vec<String>,
    attributes: Vec<Vec<i64>>,
    /// The pages of the stored columns.
    tensors: Vec<Pages>,
    /// The sums of the schema's columns.
    sums: Vec<Sums>,
}

impl RowGroup {
    pub fn new(schema: &Schema) -> Self {
        let stored = schema.stored();
        let pages = stored.iter().map(|column| Pages::new(TensorPage::new(column)));
        Self {
            ids: Vec::new(),
            labels: Vec::new(),
            sources: Vec::new(),
            attributes: vec![Vec::new(); schema.attributes.len()],
            tensors: pages.collect(),
            sums: vec![Sums::NONE; schema.columns.len()],
        }
    }

    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// Adds rows that were checked against the schema.
    ///
    /// # Errors
    /// `Failed` when a value cannot be stored; names the id of the row, and the column.
    pub fn add(&mut self, rows: &Rows, schema: &Schema) -> Result<()> {
        for (index, column) in schema.columns.iter().enumerate() {
            let (values, sums) = (rows.tensors[index], &mut self.sums[index]);
            let (pages, after) = self.tensors[schema.stored_place(index)..].split_at_mut(1);
            let added = match (column.dtype, values, after.first_mut()) {
                (DType::I8, Values::F32(values), Some(scales)) => {
                    pages[0].add_quantised(scales, values, sums)
                }
                _ => pages[0].add(values, sums),
            };
            added.map_err(|at| unstorable(column, rows.ids[at / column.values()], values, at))?;
        }
        self.ids.extend(rows.ids);
        self.labels.extend(rows.labels);
        self.sources.extend(rows.sources.into_iter().flatten().cloned());
        for (all, more) in self.attributes.iter_mut().zip(rows.attributes) {
            all.extend(*more);
        }
        Ok(())
    }

    /// The values of stored column `place` in each row, as they will be stored.
    pub fn stored_rows(&self, place: usize) -> impl Iterator<Item = &[u8]> {
        self.tensors[place].rows()
    }

    /// Chooses the compression that suits each column of the schema, by name.
    ///
    /// # Errors
    /// When a page cannot be compressed.
    pub fn choose(&self, schema: &Schema) -> io::Result<BTreeMap<String, CompressionChoice>> {
        let mut choices = BTreeMap::new();
        for (index, column) in schema.columns.iter().enumerate() {
            let pages = &self.tensors[schema.stored_place(index)];
            let sizes = [Compression::Lz4, Compression::Zstd].map(|it| pages.compressed_size(it));
            let [lz4, zstd] = sizes;
            let choice = CompressionChoice::of(self.rows(), pages.size(), lz4?, zstd?);
            choices.insert(column.name.clone(), choice);
        }
        Ok(choices)
    }

    /// Writes the rows, clears them, and adds their sums to `sums`.
    pub fn write(
        &mut self,
        columns: &[ColumnDescPtr],
        schema: &Schema,
        out: &mut SerializedRowGroupWriter<HashedFile>,
        sums: &mut [Sums],
    ) -> ParquetResult<()> {
        let rows = self.rows();
        let mut keys = vec![key_page::numbers(&self.ids), key_page::labels(&self.labels)];
        if schema.source {
            keys.push(key_page::sources(&self.sources));
        }
        keys.extend(self.attributes.iter().map(|values| key_page::numbers(values)));
        let (key_columns, tensor_columns) = columns.split_at(keys.len());
        for (column, page) in key_columns.iter().zip(&keys) {
            // Sources may be of any length, and Parquet counts a page's bytes in 31 bits.
            if i32::try_from(page.len()).is_err() {
                let what = "the sources of a row group are 2 GiB long";
                return Err(ParquetError::General(what.into()));
            }
            let chunk = Chunk {
                compression: Compression::None,
                dictionary: &[],
                pages: vec![page],
                decompressed: page.len(),
            };
            chunk.append(column, out, rows, rows)?;
        }
        let tensors = schema.stored().into_iter().zip(&mut self.tensors);
        for (column, (stored, pages)) in tensor_columns.iter().zip(tensors) {
            let compression = stored.compression;
            let values = rows * pages.layout.values;
            let (dictionary, dictionary_size) = pages.layout.dictionary(compression)?;
            let (sealed, size) = pages.seal(compression)?;
            let chunk = Chunk {
                compression,
                dictionary: &dictionary,
                pages: sealed,
                decompressed: dictionary_size + size,
            };
            chunk.append(column, out, values, 1)?;
            pages.clear();
        }
        self.ids.clear();
        self.labels.clear();
        self.sources.clear();
        self.attributes.iter_mut().for_each(Vec::clear);
        for (all, more) in sums.iter_mut().zip(&mut self.sums) {
            all.add(more);
            *more = Sums::NONE;
        }
        Ok(())
    }
}

fn unstorable(column: &Column, id: i64, tensor: Values, at: usize) -> Error {
    let what = match tensor {
        Values::F32(values) => values[at].to_string(),
        Values::U8(values) => values[at].to_string(),
    };
    let (name, dtype, value) = (&column.name, column.dtype, at % column.values());
    Error::failed(format_args!(
        "row with id {id}, column `{name}`, value {value}: {what} is not a number {dtype:?} holds"
    ))
}
