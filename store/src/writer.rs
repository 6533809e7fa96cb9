//! Writing a generation: resume, cut into parts, commit.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Generation};
use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::hashed_file::hash_from;
use crate::manifest::{FORMAT_VERSION, Manifest, Part, folder_name, is_key, part_name};
use crate::part_writer::{PartKind, PartWriter};
use crate::records;
use crate::rows::Rows;
use crate::schema::Schema;
use crate::statistics::Sums;

/// What a generation is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// The columns.
    pub schema: Schema,
    /// What determines every byte that will be written, as 64 hex digits. Two generations of one
    /// key hold the same rows in the same parts, or one of them is refused.
    pub key: String,
    /// What the key was made of, for people.
    pub settings: serde_json::Value,
    /// How many rows there will be, where it is known: a commit of fewer or more is refused.
    pub rows: Option<u64>,
    /// Rows of a part file. Work is resumed at the first missing part.
    pub rows_per_part: usize,
    /// Rows of a row group, all of whose pages are held in memory until it is full.
    pub rows_per_group: usize,
}

/// A generation being written. Until [`Writer::commit`] nobody sees it; dropped before, it leaves
/// its complete parts for the next writer of the same key.
#[derive(Debug)]
pub struct Writer {
    dataset: Dataset,
    spec: Spec,
    folder: PathBuf,
    kind: Arc<PartKind>,
    done: Vec<PartRecord>,
    part: Option<PartWriter>,
    broken: bool,
}

/// What is noted beside a complete part, so that another writer can go on after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct PartRecord {
    format_version: u32,
    key: String,
    schema: Schema,
    rows_per_part: usize,
    rows_per_group: usize,
    part: Part,
    /// Of each tensor column.
    sums: Vec<Sums>,
}

fn record_name(index: usize) -> String {
    format!(".{}.json", part_name(index))
}

impl Writer {
    pub(crate) fn begin(dataset: Dataset, spec: Spec) -> Result<Self> {
        check(&spec)?;
        let folder = dataset.folder().join(folder_name(&spec.key));
        durable::create_folder(&folder)?;
        durable::remove_dead_temps(&folder)?;
        let kind = Arc::new(PartKind::new(spec.schema.clone(), &spec.key)?);
        let mut writer =
            Self { dataset, spec, folder, kind, done: Vec::new(), part: None, broken: false };
        writer.find_done()?;
        Ok(writer)
    }

    /// Rows in complete parts. Right after [`Dataset::begin`] these are the rows of earlier
    /// attempts, which the caller skips.
    pub fn rows_done(&self) -> u64 {
        self.done.iter().map(|record| record.part.rows).sum()
    }

    /// Bytes in complete parts and row groups.
    pub fn bytes_written(&self) -> u64 {
        let done: u64 = self.done.iter().map(|record| record.part.bytes).sum();
        done + self.part.as_ref().map_or(0, PartWriter::bytes)
    }

    /// Appends rows, any number of them.
    ///
    /// # Errors
    /// `Failed` when the rows do not fit the schema, when a value is not finite or beyond the
    /// column's type, when there are more rows than announced, or when the disk will not take
    /// them. After an error the writer takes nothing more.
    pub fn write(&mut self, rows: &Rows) -> Result<()> {
        self.whole()?;
        self.broken = true;
        self.append(rows)?;
        self.broken = false;
        Ok(())
    }

    /// Makes the generation visible, with all rows written so far. When another writer has
    /// committed the same key before, that generation is given.
    ///
    /// # Errors
    /// `Failed` when there are no rows or not as many as announced, when the disk will not take
    /// the last part or the manifest, or when another writer's parts of this key are different.
    pub fn commit(mut self, summary: serde_json::Value) -> Result<Generation> {
        self.whole()?;
        let rows = self.rows_done() + self.part.as_ref().map_or(0, PartWriter::rows);
        if rows == 0 {
            return Err(self.fail("there are no rows to commit"));
        }
        if let Some(announced) = self.spec.rows
            && announced != rows
        {
            return Err(self.fail(format_args!("{rows} rows, not {announced} as announced")));
        }
        self.end_part()?;
        self.check_folder()?;
        let manifest = self.manifest(rows, summary);
        let records = self.dataset.records();
        loop {
            // The number is taken from a listing before the search for the key: whoever commits
            // the key after the search takes this number or a later one.
            let number = records.next()?;
            if let Some(found) = self.dataset.find(&self.spec.key)? {
                return if found.manifest().parts == manifest.parts {
                    Ok(found)
                } else {
                    Err(self.fail(format_args!(
                        "generation {} was committed under the same key with other parts, so \
                         the key leaves out something that the rows depend on",
                        found.number()
                    )))
                };
            }
            if records.try_commit(number, &manifest)? {
                return self.dataset.generation(number);
            }
        }
    }

    fn append(&mut self, rows: &Rows) -> Result<()> {
        rows.check(&self.spec.schema)?;
        let count = rows.ids.len();
        let mut start = 0;
        while start < count {
            let per_part = self.spec.rows_per_part as u64;
            if self.done.last().is_some_and(|record| record.part.rows < per_part) {
                return Err(self.fail("the last part is there already: there are no more rows"));
            }
            let path = self.folder.join(part_name(self.done.len()));
            let part = match &mut self.part {
                Some(part) => part,
                none => none.insert(PartWriter::create(self.kind.clone(), &path)?),
            };
            let room_in_group = self.spec.rows_per_group - part.rows_in_group();
            let room_in_part = self.spec.rows_per_part - part.rows() as usize;
            let end = count.min(start + room_in_group.min(room_in_part));
            let mut tensors = Vec::new();
            part.add(&rows.slice(start..end, &self.spec.schema, &mut tensors))?;
            if part.rows_in_group() == self.spec.rows_per_group {
                part.end_group(&path)?;
            }
            let full = part.rows() == per_part;
            if full {
                self.end_part()?;
            }
            start = end;
        }
        Ok(())
    }

