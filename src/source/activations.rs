//! Activations that were made elsewhere: a dataset of ours, or files of arrays.
//!
//! | files | rows | ids and labels |
//! |---|---|---|
//! | a dataset of ours | stay where they lie | its own |
//! | `.parquet` | a column of lists of floats, with or without a shape | columns `id` and `label` |
//! | `.npy` | the first dimension of its array | none |
//! | `.npz`, `.safetensors` | the first dimension of an array of floats | arrays `id` and `label` |
//!
//! Rows without ids are counted from 0, through all files in the order of their names.

use std::collections::HashMap;
use std::path::PathBuf;

use gimlet_store::{Keys, Reader};
use rayon::prelude::*;
use serde_json::json;

use super::class_order::Order;
use super::classes::{NoClass, Numbering};
use super::content::{ContentFile, Role};
use super::element::Element;
use super::held_out;
use super::labelling::Labels;
use super::locate::{self, Named, Place};
use super::row_array::Array;
use super::table::{Given, Kind, LABEL, Table, Wanted};
use super::tally::{Names, Tally};
use super::{
    Activation, BadSample, Classified, Content, Keep, LabelSet, Media, ROOTS, Remarks, Sample,
    Source, no_such_row, row_labels, shorten,
};
use crate::pipeline::Split;
use crate::pipeline::settings::{ActivationFiles, RowLabels};
use crate::{Error, Result};

pub use super::stored::{Stored, content_of};

/// What becomes of the rows of a dataset of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// They are read where they lie: a sample has no values, only its place.
    InPlace,
    /// They are read as those of files are.
    Whole,
}

/// A split of activations.
pub struct Activations {
    parts: Vec<Part>,
    /// The ids of all rows, also of those that are of the other split.
    ids: Vec<i64>,
    labels: Labels,
    /// The labels of all rows as they are given; `None` where they have none.
    given: Option<Given>,
    /// The rows of the split, ascending.
    rows: Vec<usize>,
    /// The shape of a row.
    pub shape: Vec<usize>,
    /// Bytes of a value where rows are copied; `None` where they are read in place.
    pub copied: Option<usize>,
    content: Content,
}

/// The rows of one file, or of a dataset.
struct Part {
    place: Place,
    /// The number of its first row among all.
    first: usize,
    rows: usize,
    values: Values,
}

enum Values {
    Array(Array),
    Stored { reader: Reader, column: String, length: usize },
}

impl Activations {
    /// Opens the activations of a split.
    ///
    /// # Errors
    /// When files are missing, damaged, of different shapes or types, or have an id twice.
    pub fn open(files: &ActivationFiles, split: Split, reading: Reading) -> Result<Self> {
        let (opened, content) = match Stored::newest(files, split)? {
            Some(stored) => of_stored(files, stored)?,
            None => of_files(files, split)?,
        };
        let Opened { parts, ids, mut given, names, shape, element } = opened;
        let all = parts.last().map_or(0, |part: &Part| part.first + part.rows);
        if all == 0 {
            let message = format!("empty dataset: `{}` has no rows", files.of_split(split).1);
            return Err(Error::failed(message).hint("name files with at least one row"));
        }
        let ids = match ids {
            Some(ids) => ids,
            None => (0..all as i64).collect(),
        };
        check_once(&ids, &parts)?;
        let mut content = content;
        if let RowLabels::Csv(name) = &files.labels {
            let path = row_labels::find(&files.root, name)?;
            given = Some(row_labels::read(&path, &ids)?);
            let place = locate::relative_name(&path, &path);
            content.files.push(ContentFile { role: Role::Labels, place, path });
        }
        let rows = match files.hold_out {
            Some(every) => held_out::rows_of(all, every, split)?,
            None => (0..all).collect(),
        };
        let copied = match reading {
            Reading::InPlace if matches!(parts[0].values, Values::Stored { .. }) => None,
            _ => Some(element.kept_bytes()),
        };
        content.made["shape"] = json!(shape);
        if let Some(every) = files.hold_out {
            content.made["hold_out"] = json!({ "every": every, "split": split.name() });
        }
        let mut activations = Self {
            labels: Labels::new(Vec::new(), None, Numbering::Classes)?,
            parts,
            ids,
            given,
            rows,
            shape,
            copied,
            content,
        };
        activations.labels =
            Labels::new(activations.tally(names).into_iter().collect(), None, Numbering::Classes)?;
        Ok(activations)
    }

