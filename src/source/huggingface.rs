//! Images in Parquet, in the Hugging Face convention: a column `image` of
//! `struct<bytes: binary, path: string>`, and a label column whose ClassLabel names lie in the
//! `huggingface` key of the schema metadata. A plain binary column of encoded images will do, too.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::{cast, is_null, nullif};
use arrow::datatypes::{DataType, Int64Type, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::PageIndexPolicy;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::locate::relative_name;
use super::parquet_guard::{self, Values};
use super::{BadSample, Keep, Sample, Source, decode, no_such_row, plain_file, shorten};
use crate::pipeline::settings::Files;
use crate::{Error, Result};

/// Rows decoded at a time: fewer when their values may have more bytes together than this. A single
/// value is no longer than a page.
const BATCH_ROWS: usize = 256;
const BATCH_BYTES: u64 = 512 << 20;

/// The longest JSON of label names. It takes a hundred times as much memory, at most.
const LONGEST_JSON: usize = 4 << 20;

/// Bytes of all names of labels together, where they are text.
const LONGEST_NAMES: usize = 4 << 20;

/// Bytes of the path of an image, which are kept with it.
const LONGEST_PATH: usize = 32 << 10;

/// The end of a Parquet file holds its schema and where everything lies: another content has
/// another end.
const FOOTER_BYTES: u64 = 64 * 1024;

/// Parquet files of images; the rows of the files follow each other.
pub struct HuggingFace {
    parts: Vec<Part>,
    columns: Columns,
    names: Option<Vec<String>>,
    identity: Value,
}

/// One file.
struct Part {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    /// The first row's number in the source.
    first: usize,
    rows: usize,
    /// The column chunks, by row group and column, whose pages claim nothing absurd.
    checked: Mutex<HashMap<(usize, usize), Values>>,
}

/// The columns to read.
struct Columns {
    image: String,
    label: Option<LabelColumn>,
}

struct LabelColumn {
    name: String,
    /// Strings: the label is the value's place among the sorted distinct values.
    text: bool,
}

impl HuggingFace {
    /// Opens the files at `paths` as one source.
    ///
    /// # Errors
    /// When a file is not Parquet, lacks a column of the settings or has it in another type, when
    /// the files disagree on the label names, or when there is no row at all.
    pub fn open(files: &Files, paths: Vec<PathBuf>) -> Result<Self> {
        let mut parts: Vec<Part> = Vec::with_capacity(paths.len());
        let mut labels: Option<Labels> = None;
        let mut identities = Vec::with_capacity(paths.len());
        let mut first = 0;
        for path in paths {
            let (metadata, identity) = load(&files.root, &path)?;
            let schema = metadata.schema();
            check_image(schema, &files.image, &path)?;
            if let Some(column) = &files.label {
                let found = Labels::of(schema, column, &path)?;
                match &labels {
                    Some(labels) if *labels != found => {
                        return Err(Error::failed(format!(
                            "`{}` and `{}` have different label names in the column `{column}`",
                            parts.first().map_or(path.as_path(), |part| &part.path).display(),
                            path.display()
                        ))
                        .hint("name only files of one data set"));
                    }
                    _ => labels = Some(found),
                }
            }
            let rows = usize::try_from(metadata.metadata().file_metadata().num_rows())
                .map_err(|_| Error::failed(format!("`{}` is damaged", path.display())))?;
            parts.push(Part { path, metadata, first, rows, checked: Mutex::default() });
            identities.push(identity);
            first += rows;
        }
        if first == 0 {
            let paths: Vec<_> = parts.iter().map(|p| format!("`{}`", p.path.display())).collect();
            return Err(Error::failed(format!("empty dataset: no row in {}", paths.join(", "))));
        }
        let (label, names) = match (&files.label, labels) {
            (Some(column), Some(Labels::Text)) => {
                let names = distinct(&parts, column)?;
                (Some(LabelColumn { name: column.clone(), text: true }), Some(names))
            }
            (Some(column), Some(Labels::Numbers(names))) => {
                (Some(LabelColumn { name: column.clone(), text: false }), names)
            }
            _ => (None, None),
        };
        let identity = json!({
            "kind": "parquet",
            "image": files.image,
            "label": files.label,
            "files": identities,
        });
        let columns = Columns { image: files.image.clone(), label };
        Ok(Self { parts, columns, names, identity })
    }

    /// Reads and decodes `wanted` (rows of `part`, ascending, each once) into `found`.
    fn read_part(
        &self,
        part: &Part,
        wanted: &[usize],
        keep: &Keep,
        found: &mut Vec<Result<Sample, BadSample>>,
    ) -> Result<()> {
        let mut columns = vec![self.columns.image.as_str()];
        columns.extend(self.columns.label.as_ref().map(|label| label.name.as_str()));
        let mut remaining = wanted;
        for batch in reader(part, &columns, wanted)? {
            let batch = batch.map_err(|error| damaged(&part.path, error))?;
            let (rows, rest) = remaining
                .split_at_checked(batch.num_rows())
                .ok_or_else(|| damaged(&part.path, "it gives more rows than it announces"))?;
            self.decode(part, rows, &batch, keep, found)?;
            remaining = rest;
        }
        if !remaining.is_empty() {
            return Err(damaged(&part.path, "it gives fewer rows than it announces"));
        }
        Ok(())
    }

    /// Decodes `batch`, which holds `rows` of `part`.
    fn decode(
        &self,
        part: &Part,
        rows: &[usize],
        batch: &RecordBatch,
        keep: &Keep,
        found: &mut Vec<Result<Sample, BadSample>>,
    ) -> Result<()> {
        let labels = match &self.columns.label {
            Some(column) => self.labels(part, column, rows, batch)?.into_iter().map(Some).collect(),
            None => vec![None; rows.len()],
        };
        let (bytes, paths) = images(part, &self.columns.image, batch)?;
        let samples = rows.par_iter().zip(labels).enumerate().map(|(i, (&row, label))| {
            let id = (part.first + row) as i64;
            let path = paths.as_ref().filter(|paths| paths.is_valid(i)).map(|paths| paths.value(i));
            let image = match bytes.is_valid(i) {
                true => decode::decode(bytes.value(i)),
                false => Err("the image is null".to_owned()),
            };
            match image {
                Ok(image) => {
                    let source = path.map_or_else(|| format!("row {row}"), str::to_owned);
                    keep(Sample { id, source, label, image }).map(Ok)
                }
                Err(reason) => Ok(Err(BadSample {
                    id,
                    source: path.unwrap_or_default().to_owned(),
                    file: part.path.clone(),
                    row: Some(row),
                    reason,
                })),
            }
        });
        found.extend(samples.collect::<Result<Vec<_>>>()?);
        Ok(())
    }

    /// The labels of `batch`, which holds `rows` of `part`.
    fn labels(
        &self,
        part: &Part,
        column: &LabelColumn,
        rows: &[usize],
        batch: &RecordBatch,
    ) -> Result<Vec<i64>> {
        let at = |i: usize| format!("row {} of `{}`", rows[i], part.path.display());
        let values = column_of(batch, &column.name, &part.path)?;
        if let Some(i) = (0..values.len()).find(|&i| values.is_null(i)) {
            return Err(null_label(&at(i), &column.name));
        }
        let names = self.names.as_deref();
        if column.text {
            let names = names.unwrap_or_default();
            let values = text(values, &part.path)?;
            return (0..rows.len())
                .map(|i| match names.binary_search_by(|name| name.as_str().cmp(values.value(i))) {
                    Ok(label) => Ok(label as i64),
                    Err(_) => Err(damaged(&part.path, "it changed since it was opened")),
                })
                .collect();
        }
        let values = cast(values, &DataType::Int64).map_err(|e| damaged(&part.path, e))?;
        let values: &Int64Array = values.as_primitive::<Int64Type>();
        for i in 0..rows.len() {
            let label = values.value(i);
            let known = names.is_none_or(|names| (label as u64) < names.len() as u64);
            if values.is_null(i) || label < 0 || !known {
                let classes = names.map_or(String::new(), |n| format!(" (of {} classes)", n.len()));
                let label =
                    if values.is_null(i) { "too large".to_owned() } else { label.to_string() };
                return Err(Error::failed(format!(
                    "{}: the label in column `{}` is {label}, which is no class{classes}",
                    at(i),
                    column.name
                ))
                .hint("a split without labels is read with `data.label = false`"));
            }
        }
        Ok(values.values().to_vec())
    }
}

impl Source for HuggingFace {
    fn rows(&self) -> usize {
        self.parts.last().map_or(0, |part| part.first + part.rows)
    }

    fn label_names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    fn identity(&self) -> Value {
        self.identity.clone()
    }

    fn first_size(&self) -> Result<Option<(usize, usize)>> {
        let Some(part) = self.parts.iter().find(|part| part.rows > 0) else { return Ok(None) };
        let image = &self.columns.image;
        for batch in reader(part, &[image.as_str()], &[0])? {
            let batch = batch.map_err(|error| damaged(&part.path, error))?;
            let (bytes, _) = images(part, image, &batch)?;
            if bytes.len() > 0 && bytes.is_valid(0) {
                return Ok(decode::size(Cursor::new(bytes.value(0))));
            }
        }
        Ok(None)
    }

    fn read_through(&self, rows: &[usize], keep: &Keep) -> Result<Vec<Result<Sample, BadSample>>> {
        if let Some(&row) = rows.iter().find(|&&row| row >= self.rows()) {
            return Err(no_such_row(row, self.rows()));
        }
        let mut sorted = rows.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut found = Vec::with_capacity(sorted.len());
        let mut rest = sorted.as_slice();
        for part in &self.parts {
            let (here, after) =
                rest.split_at(rest.partition_point(|&r| r < part.first + part.rows));
            rest = after;
            if !here.is_empty() {
                let wanted: Vec<usize> = here.iter().map(|&row| row - part.first).collect();
                self.read_part(part, &wanted, keep, &mut found)?;
            }
        }
        if rows == sorted {
            return Ok(found);
        }
        let mut found: Vec<_> = found.into_iter().map(Some).collect();
        // A row asked for twice is cloned for all its places but the last.
        let mut uses = vec![0usize; found.len()];
        let places: Vec<usize> =
            rows.iter().map(|row| sorted.partition_point(|other| other < row)).collect();
        places.iter().for_each(|&place| uses[place] += 1);
        let ordered = places.into_iter().map(|place| {
            uses[place] -= 1;
            if uses[place] == 0 { found[place].take() } else { found[place].clone() }
        });
        Ok(ordered.flatten().collect())
    }
}

/// What a label column holds.
#[derive(PartialEq)]
enum Labels {
    /// Integers, and the names of the ClassLabel feature where there are any.
    Numbers(Option<Vec<String>>),
    Text,
}

impl Labels {
    fn of(schema: &Schema, column: &str, path: &Path) -> Result<Self> {
        let Ok(field) = schema.field_with_name(column) else {
            return Err(Error::failed(format!(
                "`{}` has no label column `{column}`; it has {}",
                path.display(),
                describe(schema)
            ))
            .hint("set `data.label` to the label column's name, or to false if there is none"));
        };
        match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(Self::Text),
            DataType::Dictionary(_, value) if value.is_string() => Ok(Self::Text),
            kind if kind.is_integer() => Ok(Self::Numbers(class_names(schema, column, path)?)),
            kind => Err(Error::failed(format!(
                "`{}`: the label column `{column}` is {kind}, not integers or strings",
                path.display()
            ))
            .hint("set `data.label` to the label column's name, or to false if there is none")),
        }
    }
}