    fn end_part(&mut self) -> Result<()> {
        let Some(part) = self.part.take() else { return Ok(()) };
        let index = self.done.len();
        let name = part_name(index);
        let (part, sums) = part.finish(&self.folder.join(&name), name)?;
        let record = self.record(part, sums);
        let path = self.folder.join(record_name(index));
        records::write_new_json(&path, &record)?;
        // Read back, so that numbers that JSON rounds are the same after a resumption.
        let noted: PartRecord = records::read_json(&path)?;
        if noted.part != record.part {
            return Err(Error::damaged(&path, "it is about another file; remove it"));
        }
        self.done.push(noted);
        Ok(())
    }

    fn record(&self, part: Part, sums: Vec<Sums>) -> PartRecord {
        PartRecord {
            format_version: FORMAT_VERSION,
            key: self.spec.key.clone(),
            schema: self.spec.schema.clone(),
            rows_per_part: self.spec.rows_per_part,
            rows_per_group: self.spec.rows_per_group,
            part,
            sums,
        }
    }

    /// Takes the parts that earlier attempts completed, up to the first that is missing. Removes
    /// those that are damaged, or that were cut in another way: neither can be committed.
    fn find_done(&mut self) -> Result<()> {
        let committed = self.remove_damaged_commit()?;
        let names: HashSet<String> = durable::names_in(&self.folder)?.into_iter().collect();
        let indexes: Vec<usize> =
            (0..names.len()).filter(|index| names.contains(&record_name(*index))).collect();
        let found: Vec<Option<PartRecord>> = indexes
            .par_iter()
            .map(|index| {
                let record = self.read_record(*index)?;
                if record.is_none() {
                    if *index >= committed {
                        durable::remove_if_there(&self.folder.join(part_name(*index)))?;
                    }
                    durable::remove_if_there(&self.folder.join(record_name(*index)))?;
                }
                Ok(record)
            })
            .collect::<Result<_>>()?;
        for (place, (index, record)) in indexes.into_iter().zip(found).enumerate() {
            let Some(record) = record.filter(|_| index == place) else { break };
            let short = record.part.rows < self.spec.rows_per_part as u64;
            self.done.push(record);
            if short {
                break;
            }
        }
        Ok(())
    }

    /// Of a committed generation of the same key, removes the parts that are no longer what was
    /// committed, so that they are written again. Gives how many parts the generation has.
    fn remove_damaged_commit(&self) -> Result<usize> {
        let Some(committed) = self.dataset.find(&self.spec.key)? else { return Ok(0) };
        let parts = &committed.manifest().parts;
        parts.par_iter().try_for_each(|part| match committed.verify_part(part) {
            Err(error) if error.kind() == ErrorKind::Damaged => {
                durable::remove_if_there(&self.folder.join(&part.file))
            }
            verified => verified,
        })?;
        Ok(parts.len())
    }

    /// The record of part `index`, if it fits this writer and the file has the bytes it says.
    fn read_record(&self, index: usize) -> Result<Option<PartRecord>> {
        let noted: Result<PartRecord> = records::read_json(&self.folder.join(record_name(index)));
        let Ok(noted) = noted else { return Ok(None) };
        let fits = noted.part.file == part_name(index)
            && noted.part.fault(&self.spec.schema).is_none()
            && noted.part.rows <= self.spec.rows_per_part as u64
            && noted.sums.len() == self.spec.schema.columns.len()
            && noted == self.record(noted.part.clone(), noted.sums.clone());
        let path = self.folder.join(part_name(index));
        let size = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        let same = || Ok(hash_from(&path, 0)? == noted.part.blake3);
        let good = fits && size == noted.part.bytes && same()?;
        Ok(good.then_some(noted))
    }

    /// A glob over the folder must read this generation, all of it and nothing else.
    fn check_folder(&self) -> Result<()> {
        let mut names = durable::names_in(&self.folder)?;
        names.retain(|name| name.ends_with(".parquet"));
        let parts: Vec<_> = self.done.iter().map(|record| record.part.file.clone()).collect();
        if names == parts {
            return Ok(());
        }
        match names.iter().find(|name| !parts.contains(name)) {
            Some(name) => Err(self.fail(format_args!("{name} is no part of this generation"))),
            None => Err(self.fail("a part is gone; run it again to have it written again")),
        }
    }

    fn manifest(&self, rows: u64, summary: serde_json::Value) -> Manifest {
        let columns = self.spec.schema.columns.iter().enumerate();
        let statistics = columns.map(|(index, column)| {
            let mut sums = Sums::NONE;
            self.done.iter().for_each(|record| sums.add(&record.sums[index]));
            (column.name.clone(), sums.statistics())
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Manifest {
            format_version: FORMAT_VERSION,
            key: self.spec.key.clone(),
            settings: self.spec.settings.clone(),
            rows,
            schema: self.spec.schema.clone(),
            statistics: statistics.collect(),
            parts: self.done.iter().map(|record| record.part.clone()).collect(),
            summary,
            created: now.as_secs(),
            code_version: env!("CARGO_PKG_VERSION").to_string(),
        }
    }

    fn whole(&self) -> Result<()> {
        if self.broken {
            return Err(self.fail("an earlier write failed; begin again to go on from there"));
        }
        Ok(())
    }

    fn fail(&self, what: impl std::fmt::Display) -> Error {
        Error::failed(format_args!("{}: {what}", self.folder.display()))
    }
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
