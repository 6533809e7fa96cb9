//! Reads images or sounds from Parquet in the Hugging Face convention: a column `image` or `audio` of
//! `struct<bytes: binary, path: string>`, and label columns with ClassLabel names in the `huggingface` key
//! of the schema metadata. A plain binary column of encoded images or sounds works, too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::array::{Array, RecordBatch, StringArray};
use rayon::prelude::*;
use serde_json::json;

use super::alignments::Alignments;
use super::content::{ContentFile, PassedOver, Role};
use super::file_kind::{FileKind, Opening};
use super::labelling::Labels;
use super::locate::Place;
use super::media_column::{self, Cell, Encoded};
use super::named_file::NamedFiles;
use super::parquet_part::{Column, Part, column_of, damaged, text};
use super::{
    Aligned, BadSample, Classified, Content, Keep, LabelSet, Length, Sample, Source, encoding,
    folder_holds, frame_column, label_column, no_length, no_such_row,
};
use crate::pipeline::settings::Medium;
use crate::{Error, Result};

/// The column with what is said in sounds. It is read if it is there and holds text.
const TEXT: &str = "text";

/// The most rows that are searched for the size of an image.
const LOOKED_AT: usize = 16;

/// The most bytes of all file names together, for rows without bytes.
const MOST_NAMES: usize = 256 << 20;

/// Parquet files of images or sounds; the rows of the files follow each other.
pub struct HuggingFace {
    medium: Medium,
    parts: Vec<Part>,
    /// The column of the images or sounds.
    column: String,
    labels: Labels,
    /// Finds the files that rows without bytes name.
    named: NamedFiles,
    alignments: Option<Alignments>,
    /// Whether all files have the column [`TEXT`].
    text: bool,
    passed_over: Vec<PassedOver>,
    content: Content,
}

impl HuggingFace {
    /// Opens the files at `paths` as one source.
    ///
    /// # Errors
    /// When a file is not Parquet, lacks a column of the settings or has it in another type, when files
    /// disagree on the label names, or when there is no row at all.
    fn open(places: Vec<Place>, opening: Opening<'_>) -> Result<Self> {
        let Opening { settings: files, alignments, numbering, passed_over, on_bad_sample: _ } =
            opening;
        let mut parts: Vec<Part> = Vec::with_capacity(places.len());
        let mut first = 0;
        for place in places {
            let part = Part::open(place, first)?;
            media_column::check(part.schema(), &files.column, files.medium, &part.path)?;
            first += part.rows;
            parts.push(part);
        }
        if first == 0 {
            let paths: Vec<_> = parts.iter().map(|p| format!("`{}`", p.path.display())).collect();
            return Err(Error::failed(format!("empty dataset: no row in {}", paths.join(", "))));
        }
        let columns = files.label_columns();
        let columns = columns.map(|column| label_column::tally(&parts, column, files.medium));
        let frames = files.frames.as_ref().map(|column| frame_column::tally(&parts, column));
        let labels = Labels::new(columns.collect::<Result<_>>()?, frames.transpose()?, numbering)?;
        let named = NamedFiles { root: files.root.clone(), medium: files.medium };
        let is_text = |part: &Part| {
            let field = part.schema().field_with_name(TEXT);
            field.is_ok_and(|field| field.data_type().is_string())
        };
        let text = encoding::of(files.medium).lasts && parts.iter().all(is_text);
        let data = |part: &Part| {
            let (place, path) = (part.place.clone(), part.path.clone());
            ContentFile { role: Role::Data, place, path }
        };
        let mut all: Vec<ContentFile> = parts.iter().map(data).collect();
        all.extend(named_files(&parts, &files.column, &named)?);
        all.extend(alignments.iter().flat_map(Alignments::files));
        // The settings say which columns are read.
        let content = Content { made: json!({ "kind": "parquet" }), files: all };
        Ok(Self {
            medium: files.medium,
            column: files.column.clone(),
            labels,
            named,
            alignments,
            text,
            parts,
            content,
            passed_over,
        })
    }

    /// Hands batches of `columns` to `take`, with the rows of each batch. `wanted` lists rows of `part`, ascending,
    /// each once.
    fn batches(
        &self,
        part: &Part,
        columns: &[Column],
        wanted: &[usize],
        mut take: impl FnMut(&[usize], &RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let mut remaining = wanted;
        for batch in part.reader(columns, wanted)? {
            let batch = batch.map_err(|error| damaged(&part.path, error))?;
            let (rows, rest) = remaining
                .split_at_checked(batch.num_rows())
                .ok_or_else(|| damaged(&part.path, "it gives more rows than it announces"))?;
            take(rows, &batch)?;
            remaining = rest;
        }
        if !remaining.is_empty() {
            return Err(damaged(&part.path, "it gives fewer rows than it announces"));
        }
        Ok(())
    }

    /// The results of `read` for the rows of each part, in the order of `rows`.
    fn in_order<T: Clone>(
        &self,
        rows: &[usize],
        mut read: impl FnMut(&Part, &[usize], &mut Vec<T>) -> Result<()>,
    ) -> Result<Vec<T>> {
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
                read(part, &wanted, &mut found)?;
            }
        }
        if rows == sorted {
            return Ok(found);
        }
        let mut found: Vec<_> = found.into_iter().map(Some).collect();
        // A row that is asked for several times is cloned for all its places except the last.
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

