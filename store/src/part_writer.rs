//! Writes one part file: takes row groups, and makes a file of hand-made pages with its final name.

use std::sync::Arc;

use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnDescPtr, TypePtr};

use crate::error::{Error, Result};
use crate::hashed_file::{HashedFile, hash_from, hash_of};
use crate::location::Location;
use crate::manifest::Part;
use crate::row_group::RowGroup;
use crate::schema::Schema;
use crate::statistics::Sums;
use crate::unfinished::Unfinished;

/// Everything that all parts of a generation have in common.
#[derive(Debug)]
pub(crate) struct PartKind {
    /// The schema, with the compression of each column filled in.
    pub schema: Schema,
    parquet: TypePtr,
    properties: Arc<WriterProperties>,
    columns: Vec<ColumnDescPtr>,
}

impl PartKind {
    pub fn new(schema: Schema, key: &str) -> Result<Self> {
        let (parquet, metadata) = schema.parquet(key)?;
        let properties = WriterProperties::builder()
            .set_created_by(concat!("gimlet-store ", env!("CARGO_PKG_VERSION")).to_string())
            .set_key_value_metadata(Some(metadata))
            .build();
        Ok(Self {
            schema,
            parquet: parquet.root_schema_ptr(),
            properties: properties.into(),
            columns: parquet.columns().to_vec(),
        })
    }
}

/// A part file being written. Dropping it leaves nothing on disk.
#[derive(Debug)]
pub(crate) struct PartWriter {
    kind: Arc<PartKind>,
    at: Location,
    temp: Unfinished,
    parquet: SerializedFileWriter<HashedFile>,
    /// Rows in finished row groups.
    pub rows: u64,
    sums: Vec<Sums>,
}

impl PartWriter {
    /// Begins a part whose final location is `at`.
    pub fn create(kind: Arc<PartKind>, at: Location) -> Result<Self> {
        let temp = Unfinished::create(&at)?;
        let file = temp.file().try_clone().map_err(|error| at.error("write", &error))?;
        let parquet = SerializedFileWriter::new(
            HashedFile::new(&at.store().shared.system, file, temp.path()),
            kind.parquet.clone(),
            kind.properties.clone(),
        )
        .map_err(|error| cannot_write(&at, &error))?;
        let sums = vec![Sums::NONE; kind.schema.columns.len()];
        Ok(Self { kind, at, temp, parquet, rows: 0, sums })
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.parquet.bytes_written() as u64
    }

    /// Writes a row group.
    ///
    /// # Errors
    /// `NoSpace` or `Failed` when the disk cannot take it.
    pub fn add(&mut self, group: &mut RowGroup) -> Result<()> {
        let rows = group.rows() as u64;
        self.write(group).map_err(|error| cannot_write(&self.at, &error))?;
        self.rows += rows;
        Ok(())
    }

    fn write(&mut self, group: &mut RowGroup) -> ParquetResult<()> {
        let mut out = self.parquet.next_row_group()?;
        group.write(&self.kind.columns, &self.kind.schema, &mut out, &mut self.sums)?;
        out.close()?;
        Ok(())
    }

    /// Finishes the file and gives it its name. If another writer was first, its file stays, and must have these bytes.
    ///
    /// # Errors
    /// `NoSpace` or `Failed` when the disk cannot take it, `Failed` when the other file has other bytes.
    pub fn finish(self) -> Result<(Part, Vec<Sums>)> {
        let (rows, at) = (self.rows, self.at);
        let index_offset = self.parquet.bytes_written() as u64;
        let file = self.parquet.into_inner().map_err(|error| cannot_write(&at, &error))?;
        let (blake3, bytes) = file.finish(&at)?;
        let index_blake3 = hash_from(self.temp.file(), index_offset)
            .map_err(|error| Error::reading(self.temp.path(), &error))?;
        let part = Part { file: at.name(), rows, bytes, blake3, index_offset, index_blake3 };
        let created = self.temp.publish()?;
        if at.properties().is_remote
            && created
            && let Some(cache) = at.store().cache()
        {
            // This machine is likely to read the part next.
            cache.insert(&part.blake3, self.temp.file(), part.bytes);
        }
        if !created && hash_of(&at)? != part.blake3 {
            return Err(Error::failed(format_args!(
                "{at}: another writer made this part of the same key with other bytes, so the key \
                 leaves out something that the rows depend on"
            )));
        }
        Ok((part, self.sums))
    }
}

fn cannot_write(at: &Location, error: &ParquetError) -> Error {
    if let ParquetError::External(inner) = error
        && let Some(inner) = inner.downcast_ref()
    {
        return at.error("write", inner);
    }
    Error::failed(format_args!("{at}: cannot write: {error}"))
}