/// The names of the ClassLabel feature `column` in the `huggingface` metadata; `None` when it has
/// none.
fn class_names(schema: &Schema, column: &str, path: &Path) -> Result<Option<Vec<String>>> {
    let Some(text) = schema.metadata().get("huggingface") else { return Ok(None) };
    if text.len() > LONGEST_JSON {
        let message = format!("`{}`: its `huggingface` metadata is too long", path.display());
        return Err(Error::failed(message));
    }
    let metadata: Value = serde_json::from_str(text).map_err(|error| {
        Error::failed(format!(
            "`{}`: its `huggingface` metadata is not JSON: {error}",
            path.display()
        ))
    })?;
    let Some(names) = metadata["info"]["features"][column]["names"].as_array() else {
        return Ok(None);
    };
    let names: Option<Vec<String>> =
        names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
    names.map(Some).ok_or_else(|| {
        Error::failed(format!(
            "`{}`: a label name of `{column}` in its `huggingface` metadata is not a string",
            path.display()
        ))
    })
}

/// The sorted distinct values of a column of strings.
fn distinct(parts: &[Part], column: &str) -> Result<Vec<String>> {
    let mut names = BTreeSet::new();
    let mut length = 0;
    for part in parts.iter().filter(|part| part.rows > 0) {
        let all: Vec<usize> = (0..part.rows).collect();
        let mut row = 0;
        for batch in reader(part, &[column], &all)? {
            let batch = batch.map_err(|error| damaged(&part.path, error))?;
            let values = text(column_of(&batch, column, &part.path)?, &part.path)?;
            for value in values.iter() {
                let at = || format!("row {row} of `{}`", part.path.display());
                let value = value.ok_or_else(|| null_label(&at(), column))?;
                if !names.contains(value) {
                    length += value.len();
                    if length > LONGEST_NAMES {
                        return Err(too_many_names(&part.path, column));
                    }
                    names.insert(value.to_owned());
                }
                row += 1;
            }
        }
    }
    Ok(names.into_iter().collect())
}