    /// The columns that samples are made of.
    fn columns(&self) -> Vec<Column<'_>> {
        let mut columns = vec![Column::Flat(&self.column)];
        let labels = self.labels.columns.iter();
        columns.extend(labels.map(|label| Column::Flat(&label.tally.column)));
        columns.extend(self.labels.hops.iter().map(|hops| Column::Lists(&hops.tally.column)));
        columns.extend(self.text.then_some(Column::Flat(TEXT)));
        columns
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
        let labels = self.labels.columns.iter().map(|it| it.read(part, rows, batch));
        let labels = labels.collect::<Result<Vec<_>>>()?;
        let hops =
            self.labels.hops.as_ref().map(|it| it.read_lists(part, rows, batch)).transpose()?;
        let texts = match self.text {
            true => Some(text(column_of(batch, TEXT, &part.path)?, &part.path)?),
            false => None,
        };
        let encoded = Encoded::of(part, &self.column, batch)?;
        let value = |values: &Option<StringArray>, i: usize| {
            values.as_ref().filter(|it| it.is_valid(i)).map(|it| it.value(i).to_owned())
        };
        let samples = rows.par_iter().enumerate().map(|(i, &row)| {
            let id = (part.first + row) as i64;
            let path = encoded.path(i).map(str::to_owned);
            let loaded = match encoded.cell(i) {
                Cell::Bytes(bytes) => (encoding::of(self.medium).decode)(bytes),
                Cell::Path(path) => self.named.load(&part.path, path)?,
                Cell::Nothing => Err(format!("the {} is null", self.medium.noun())),
            };
            // The image's share of the memory for images is held until `keep` has reduced it to what is kept.
            let (media, remarks, room) = match loaded {
                Ok(loaded) => loaded,
                Err(reason) => {
                    return Ok(Err(BadSample {
                        id,
                        source: path.unwrap_or_default(),
                        file: part.path.clone(),
                        row: Some(row),
                        reason,
                    }));
                }
            };
            let aligned = self.alignments.as_ref().zip(path.as_ref());
            let kept = keep(Sample {
                id,
                label: labels.first().and_then(|it| it[i]),
                further: labels.iter().skip(1).map(|it| it[i]).collect(),
                frames: match &hops {
                    Some(frames) => frames[i].clone(),
                    None => {
                        let found = aligned.and_then(|(all, path)| all.find(Path::new(path)));
                        found.map(|it| it.1.clone())
                    }
                },
                text: value(&texts, i),
                source: path.unwrap_or_else(|| format!("row {row}")),
                media,
                remarks,
            });
            drop(room);
            kept.map(Ok)
        });
        found.extend(samples.collect::<Result<Vec<_>>>()?);
        Ok(())
    }
}

/// Parquet files.
pub(super) const PARQUET: FileKind = FileKind {
    name: "Parquet files",
    refused: (&["labels", "names"], "these are Parquet files, whose labels lie in columns"),
    // A file that no other kind takes is read as Parquet.
    takes: |_, _| true,
    samples_in: |files| files,
    within: folder_holds::parquet,
    have_labels: |places, columns| {
        for place in places.iter().filter(|_| !columns.is_named) {
            let part = Part::open(place.clone(), 0)?;
            if columns.label.iter().any(|it| part.schema().column_with_name(it).is_none()) {
                return Ok(false);
            }
        }
        Ok(true)
    },
    open: |found, opening| Ok(Box::new(HuggingFace::open(found, opening)?)),
};

/// The existing files that rows without bytes may name.
///
/// Statistics tell only per row group whether some rows have no bytes. In such a group, files that are named
/// beside bytes are included, too.
fn named_files(parts: &[Part], column: &str, named: &NamedFiles) -> Result<Vec<ContentFile>> {
    let mut found: BTreeMap<PathBuf, String> = BTreeMap::new();
    let mut bytes = 0;
    for part in parts {
        let has_paths = media_column::has_paths(part.schema(), column);
        let rows = if has_paths { part.rows_with_nulls(&[column, "bytes"]) } else { Vec::new() };
        if rows.is_empty() {
            continue;
        }
        for batch in part.reader(&[Column::Paths(column)], &rows)? {
            let batch = batch.map_err(|error| damaged(&part.path, error))?;
            let encoded = Encoded::of(part, column, &batch)?;
            for name in (0..encoded.len()).filter_map(|row| encoded.path(row)) {
                let Ok(Place { path, place }) = named.place(&part.path, name) else { continue };
                let more = path.as_os_str().len();
                bytes += if found.insert(path, place).is_none() { more } else { 0 };
                if bytes > MOST_NAMES {
                    let parquet = part.path.display();
                    let message =
                        format!("`{parquet}`: the column `{column}` names too many files");
                    return Err(Error::failed(message).hint("embed them in the Parquet file"));
                }
            }
        }
    }
    let file = |(path, place)| ContentFile { role: Role::Named, place, path };
    let mut files: Vec<ContentFile> = found.into_iter().map(file).collect();
    files.sort_by(|a, b| a.place.cmp(&b.place));
    Ok(files)
}

