//! Images or sounds in Parquet, in the Hugging Face convention: a column `image` or `audio` of
//! `struct<bytes: binary, path: string>`, and label columns whose ClassLabel names lie in the
//! `huggingface` key of the schema metadata. A plain binary column of encoded images or sounds will do,
//! too.

use std::path::Path;

use arrow::array::{Array, RecordBatch, StringArray};
use rayon::prelude::*;
use serde_json::json;

use super::alignments::Alignments;
use super::content::{ContentFile, PassedOver, Role};
use super::frame_column::FrameColumn;
use super::label_column::LabelColumn;
use super::locate::Place;
use super::media_column::{self, encoded};
use super::parquet_part::{Column, Part, column_of, damaged, text};
use super::{
    Aligned, BadSample, Content, Keep, LabelSet, Length, Media, Remarks, Sample, Source, decode,
    no_such_row, sound,
};
use crate::pipeline::settings::{Files, Medium};
use crate::{Error, Result};

/// The column of what is said in sounds, which is read where it is there and holds text.
const TEXT: &str = "text";

/// Parquet files of images or sounds; the rows of the files follow each other.
pub struct HuggingFace {
    medium: Medium,
    parts: Vec<Part>,
    /// That of the images or sounds.
    column: String,
    label: Option<LabelColumn>,
    further: Vec<LabelColumn>,
    further_sets: Vec<LabelSet>,
    frames: Option<FrameColumn>,
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
    /// When a file is not Parquet, lacks a column of the settings or has it in another type, when
    /// the files disagree on the label names, or when there is no row at all.
    pub(super) fn open(
        files: &Files,
        places: Vec<Place>,
        alignments: Option<Alignments>,
    ) -> Result<Self> {
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
        let labels = |column: &String| LabelColumn::open(&parts, column, files.medium);
        let label = files.label.as_ref().map(labels).transpose()?;
        let further = files.further.iter().map(labels).collect::<Result<Vec<_>>>()?;
        let frames =
            files.frames.as_ref().map(|column| FrameColumn::open(&parts, column)).transpose()?;
        let is_text = |part: &Part| {
            let field = part.schema().field_with_name(TEXT);
            field.is_ok_and(|field| field.data_type().is_string())
        };
        let text = files.medium == Medium::Sound && parts.iter().all(is_text);
        let made = json!({
            "kind": "parquet",
            files.medium.key(): files.column,
            "label": files.label,
            "further": files.further,
            "frames": files.frames,
        });
        let data = parts.iter().map(|part| ContentFile {
            role: Role::Data,
            place: part.place.clone(),
            path: part.path.clone(),
        });
        let all = data.chain(alignments.iter().flat_map(Alignments::files)).collect();
        let content = Content { made, files: all };
        Ok(Self {
            medium: files.medium,
            column: files.column.clone(),
            label,
            further_sets: further.iter().map(|column| column.set.clone()).collect(),
            further,
            frames,
            alignments,
            text,
            parts,
            content,
            passed_over: Vec::new(),
        })
    }

    /// With files that lie beside these and are not read.
    pub(super) fn having_passed_over(self, passed_over: Vec<PassedOver>) -> Self {
        Self { passed_over, ..self }
    }

    /// Hands the batches of `columns` at `wanted` (rows of `part`, ascending, each once) to `take`, with
    /// the rows of each.
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

    /// What `read` makes of rows of each part, in the order of `rows`.
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

