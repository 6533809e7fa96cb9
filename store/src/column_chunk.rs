//! Turns the finished pages of one column in one row group into a column chunk.

use std::io::{self, Read, Write};

use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::offset_index::{OffsetIndexMetaData, PageLocation};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::ColumnDescPtr;

use crate::compression::Compression;

/// A finished column chunk: what [`SerializedRowGroupWriter::append_column`] reads from.
pub(crate) struct Chunk<'a> {
    pub compression: Compression,
    /// The dictionary page for one-byte values; empty for other types.
    pub dictionary: &'a [u8],
    /// The data pages, each with its header.
    pub pages: Vec<&'a [u8]>,
    /// Bytes of all pages without compression, headers included.
    pub decompressed: usize,
}

impl Chunk<'_> {
    /// Appends the chunk to a row group. `values` is the number of values in all pages.
    pub fn append<W: Write + Send>(
        &self,
        column: &ColumnDescPtr,
        out: &mut SerializedRowGroupWriter<W>,
        values: usize,
        rows_in_page: usize,
    ) -> ParquetResult<()> {
        let mut encodings = vec![Encoding::PLAIN, Encoding::RLE];
        if !self.dictionary.is_empty() {
            encodings.push(Encoding::RLE_DICTIONARY);
        }
        let metadata = ColumnChunkMetaData::builder(column.clone())
            .set_encodings(encodings)
            .set_compression(self.compression.parquet())
            .set_total_compressed_size(self.len() as i64)
            .set_total_uncompressed_size(self.decompressed as i64)
            .set_num_values(values as i64)
            .set_dictionary_page_offset((!self.dictionary.is_empty()).then_some(0))
            .set_data_page_offset(self.dictionary.len() as i64)
            .build()?;
        let mut offset = self.dictionary.len() as i64;
        let mut page_locations = Vec::with_capacity(self.pages.len());
        for (index, page) in self.pages.iter().enumerate() {
            page_locations.push(PageLocation {
                offset,
                compressed_page_size: page.len() as i32,
                first_row_index: (index * rows_in_page) as i64,
            });
            offset += page.len() as i64;
        }
        let offset_index =
            OffsetIndexMetaData { page_locations, unencoded_byte_array_data_bytes: None };
        let close = ColumnCloseResult {
            bytes_written: self.len(),
            rows_written: (self.pages.len() * rows_in_page) as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(offset_index),
        };
        out.append_column(self, close)
    }
}

impl Length for Chunk<'_> {
    fn len(&self) -> u64 {
        (self.dictionary.len() + self.pages.iter().map(|page| page.len()).sum::<usize>()) as u64
    }
}

impl<'a> ChunkReader for Chunk<'a> {
    type T = Slices<'a>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let mut slices = Slices { first: self.dictionary, rest: self.pages.clone().into_iter() };
        io::copy(&mut (&mut slices).take(start), &mut io::sink())?;
        Ok(slices)
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let mut bytes = vec![0; length];
        self.get_read(start)?.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Reads slices one after another.
pub(crate) struct Slices<'a> {
    first: &'a [u8],
    rest: std::vec::IntoIter<&'a [u8]>,
}

impl Read for Slices<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.first.is_empty() {
            match self.rest.next() {
                Some(next) => self.first = next,
                None => return Ok(0),
            }
        }
        self.first.read(out)
    }
}
