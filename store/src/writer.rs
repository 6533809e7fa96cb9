//! Writes a generation, cut into parts. `writer/resume.rs` goes on with it, `writer/again.rs` compares with it what is
//! given once more, and `writer/commit.rs` makes it visible.

pub(crate) mod again;
pub(crate) mod commit;
mod resume;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use crate::backend::Lease;
use crate::compression::{Compression, CompressionChoice, CompressionSetting};
use crate::dataset::{Dataset, Generation};
use crate::error::{Error, Result};
use crate::error_kind::ErrorKind;
use crate::json;
use crate::key::is_key;
use crate::location::Location;
use crate::manifest::{FORMAT_VERSION, Part, part_name};
use crate::part_record::{PartRecord, record_name};
use crate::part_writer::{PartKind, PartWriter};
use crate::row_group::RowGroup;
use crate::rows::Rows;
use crate::schema::Schema;
use crate::shard::Shard;
use crate::statistics::Sums;

/// The specification of a generation to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// The columns.
    pub schema: Schema,
    /// The key, which determines every byte that will be written: 64 hex digits. Two generations of one key have the
    /// same rows in the same parts, or one of them is refused.
    pub key: String,
    /// What the key was made of, for people.
    pub settings: Value,
    /// The number of rows, where it is known: a commit of fewer or more rows is refused.
    pub rows: Option<u64>,
    /// Rows per part file. Work is resumed part by part.
    pub rows_per_part: usize,
    /// Rows per row group. All pages of a row group are held in memory until it is full.
    pub rows_per_group: usize,
    /// The compression of the pages of all tensor columns.
    pub compression: CompressionSetting,
}

impl Spec {
    /// A generation of any number of rows, uncompressed, in parts of 2,048 rows.
    pub fn new(schema: Schema, key: impl Into<String>) -> Self {
        Self {
            schema,
            key: key.into(),
            settings: Value::Null,
            rows: None,
            rows_per_part: 2048,
            rows_per_group: 64,
            compression: CompressionSetting::Fixed(Compression::None),
        }
    }
}

/// Writes a generation, row by row from the first. No reader sees it before [`Writer::commit`]. A writer dropped
/// before that leaves its complete parts for the next writer of the same key.
///
/// Rows in complete parts need not be made again: [`Writer::wants`] says which rows are needed.
#[derive(Debug)]
pub struct Writer {
    dataset: Dataset,
    spec: Spec,
    folder: Location,
    /// `None` while `auto` has not seen a row group.
    kind: Option<Arc<PartKind>>,
    choices: BTreeMap<String, CompressionChoice>,
    /// The complete parts, by number.
    done: BTreeMap<usize, PartRecord>,
    /// The row that is written next.
    position: u64,
    group: RowGroup,
    part: Option<PartWriter>,
    broken: bool,
    /// The generation, if it was committed before: its broken parts are made again.
    committed: Option<Generation>,
    /// The parts that this writer writes.
    shard: Shard,
    of_part: OfPart,
    _lease: Lease,
}

/// The callback that says what to note about the work on a part.
struct OfPart(Option<Box<dyn FnMut() -> Value + Send + Sync>>);

impl fmt::Debug for OfPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OfPart").field(&self.0.is_some()).finish()
    }
}

impl Dataset {
    /// Begins a generation, or continues one whose writer stopped before its commit.
    ///
    /// # Errors
    /// `Failed` when the spec is wrong or the folder cannot be written to.
    pub fn begin(&self, spec: Spec) -> Result<Writer> {
        Writer::begin(self.clone(), spec, Shard::WHOLE)
    }

    /// Begins or continues one shard of a generation that several writers write together. Each writes the parts of its
    /// shard. The one whose [`Writer::finish`] finds all parts complete makes the generation visible.
    ///
    /// # Errors
    /// The errors of [`Self::begin`]; `Failed` also when the spec does not give the number of rows.
    pub fn begin_shard(&self, spec: Spec, shard: Shard) -> Result<Writer> {
        Writer::begin(self.clone(), spec, shard)
    }
}