    /// The columns that samples are made of.
    fn columns(&self) -> Vec<Column<'_>> {
        let mut columns = vec![Column::Flat(&self.column)];
        let labels = self.label.iter().chain(&self.further);
        columns.extend(labels.map(|label| Column::Flat(&label.set.name)));
        columns.extend(self.frames.iter().map(|frames| Column::Lists(&frames.name)));
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
        let label = self.label.as_ref().map(|it| it.read(part, rows, batch)).transpose()?;
        let further: Vec<_> =
            self.further.iter().map(|it| it.read(part, rows, batch)).collect::<Result<_>>()?;
        let frames = self.frames.as_ref().map(|it| it.read(part, rows, batch)).transpose()?;
        let texts = match self.text {
            true => Some(text(column_of(batch, TEXT, &part.path)?, &part.path)?),
            false => None,
        };
        let (bytes, paths) = encoded(part, &self.column, batch)?;
        let value = |values: &Option<StringArray>, i: usize| {
            values.as_ref().filter(|it| it.is_valid(i)).map(|it| it.value(i).to_owned())
        };
        let samples = rows.par_iter().enumerate().map(|(i, &row)| {
            let id = (part.first + row) as i64;
            let path = value(&paths, i);
            let mut remarks = Remarks::default();
            // The share of an image of the memory for images, until no more is left of it than is kept.
            let mut room = None;
            let media = match (bytes.is_valid(i), self.medium) {
                (true, Medium::Image) => decode::decode(bytes.value(i)).map(|decoded| {
                    remarks.turned = decoded.turned;
                    room = Some(decoded.room);
                    Media::Image(decoded.image)
                }),
                (true, Medium::Sound) => sound::decode(bytes.value(i)).map(Media::Sound),
                (false, medium) => Err(format!("the {} is null", medium.noun())),
            };
            let media = match media {
                Ok(media) => media,
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
                label: label.as_ref().and_then(|it| it[i]),
                further: further.iter().map(|it| it[i]).collect(),
                frames: match &frames {
                    Some(frames) => frames[i].clone(),
                    None => aligned.and_then(|(all, path)| all.of(Path::new(path))).cloned(),
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

/// Whether all of these files have such a column.
///
/// # Errors
/// When one is not Parquet, or may not be read.
pub(super) fn have_column(places: &[Place], column: &str) -> Result<bool> {
    for place in places {
        let part = Part::open(place.clone(), 0)?;
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
        self.label.as_ref()?.set.names.as_deref()
    }

    fn further_labels(&self) -> &[LabelSet] {
        &self.further_sets
    }

    fn frame_names(&self) -> Option<&[String]> {
        self.frames.as_ref()?.names.as_deref()
    }

    fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }

    fn content(&self) -> Content {
        self.content.clone()
    }

    fn first_size(&self) -> Result<Option<(usize, usize)>> {
        let Some(part) = self.parts.iter().find(|part| part.rows > 0) else { return Ok(None) };
        let mut size = None;
        self.batches(part, &[Column::Flat(&self.column)], &[0], |_, batch| {
            let (bytes, _) = encoded(part, &self.column, batch)?;
            if self.medium == Medium::Image && bytes.len() > 0 && bytes.is_valid(0) {
                size = decode::size(bytes.value(0));
            }
            Ok(())
        })?;
        Ok(size)
    }

    fn lengths(&self, rows: &[usize]) -> Result<Vec<Option<Length>>> {
        if self.medium == Medium::Image {
            return Err(super::no_length());
        }
        self.in_order(rows, |part, wanted, found| {
            self.batches(part, &[Column::Flat(&self.column)], wanted, |rows, batch| {
                let (bytes, _) = encoded(part, &self.column, batch)?;
                let length = |i: usize| bytes.is_valid(i).then(|| sound::length(bytes.value(i)));
                found.par_extend((0..rows.len()).into_par_iter().map(|i| length(i).flatten()));
                Ok(())
            })
        })
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
                let paths = media_column::paths(part, &self.column, batch)?;
                for (row, path) in rows.iter().zip(&paths) {
                    match path {
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

    fn read_through(&self, rows: &[usize], keep: &Keep) -> Result<Vec<Result<Sample, BadSample>>> {
        self.in_order(rows, |part, wanted, found| {
            self.batches(part, &self.columns(), wanted, |rows, batch| {
                self.decode(part, rows, batch, keep, found)
            })
        })
    }
}