    /// The labels of the split's rows, counted; `None` where there are none.
    fn tally(&self, names: Option<Names>) -> Option<Tally> {
        let given = self.given.as_ref()?;
        let mut tally = Tally::new(LABEL, Order::Numbers);
        for row in &self.rows {
            let at = || self.name(*row);
            match given {
                Given::Numbers(all) => tally.add_number(all[*row], at),
                Given::Texts(all) => tally.add_text(all[*row].as_deref(), at),
            }
        }
        tally.names = names.filter(|_| matches!(given, Given::Numbers(_)));
        Some(tally)
    }

    /// The part that a row lies in, and its place there.
    fn find(&self, row: usize) -> (&Part, usize) {
        let after = self.parts.partition_point(|part| part.first <= row);
        let part = &self.parts[after.saturating_sub(1)];
        (part, row - part.first)
    }

    /// Where a row comes from, for people.
    fn name(&self, row: usize) -> String {
        let (part, at) = self.find(row);
        format!("{}, row {at}", part.place.place)
    }

    /// The class of a row.
    fn class(&self, row: usize) -> Result<Option<i64>> {
        let (Some(given), Some(label)) = (&self.given, self.labels.columns.first()) else {
            return Ok(None);
        };
        let class = match given {
            Given::Numbers(all) => match all[row] {
                Some(number) => label.classes.of_number(number),
                None => Ok(None),
            },
            Given::Texts(all) => label.classes.of_text(all[row].as_deref().unwrap_or_default()),
        };
        class.map_err(|NoClass| {
            Error::failed(format!("{}: its label is no class", self.name(row)))
                .hint("mend the label, or set `data.activations.labels = false`")
        })
    }

    fn sample(&self, number: usize) -> Result<Result<Sample, BadSample>> {
        let Some(row) = self.rows.get(number).copied() else {
            return Err(no_such_row(number, self.rows.len()));
        };
        let (part, at) = self.find(row);
        let (id, source) = (self.ids[row], self.name(row));
        let (values, place) = match (&part.values, self.copied) {
            (Values::Stored { .. }, None) => (Vec::new(), Some(at as u64)),
            (Values::Stored { reader, column, length }, Some(_)) => {
                let mut values = vec![0.0; *length];
                reader.read_f32(column, &[at as u64], &mut values)?;
                (values, None)
            }
            (Values::Array(array), _) => (array.floats(at)?, None),
        };
        if let Some(wrong) = values.iter().position(|it| !it.is_finite()) {
            let reason = format!("value {wrong} of it is {}", values[wrong]);
            let file = part.place.path.clone();
            return Ok(Err(BadSample { id, source: String::new(), file, row: Some(at), reason }));
        }
        let shape = self.shape.clone();
        let constant = values.first().is_some_and(|first| values.iter().all(|it| it == first));
        Ok(Ok(Sample {
            id,
            source,
            label: self.class(row)?,
            further: Vec::new(),
            frames: None,
            text: None,
            media: Media::Activation(Activation {
                shape,
                values,
                place,
                half: self.copied == Some(2),
            }),
            remarks: Remarks {
                constant: constant && values_are_many(&self.shape),
                ..Remarks::default()
            },
        }))
    }
}

/// Whether a row has more than one value, so that it may be constant.
fn values_are_many(shape: &[usize]) -> bool {
    shape.iter().any(|side| *side > 1)
}

impl Source for Activations {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn label_names(&self) -> Option<&[String]> {
        self.labels.names()
    }

    fn is_labelled(&self) -> bool {
        self.given.is_some()
    }

    fn further_labels(&self) -> &[LabelSet] {
        self.labels.further()
    }

    fn content(&self) -> Content {
        let mut content = self.content.clone();
        content.made["classes"] = self.labels.made();
        content
    }

    fn read_through(&self, rows: &[usize], keep: &Keep) -> Result<Vec<Result<Sample, BadSample>>> {
        let read = |row: &usize| match self.sample(*row)? {
            Ok(sample) => keep(sample).map(Ok),
            Err(bad) => Ok(Err(bad)),
        };
        rows.par_iter().map(read).collect()
    }
}

impl Classified for Activations {
    fn labels(&mut self) -> &mut Labels {
        &mut self.labels
    }
}

/// What was opened for a split.
struct Opened {
    parts: Vec<Part>,
    ids: Option<Vec<i64>>,
    given: Option<Given>,
    names: Option<Names>,
    shape: Vec<usize>,
    element: Element,
}