impl Writer {
    fn begin(dataset: Dataset, mut spec: Spec, shard: Shard) -> Result<Self> {
        check(&spec)?;
        if spec.rows.is_none() && !shard.is_whole() {
            return Err(Error::failed(
                "a dataset that is written in shards needs its number of rows",
            ));
        }
        let parts = spec.rows.unwrap_or(0).div_ceil(spec.rows_per_part as u64);
        check_parts(parts, &dataset)?;
        let folder = dataset.folder_of(&spec.key);
        folder.check_no_link()?;
        let lease = Lease::write_to(&folder)?;
        folder.remove_dead_temps()?;
        dataset.folder().remove_dead_temps()?;
        let fixed = match spec.compression {
            CompressionSetting::Fixed(compression) => compression,
            CompressionSetting::Auto => Compression::None,
        };
        spec.schema.columns.iter_mut().for_each(|column| column.compression = fixed);
        let group = RowGroup::new(&spec.schema);
        let mut writer = Self {
            folder,
            kind: None,
            choices: BTreeMap::new(),
            done: BTreeMap::new(),
            position: 0,
            group,
            part: None,
            broken: false,
            committed: dataset.find(&spec.key)?,
            dataset,
            spec,
            shard,
            of_part: OfPart(None),
            _lease: lease,
        };
        writer.find_done()?;
        if writer.kind.is_none() && writer.spec.compression != CompressionSetting::Auto {
            writer.settle(writer.spec.schema.clone())?;
        }
        Ok(writer)
    }

    /// Sets a callback for complete parts. `of_part` is called when a part is complete, and its result is noted
    /// beside the part. [`Writer::finish`] can read it there for the parts of other writers, too.
    #[must_use]
    pub fn noting(mut self, of_part: impl FnMut() -> Value + Send + Sync + 'static) -> Self {
        self.of_part = OfPart(Some(Box::new(of_part)));
        self
    }

    /// Fixes the schema, compression included, for all parts from now on.
    fn settle(&mut self, schema: Schema) -> Result<Arc<PartKind>> {
        let kind = Arc::new(PartKind::new(schema, &self.spec.key)?);
        self.kind = Some(kind.clone());
        Ok(kind)
    }

    /// The row that the next [`Writer::write`] or [`Writer::skip`] begins with.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether the writer needs any of these rows: for a part of its shard that is not complete yet, or for the
    /// choice of [`CompressionSetting::Auto`]. The choice needs the first rows, even when another shard writes them.
    pub fn wants(&self, rows: Range<u64>) -> bool {
        let per_part = self.spec.rows_per_part as u64;
        let mut parts = rows.start / per_part..rows.end.div_ceil(per_part);
        !rows.is_empty()
            && (parts.any(|part| self.is_to_do(part as usize)) || rows.start < self.chosen_by())
    }

    /// Whether this writer has part `index` still to write.
    fn is_to_do(&self, index: usize) -> bool {
        self.shard.has(index) && !self.done.contains_key(&index)
    }

    /// The number of first rows that belong to another shard but are needed to choose a compression.
    fn chosen_by(&self) -> u64 {
        let Some(rows) = self.spec.rows else { return 0 };
        if self.kind.is_some() || self.shard.has(0) {
            return 0;
        }
        let any = (0..self.parts_of(rows)).any(|index| self.is_to_do(index));
        let first = self.spec.rows_per_group.min(self.spec.rows_per_part) as u64;
        if any { first.min(rows) } else { 0 }
    }

    /// How many of `rows` rows are in the parts of its shard.
    fn own_of(&self, rows: u64) -> u64 {
        let per_part = self.spec.rows_per_part as u64;
        let own = (0..self.parts_of(rows)).filter(|index| self.shard.has(*index));
        own.map(|index| per_part.min(rows - index as u64 * per_part)).sum()
    }

    fn parts_of(&self, rows: u64) -> usize {
        rows.div_ceil(self.spec.rows_per_part as u64) as usize
    }

    /// Skips rows, none of which the writer [wants](Writer::wants).
    ///
    /// # Errors
    /// `Failed` when one of them has still to be written.
    pub fn skip(&mut self, rows: u64) -> Result<()> {
        let range = self.position..self.position.saturating_add(rows);
        if self.wants(range.clone()) {
            return Err(self.fail(format_args!("rows {range:?} are not all there yet")));
        }
        self.position = range.end;
        Ok(())
    }