/// Opens a file: its metadata, and what identifies its content.
fn load(root: &Path, path: &Path) -> Result<(ArrowReaderMetadata, Value)> {
    let failed = |error| Error::io("read", path, error);
    let mut file = plain_file::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    file.seek(SeekFrom::Start(bytes.saturating_sub(FOOTER_BYTES))).map_err(failed)?;
    let mut footer = Vec::new();
    (&file).take(FOOTER_BYTES).read_to_end(&mut footer).map_err(failed)?;
    let identity = json!({
        "name": relative_name(root, path),
        "bytes": bytes,
        "footer": blake3::hash(&footer).to_hex().to_string(),
    });
    let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
    let metadata = parquet_guard::check_metadata(&mut file, bytes)
        .and_then(|()| guarded(|| ArrowReaderMetadata::load(&file, options)))
        .map_err(|error| {
            let message = format!("`{}` is not a Parquet file: {error}", path.display());
            Error::failed(message).hint(
                "data files are Parquet; images in files of their own are named by their folder",
            )
        })?;
    Ok((metadata, identity))
}

/// A reader of `columns` at `rows` (ascending, each once, at least one) of a file.
fn reader(
    part: &Part,
    columns: &[&str],
    rows: &[usize],
) -> Result<impl Iterator<Item = Result<RecordBatch, String>>> {
    let mut groups = Vec::new();
    let mut ranges = Vec::new();
    let (mut start, mut kept, mut rest) = (0, 0, rows);
    for (group, metadata) in part.metadata.metadata().row_groups().iter().enumerate() {
        let length = usize::try_from(metadata.num_rows())
            .map_err(|_| damaged(&part.path, "a row group has a negative length"))?;
        let (here, after) = rest.split_at(rest.partition_point(|&row| row < start + length));
        if !here.is_empty() {
            groups.push(group);
            ranges.extend(here.iter().map(|&row| kept + row - start..kept + row - start + 1));
            kept += length;
        }
        start += length;
        rest = after;
    }
    let selection = RowSelection::from_consecutive_ranges(ranges.into_iter(), kept);
    // Opened anew: clones of a `File` share one position, and reads may run in parallel.
    let mut file =
        plain_file::open(&part.path).map_err(|error| Error::io("read", &part.path, error))?;
    let mask = projection(&part.metadata, columns);
    let values = check_pages(part, &mut file, &groups, &mask)?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, part.metadata.clone());
    let builder = builder
        .with_projection(mask)
        .with_row_groups(groups)
        .with_row_selection(selection)
        .with_batch_size(batch_rows(&values));
    let mut reader = guarded(|| builder.build()).map_err(|error| damaged(&part.path, error))?;
    Ok(std::iter::from_fn(move || guarded(|| reader.next().transpose()).transpose()))
}