/// The name of the labels' column, if labels are read from the files.
fn wanted(files: &ActivationFiles) -> Wanted<'_> {
    let (label, is_needed) = match &files.labels {
        RowLabels::IfThere => (Some(LABEL), false),
        RowLabels::Column(name) => (Some(name.as_str()), true),
        RowLabels::Without | RowLabels::Csv(_) => (None, false),
    };
    Wanted { column: files.column.as_deref(), label, is_needed }
}

fn of_stored(files: &ActivationFiles, stored: Stored) -> Result<(Opened, Content)> {
    let Stored { generation, column, shape } = stored;
    let path = generation.dir().path().to_path_buf();
    let reader = generation.reader(&[&column])?;
    let Keys { ids, labels, attributes, .. } = reader.keys()?;
    let schema = &generation.manifest().schema;
    let numbers = |all: Vec<Option<i64>>| {
        Given::Numbers(all.into_iter().map(|it| it.map(i128::from)).collect())
    };
    let mut names = None;
    let given = match wanted(files) {
        Wanted { label: None, .. } => None,
        Wanted { label: Some(LABEL), is_needed, .. } => {
            let any = labels.iter().any(Option::is_some);
            if is_needed && !any {
                let message = format!("no row of `{}` has a label", path.display());
                return Err(
                    Error::failed(message).hint("set `data.activations.labels` to a CSV file")
                );
            }
            let list = schema.label_names.clone();
            names = list.map(|list| Names { list, file: None });
            any.then(|| numbers(labels))
        }
        Wanted { label: Some(name), .. } => {
            let place = schema.attributes.iter().position(|it| it == name);
            let Some(values) = place.and_then(|place| attributes.into_iter().nth(place)) else {
                let there = [&[LABEL.to_owned()], schema.attributes.as_slice()].concat();
                let message = format!(
                    "`{}` has no column `{name}` of whole numbers; it has `{}`",
                    path.display(),
                    there.join("`, `")
                );
                return Err(Error::failed(message)
                    .hint("set `data.activations.labels` to one of them, or to a CSV file"));
            };
            Some(numbers(values.into_iter().map(Some).collect()))
        }
    };
    let content = content_of(&generation);
    let made = json!({ "kind": "dataset", "column": column, "content": content });
    let folder = path.parent().map_or(path.clone(), PathBuf::from);
    let place = Place { place: locate::relative_name(&folder, &folder), path: folder };
    let (rows, length) = (ids.len(), shape.iter().product());
    let values = Values::Stored { reader, column, length };
    let parts = vec![Part { place, first: 0, rows, values }];
    let element = Element::F32;
    let opened = Opened { parts, ids: Some(ids), given, names, shape, element };
    Ok((opened, Content { made, files: Vec::new() }))
}