    /// Rows in complete parts of its shard, wherever they are.
    pub fn rows_done(&self) -> u64 {
        self.done.values().map(|record| record.part.rows).sum()
    }

    /// Bytes in complete parts and row groups.
    pub fn bytes_written(&self) -> u64 {
        let done: u64 = self.done.values().map(|record| record.part.bytes).sum();
        done + self.part.as_ref().map_or(0, PartWriter::bytes)
    }

    /// What [`CompressionSetting::Auto`] measured and chose, by column; empty before the first row
    /// group, and where the compression was given.
    pub fn compression(&self) -> &BTreeMap<String, CompressionChoice> {
        &self.choices
    }

    /// Appends rows, any number of them. Skips rows in complete parts.
    ///
    /// # Errors
    /// `Failed` when the rows do not fit the schema, when a value is not finite or beyond the column's type, or when
    /// there are more rows than announced; `NoSpace`, `Denied` or `Failed` when the disk cannot take them. After an
    /// error the writer takes nothing more.
    pub fn write(&mut self, rows: &Rows) -> Result<()> {
        self.whole()?;
        self.broken = true;
        self.append(rows)?;
        self.broken = false;
        Ok(())
    }

    fn append(&mut self, rows: &Rows) -> Result<()> {
        rows.check(&self.spec.schema)?;
        let (count, per_part) = (rows.ids.len(), self.spec.rows_per_part);
        if let Some(announced) = self.spec.rows
            && self.position + count as u64 > announced
        {
            return Err(self.fail(format_args!("there are more rows than {announced}")));
        }
        let mut start = 0;
        while start < count {
            let index = (self.position / per_part as u64) as usize;
            let in_part = (self.position % per_part as u64) as usize;
            let mut end = count.min(start + per_part - in_part);
            let chosen_by = self.chosen_by();
            if self.position < chosen_by {
                end = end.min(start + (chosen_by - self.position) as usize);
                self.collect(rows, start..end)?;
                if self.group.rows() as u64 == chosen_by {
                    self.choose(index)?;
                    // Another shard writes these rows.
                    self.group = RowGroup::new(&self.spec.schema);
                }
            } else if !self.shard.has(index) {
                // Another shard writes this part.
            } else if let Some(record) = self.done.get(&index) {
                if (in_part + end - start) as u64 > record.part.rows {
                    let name = part_name(index);
                    return Err(self.fail(format_args!("{name} is complete with fewer rows")));
                }
            } else {
                check_parts(index as u64 + 1, &self.dataset)?;
                end = end.min(start + self.spec.rows_per_group - self.group.rows());
                self.collect(rows, start..end)?;
                let part_is_full = in_part + end - start == per_part;
                if part_is_full || self.group.rows() == self.spec.rows_per_group {
                    self.end_group(index)?;
                }
                if part_is_full {
                    self.end_part(index)?;
                }
            }
            self.position += (end - start) as u64;
            start = end;
        }
        Ok(())
    }

    fn collect(&mut self, rows: &Rows, range: Range<usize>) -> Result<()> {
        let (group, schema) = (&mut self.group, &self.spec.schema);
        rows.with_slice(range, schema, |rows| group.add(rows, schema))
    }

    /// Chooses the compression of all parts by the collected rows, which belong to part `index`.
    fn choose(&mut self, index: usize) -> Result<Arc<PartKind>> {
        let choices = self.group.choose(&self.spec.schema);
        let at = self.folder.join(part_name(index));
        self.choices = choices.map_err(|error| at.error("compress", &error))?;
        let mut schema = self.spec.schema.clone();
        for column in &mut schema.columns {
            column.compression = self.choices[&column.name].chosen;
        }
        self.settle(schema)
    }