/// How many rows of such values may be decoded at a time.
fn batch_rows(values: &Values) -> usize {
    let mut rows = BATCH_ROWS;
    while rows > 1 && values.of_rows(rows as u64) > BATCH_BYTES {
        rows /= 2;
    }
    rows
}

/// Checks the pages of the columns in `mask` that have not been read before. Gives how long their
/// values may be.
fn check_pages(
    part: &Part,
    file: &mut File,
    groups: &[usize],
    mask: &ProjectionMask,
) -> Result<Values> {
    let failed = |error| Error::io("read", &part.path, error);
    let bytes = file.metadata().map_err(failed)?.len();
    let metadata = part.metadata.metadata();
    let leaves = part.metadata.parquet_schema().num_columns();
    let mut checked = part.checked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut all = Values::default();
    for &group in groups {
        let mut row_group = Values::default();
        for column in (0..leaves).filter(|&column| mask.leaf_included(column)) {
            let values = match checked.get(&(group, column)) {
                Some(values) => *values,
                None => {
                    guarded(|| parquet_guard::check_pages(file, bytes, metadata, group, column))
                        .map_err(|what| damaged(&part.path, what))?
                }
            };
            checked.insert((group, column), values);
            row_group = row_group.beside(values);
        }
        all = all.above(row_group);
    }
    Ok(all)
}