fn of_files(files: &ActivationFiles, split: Split) -> Result<(Opened, Content)> {
    let (patterns, key) = files.of_split(split);
    let named = Named { root: &files.root, patterns, key, roots: ROOTS };
    let mut places = locate::paths(&named)?;
    if let [folder] = places.as_slice()
        && folder.path.is_dir()
    {
        places = in_folder(folder, key)?;
    }
    let kinds: Vec<Option<Kind>> = places.iter().map(|it| Kind::of(&it.path)).collect();
    let known =
        "activations are `.parquet`, `.npy`, `.npz` or `.safetensors`, or a dataset of gimlet's";
    let Some(Some(kind)) = kinds.first().copied() else {
        let first = places.first().map_or(String::new(), |it| it.path.display().to_string());
        let message = format!("`{first}` (`{key}`) is not known by its ending");
        return Err(Error::failed(message).hint(known));
    };
    if let Some(other) = kinds.iter().position(|it| *it != Some(kind)) {
        let (one, other) = (places[0].path.display(), places[other].path.display());
        let message =
            format!("`{key}` names `{one}` and `{other}`, which are files of different kinds");
        return Err(Error::failed(message).hint(known));
    }
    let tables: Vec<Table> = places
        .par_iter()
        .map(|place| Table::open(place, kind, wanted(files)))
        .collect::<Result<_>>()?;
    let first = places[0].path.display().to_string();
    let differ = |what: &str, path: &PathBuf, one: String, other: String| {
        let other = format!("`{}` has {other}", path.display());
        Error::failed(format!("{what} differ: `{first}` has {one}, {other}"))
            .hint("name only files of one data set")
    };
    let shape = tables[0].values.shape.clone();
    let mut element = tables[0].values.encoded.element;
    let has = |it: bool, what: &str| format!("{}{what}", if it { "" } else { "no " });
    let (mut parts, mut ids, mut given) = (Vec::new(), Vec::new(), None::<Given>);
    let names = tables[0].names.clone();
    let (with_ids, with_labels) = (tables[0].ids.is_some(), tables[0].labels.is_some());
    let mut start = 0;
    for (place, table) in places.into_iter().zip(tables) {
        let path = &place.path;
        let Table { values, ids: own, labels, names: own_names } = table;
        if values.shape != shape {
            let rows = |shape: &[usize]| format!("rows of shape {shape:?}");
            return Err(differ("shapes", path, rows(&shape), rows(&values.shape)));
        }
        if values.encoded.element != element {
            element = Element::F32;
        }
        if own.is_some() != with_ids {
            return Err(differ("ids", path, has(with_ids, "ids"), has(own.is_some(), "ids")));
        }
        if labels.is_some() != with_labels {
            let other = has(labels.is_some(), "labels");
            return Err(differ("labels", path, has(with_labels, "labels"), other));
        }
        if own_names != names {
            let told = |it: &Option<Vec<String>>| match it {
                Some(it) => format!("the classes {}", shorten(it)),
                None => "no names of classes".to_owned(),
            };
            return Err(differ("names of classes", path, told(&names), told(&own_names)));
        }
        let rows = values.rows;
        if own.as_ref().is_some_and(|it| it.len() != rows)
            || labels.as_ref().is_some_and(|it| it.len() != rows)
        {
            let message =
                format!("`{}` is damaged: it has not {rows} ids and labels", path.display());
            return Err(Error::failed(message).hint("get it again from where it came from"));
        }
        ids.extend(own.into_iter().flatten());
        given = match (given, labels) {
            (None, it) | (it, None) => it,
            (Some(Given::Numbers(mut all)), Some(Given::Numbers(more))) => {
                all.extend(more);
                Some(Given::Numbers(all))
            }
            (Some(Given::Texts(mut all)), Some(Given::Texts(more))) => {
                all.extend(more);
                Some(Given::Texts(all))
            }
            (Some(Given::Numbers(_)), _) => {
                return Err(differ("labels", path, "numbers".into(), "text".into()));
            }
            (Some(Given::Texts(_)), _) => {
                return Err(differ("labels", path, "text".into(), "numbers".into()));
            }
        };
        parts.push(Part { place, first: start, rows, values: Values::Array(values) });
        start += rows;
    }
    let content = parts.iter().map(|Part { place: Place { path, place }, .. }| ContentFile {
        role: Role::Data,
        place: place.clone(),
        path: path.clone(),
    });
    let content = Content { made: json!({ "kind": "activations" }), files: content.collect() };
    parts.retain(|it| it.rows > 0);
    let names = names.map(|list| Names { list, file: None });
    let ids = with_ids.then_some(ids);
    Ok((Opened { parts, ids, given, names, shape, element }, content))
}

/// The files in a folder that hold activations, in the order of their names.
fn in_folder(folder: &Place, key: &str) -> Result<Vec<Place>> {
    let failed = |error| Error::io("list", &folder.path, error);
    let mut places = Vec::new();
    for entry in std::fs::read_dir(&folder.path).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if Kind::of(&path).is_some() && path.is_file() {
            places.push(Place { place: locate::relative_name(&folder.path, &path), path });
        }
    }
    if places.is_empty() {
        let message = format!(
            "`{}` (`{key}`) is neither a dataset nor a folder of activations",
            folder.path.display()
        );
        return Err(Error::failed(message).hint(
            "name one split of a dataset, such as runs/NAME/datasets/a/train, or files `.parquet`, `.npy`, \
             `.npz` or `.safetensors`",
        ));
    }
    places.sort_by(|a, b| a.place.cmp(&b.place));
    Ok(places)
}

/// Fails when two rows have one id.
fn check_once(ids: &[i64], parts: &[Part]) -> Result<()> {
    let mut seen = HashMap::with_capacity(ids.len());
    for (row, id) in ids.iter().enumerate() {
        if let Some(before) = seen.insert(*id, row) {
            let name = |row: usize| {
                let after = parts.partition_point(|part| part.first <= row);
                let part = &parts[after.saturating_sub(1)];
                format!("row {} of `{}`", row - part.first, part.place.path.display())
            };
            let message = format!("two rows have the id {id}: {} and {}", name(before), name(row));
            return Err(Error::failed(message).hint(
                "give every row an id of its own; of a dataset with several views of each sample, name one that \
                 was written with `view.views = 1`",
            ));
        }
    }
    Ok(())
}