    /// Writes the collected rows to part `index`.
    fn end_group(&mut self, index: usize) -> Result<()> {
        if self.group.rows() == 0 {
            return Ok(());
        }
        let kind = match &self.kind {
            Some(kind) => kind.clone(),
            None => self.choose(index)?,
        };
        let to_come = self.bytes_to_come();
        let part = match &mut self.part {
            Some(part) => part,
            none => {
                let created = PartWriter::create(kind, self.folder.join(part_name(index)));
                none.insert(created.map_err(|error| error.needing(to_come))?)
            }
        };
        part.add(&mut self.group).map_err(|error| error.needing(to_come))
    }

    /// Finishes part `index`, if it was begun.
    fn end_part(&mut self, index: usize) -> Result<()> {
        self.end_group(index)?;
        let to_come = self.bytes_to_come();
        let Some(part) = self.part.take() else { return Ok(()) };
        let (part, sums) = part.finish().map_err(|error| error.needing(to_come))?;
        self.check_repaired(index, &part)?;
        let mut record = self.record(part, sums);
        record.summary = self.of_part.0.as_mut().map_or(Value::Null, |say| say());
        let at = self.folder.join(record_name(index));
        let noted = json::create(&at, &record);
        noted.map_err(|error| error.needing(to_come))?;
        // Read back, so that numbers that JSON rounds are the same after a resumption.
        let noted: PartRecord = json::read(&at, &self.dataset.records.limits)?;
        if noted.part != record.part {
            return Err(Error::damaged(at.path(), "it is about another file; remove it"));
        }
        self.done.insert(index, noted);
        Ok(())
    }

    /// Uncompressed bytes of the rows that are not in a row group yet, as far as their number is known.
    fn bytes_to_come(&self) -> u64 {
        let written = self.rows_done() + self.part.as_ref().map_or(0, |part| part.rows);
        let announced = self.spec.rows.map(|rows| self.own_of(rows).saturating_sub(written));
        let rows = announced.unwrap_or(self.group.rows() as u64);
        rows.saturating_mul(self.spec.schema.row_bytes() as u64)
    }

    /// Checks that a part that was made again is equal to the committed one. If not, it is removed: the rest of the
    /// generation, and everything made from it, belongs to the part as it was.
    fn check_repaired(&self, index: usize, part: &Part) -> Result<()> {
        let Some(committed) = &self.committed else { return Ok(()) };
        if committed.manifest().parts.get(index) == Some(part) {
            return Ok(());
        }
        let (at, number) = (self.folder.join(&part.file), committed.number());
        at.remove()?;
        let what =
            format!("{at}: was made again, and is not what was committed as generation {number}");
        Err(Error::new(ErrorKind::Differs, what))
    }

    fn record(&self, part: Part, sums: Vec<Sums>) -> PartRecord {
        PartRecord {
            format_version: FORMAT_VERSION,
            key: self.spec.key.clone(),
            schema: self.kind.as_ref().map_or(&self.spec.schema, |kind| &kind.schema).clone(),
            compression: self.choices.clone(),
            rows_per_part: self.spec.rows_per_part,
            rows_per_group: self.spec.rows_per_group,
            part,
            sums,
            summary: Value::Null,
        }
    }

    fn whole(&self) -> Result<()> {
        if self.broken {
            return Err(self.fail("an earlier write failed; begin again to go on from there"));
        }
        Ok(())
    }

    fn fail(&self, what: impl std::fmt::Display) -> Error {
        Error::failed(format_args!("{}: {what}", self.folder))
    }
}

/// Refuses a generation that could be committed but never read: a manifest with too many parts.
fn check_parts(parts: u64, dataset: &Dataset) -> Result<()> {
    let most = dataset.records.limits.parts();
    if parts <= most {
        return Ok(());
    }
    Err(Error::failed(format_args!(
        "{}: there would be more than {most} parts, whose manifest takes more memory than \
         `Limits::record` allows; put more rows into a part",
        dataset.folder()
    )))
}

fn check(spec: &Spec) -> Result<()> {
    if !is_key(&spec.key) {
        return Err(Error::failed(format_args!("key {:?} is not 64 hex digits", spec.key)));
    }
    spec.schema.check().map_err(|what| Error::failed(format_args!("the schema: {what}")))?;
    if spec.rows_per_part == 0 || spec.rows_per_group == 0 {
        return Err(Error::failed("a part and a row group have at least one row"));
    }
    Ok(())
}