/// The parts of `columns` that are read. What else lies in the struct of an image may be lists, of
/// any number of values a row.
fn projection(metadata: &ArrowReaderMetadata, columns: &[&str]) -> ProjectionMask {
    let schema = metadata.parquet_schema();
    let leaves = schema.columns().iter().enumerate().filter(|(_, leaf)| {
        let wanted = match leaf.path().parts() {
            [column] => columns.contains(&column.as_str()),
            [column, field] => {
                columns.contains(&column.as_str()) && ["bytes", "path"].contains(&field.as_str())
            }
            _ => false,
        };
        wanted && leaf.max_rep_level() == 0
    });
    ProjectionMask::leaves(schema, leaves.map(|(number, _)| number))
}

/// What the `parquet` crate gives. It is foreign code that meets damaged bytes: a bug in it must not
/// end a long run.
fn guarded<T, E: std::fmt::Display>(read: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(_) => Err("its reader panicked".to_owned()),
    }
}

/// Checks that `column` holds encoded images.
fn check_image(schema: &Schema, column: &str, path: &Path) -> Result<()> {
    let problem = match schema.field_with_name(column).map(|field| field.data_type()) {
        Ok(kind) if is_binary(kind) => return Ok(()),
        Ok(DataType::Struct(fields)) => match fields.find("bytes") {
            Some((_, field)) if is_binary(field.data_type()) => return Ok(()),
            _ => format!("the column `{column}` is a struct without binary `bytes`"),
        },
        Ok(kind) => format!("the column `{column}` is {kind}, not encoded images"),
        Err(_) => format!("there is no image column `{column}`"),
    };
    Err(Error::failed(format!(
        "`{}`: {problem}; the columns are {}",
        path.display(),
        describe(schema)
    ))
    .hint("set `data.image` to a column of `struct<bytes: binary, path: string>` or binary"))
}

fn is_binary(kind: &DataType) -> bool {
    matches!(kind, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

/// The encoded images of a batch, and their paths where the column has them.
fn images(
    part: &Part,
    column: &str,
    batch: &RecordBatch,
) -> Result<(BinaryArray, Option<StringArray>)> {
    let values = column_of(batch, column, &part.path)?;
    let (bytes, paths) = match values.as_struct_opt() {
        None => (values.clone(), None),
        Some(fields) => {
            let bytes = fields
                .column_by_name("bytes")
                .ok_or_else(|| damaged(&part.path, "it has no image bytes"))?;
            // A null struct may lie over bytes that are not null.
            let bytes = match is_null(fields) {
                Ok(null) => nullif(bytes, &null),
                Err(error) => Err(error),
            }
            .map_err(|error| damaged(&part.path, error))?;
            let paths = fields.column_by_name("path").map(|p| text(p, &part.path)).transpose()?;
            if paths.iter().flatten().flatten().any(|path| path.len() > LONGEST_PATH) {
                let message = format!("the path of an image has more than {LONGEST_PATH} bytes");
                return Err(damaged(&part.path, message));
            }
            (bytes, paths)
        }
    };
    let bytes = cast(&bytes, &DataType::Binary).map_err(|error| damaged(&part.path, error))?;
    Ok((bytes.as_binary::<i32>().clone(), paths))
}

fn text(values: &dyn Array, path: &Path) -> Result<StringArray> {
    let values = cast(values, &DataType::Utf8).map_err(|error| damaged(path, error))?;
    Ok(values.as_string::<i32>().clone())
}

fn column_of<'a>(batch: &'a RecordBatch, column: &str, path: &Path) -> Result<&'a ArrayRef> {
    batch
        .column_by_name(column)
        .ok_or_else(|| damaged(path, format!("it has no column `{column}`")))
}

/// The columns of a schema, for a message.
fn describe(schema: &Schema) -> String {
    let columns: Vec<String> =
        schema.fields().iter().map(|f| format!("`{}` ({})", f.name(), f.data_type())).collect();
    if columns.is_empty() { "no column".to_owned() } else { shorten(&columns) }
}

fn null_label(at: &str, column: &str) -> Error {
    Error::failed(format!("{at}: the label in column `{column}` is null"))
        .hint("data without labels is read with `data.label = false`")
}

fn too_many_names(path: &Path, column: &str) -> Error {
    let message = format!(
        "`{}`: the different labels in column `{column}` have more than {LONGEST_NAMES} bytes",
        path.display()
    );
    Error::failed(message).hint("set `data.label` to a column that names classes, or to false")
}

fn damaged(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::failed(format!("could not read `{}`: {reason}", path.display()))
        .hint("the file may be damaged: get it again from where it came from")
}
