//! Images in Parquet, in the Hugging Face convention: a column `image` of
//! `struct<bytes: binary, path: string>`, and a label column whose ClassLabel names lie in the
//! `huggingface` key of the schema metadata. A plain binary column of encoded images will do, too.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, BinaryArray, RecordBatch, StringArray};
use arrow::compute::{cast, is_null, nullif};
use arrow::datatypes::{DataType, Schema};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::label_column::{LabelColumn, Labels, distinct};
use super::parquet_part::{Part, column_of, damaged, describe, text};
use super::{BadSample, Keep, Media, Sample, Source, decode, no_such_row};
use crate::pipeline::settings::Files;
use crate::{Error, Result};

/// Bytes of the path of an image, which are kept with it.
const LONGEST_PATH: usize = 32 << 10;

/// Parquet files of images; the rows of the files follow each other.
pub struct HuggingFace {
    parts: Vec<Part>,
    columns: Columns,
    names: Option<Vec<String>>,
    identity: Value,
}

/// The columns to read.
struct Columns {
    image: String,
    label: Option<LabelColumn>,
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
            let (part, identity) = Part::open(&files.root, path, first)?;
            check_image(part.schema(), &files.column, &part.path)?;
            if let Some(column) = &files.label {
                let found = Labels::of(part.schema(), column, &part.path)?;
                match &labels {
                    Some(labels) if *labels != found => {
                        return Err(Error::failed(format!(
                            "`{}` and `{}` have different label names in the column `{column}`",
                            parts.first().unwrap_or(&part).path.display(),
                            part.path.display()
                        ))
                        .hint("name only files of one data set"));
                    }
                    _ => labels = Some(found),
                }
            }
            first += part.rows;
            parts.push(part);
            identities.push(identity);
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
            "image": files.column,
            "label": files.label,
            "files": identities,
        });
        let columns = Columns { image: files.column.clone(), label };
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
        for batch in part.reader(&columns, wanted)? {
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
            Some(column) => {
                let labels = column.read(self.names.as_deref(), part, rows, batch)?;
                labels.into_iter().map(Some).collect()
            }
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
                    keep(Sample {
                        id,
                        source,
                        label,
                        further: Vec::new(),
                        frames: None,
                        text: None,
                        media: Media::Image(image),
                    })
                    .map(Ok)
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
}

/// Whether all of these files have such a column.
///
/// # Errors
/// When one is not Parquet, or may not be read.
pub(super) fn have_column(root: &Path, paths: &[PathBuf], column: &str) -> Result<bool> {
    for path in paths {
        let (part, _) = Part::open(root, path.clone(), 0)?;
        if part.schema().column_with_name(column).is_none() {
            return Ok(false);
        }
    }
    Ok(true)
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
        for batch in part.reader(&[image.as_str()], &[0])? {
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