impl Classified for HuggingFace {
    fn labels(&mut self) -> &mut Labels {
        &mut self.labels
    }

    fn aligned(&self) -> Result<Option<Aligned<'_>>> {
        let Some(alignments) = &self.alignments else { return Ok(None) };
        let mut aligned = Aligned::new(alignments);
        for part in self.parts.iter().filter(|part| part.rows > 0) {
            let place = |row: usize| format!("row {row} of `{}`", part.path.display());
            if !media_column::has_paths(part.schema(), &self.column) {
                (0..part.rows).for_each(|row| aligned.add(Path::new(""), place(row)));
                continue;
            }
            let all: Vec<usize> = (0..part.rows).collect();
            self.batches(part, &[Column::Paths(&self.column)], &all, |rows, batch| {
                let encoded = Encoded::of(part, &self.column, batch)?;
                for (i, row) in rows.iter().enumerate() {
                    match encoded.path(i) {
                        Some(path) => {
                            aligned.add(Path::new(path), format!("{} (`{path}`)", place(*row)));
                        }
                        None => aligned.add(Path::new(""), place(*row)),
                    }
                }
                Ok(())
            })?;
        }
        Ok(Some(aligned))
    }
}

impl Source for HuggingFace {
    fn rows(&self) -> usize {
        self.parts.last().map_or(0, |part| part.first + part.rows)
    }

    fn label_names(&self) -> Option<&[String]> {
        self.labels.names()
    }

    fn further_labels(&self) -> &[LabelSet] {
        self.labels.further()
    }

    fn frame_names(&self) -> Option<&[String]> {
        self.labels.hops.as_ref()?.classes.names()
    }

    fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }

    fn content(&self) -> Content {
        let mut content = self.content.clone();
        content.made["classes"] = self.labels.made();
        content
    }

    fn first_size(&self) -> Result<Option<(usize, usize)>> {
        let Some(part) = self.parts.iter().find(|part| part.rows > 0) else { return Ok(None) };
        let mut size = None;
        let mut wrong = None;
        // Usually reads only the first row: images may be large.
        let rows: Vec<usize> = (0..part.rows.min(LOOKED_AT)).collect();
        let (first, others) = rows.split_at(1);
        for rows in [first, others] {
            if rows.is_empty() || size.is_some() || encoding::of(self.medium).lasts {
                break;
            }
            self.batches(part, &[Column::Flat(&self.column)], rows, |rows, batch| {
                let encoded = Encoded::of(part, &self.column, batch)?;
                for (place, row) in rows.iter().enumerate() {
                    if size.is_some() {
                        break;
                    }
                    match encoded.cell(place) {
                        Cell::Bytes(bytes) => size = (encoding::of(self.medium).size)(bytes),
                        Cell::Path(path) => match self.named.size(&part.path, path) {
                            Ok(found) => size = found,
                            Err(why) => wrong = wrong.take().or(Some((*row, why))),
                        },
                        Cell::Nothing => {}
                    }
                }
                Ok(())
            })?;
        }
        match (size, wrong) {
            (None, Some((row, why))) => {
                let path = part.path.display();
                Err(Error::failed(format!("row {row} of `{path}`: {why}")))
            }
            (size, _) => Ok(size),
        }
    }

    fn lengths(&self, rows: &[usize]) -> Result<Vec<Option<Length>>> {
        if !encoding::of(self.medium).lasts {
            return Err(no_length());
        }
        self.in_order(rows, |part, wanted, found| {
            self.batches(part, &[Column::Flat(&self.column)], wanted, |rows, batch| {
                let encoded = Encoded::of(part, &self.column, batch)?;
                let length = |i: usize| match encoded.cell(i) {
                    Cell::Bytes(bytes) => (encoding::of(self.medium).length)(bytes),
                    Cell::Path(path) => self.named.length(&part.path, path),
                    Cell::Nothing => None,
                };
                found.par_extend((0..rows.len()).into_par_iter().map(length));
                Ok(())
            })
        })
    }

    fn read_through(&self, rows: &[usize], keep: &Keep) -> Result<Vec<Result<Sample, BadSample>>> {
        self.in_order(rows, |part, wanted, found| {
            self.batches(part, &self.columns(), wanted, |rows, batch| {
                self.decode(part, rows, batch, keep, found)
            })
        })
    }
}
