//! Labels of files in folders, from the names of the folders, parts of the file names, or a CSV file.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::class_order::Order;
use super::csv_labels::{self, CsvLines};
use super::encoding;
use super::file_list::FileList;
use super::tally::{Kind, Tally};
use crate::pipeline::NamePattern;
use crate::pipeline::settings::Files;
use crate::{Error, Result};

/// The CSV column with the paths of the files, relative to the CSV file's folder.
pub(super) const FILE_NAME: &str = "file_name";

/// Labels as text, one per column.
pub(super) type Texts = Vec<Option<String>>;

/// The labels of all files of a list.
pub(super) struct FileLabels {
    /// One tally per column of labels.
    pub tallies: Vec<Tally>,
    /// The texts of each file, in the order of those columns.
    pub texts: Vec<Vec<Option<Arc<str>>>>,
    /// The CSV files that the labels come from.
    pub csv: Vec<PathBuf>,
    pub lines: Option<CsvLines>,
}

impl FileLabels {
    /// Finds the labels of the files in `folders` as the settings say.
    ///
    /// # Errors
    /// When a file lies in no class folder or its name does not fit, or there is no such CSV file or
    /// column.
    pub fn of(settings: &Files, folders: &[PathBuf], list: &FileList) -> Result<Self> {
        let columns: Vec<&String> = settings.label_columns().collect();
        let (order, mut csv, mut lines) = (Order::Numbers, Vec::new(), None);
        if columns.is_empty() {
            let texts = vec![Vec::new(); list.files.len()];
            return Ok(Self { tallies: Vec::new(), texts, csv, lines });
        }
        let texts = if let Some(pattern) = &settings.names {
            from_names(pattern, &columns, list)?
        } else if let Some(file) = &settings.labels {
            csv = csv_labels::paths(settings, file, folders)?;
            let (texts, found) = csv_labels::read(settings, &csv, &columns, list)?;
            lines = Some(found);
            texts
        } else {
            return from_folders(settings, list);
        };
        let tallies = columns.iter().map(|column| Tally::new(column, order)).collect();
        Ok(Self { csv, lines, ..Self::counted(tallies, list, texts) })
    }

    /// Counts these texts.
    fn counted(mut tallies: Vec<Tally>, list: &FileList, texts: Vec<Texts>) -> Self {
        tallies.iter_mut().for_each(|tally| tally.kind = Kind::Text);
        let mut known: HashSet<Arc<str>> = HashSet::new();
        let mut kept = Vec::with_capacity(texts.len());
        for (file, texts) in list.files.iter().zip(texts) {
            let at = || format!("`{}`", file.path.display());
            let of_file = texts.into_iter().zip(&mut tallies).map(|(text, tally)| {
                tally.add_text(text.as_deref(), at);
                let text = text?;
                let shared = known.get(text.as_str()).cloned().unwrap_or_else(|| Arc::from(text));
                known.insert(shared.clone());
                Some(shared)
            });
            kept.push(of_file.collect());
        }
        Self { tallies, texts: kept, csv: Vec::new(), lines: None }
    }
}

/// Takes the labels from the class folders that the files lie in.
fn from_folders(settings: &Files, list: &FileList) -> Result<FileLabels> {
    let noun = settings.medium.noun();
    let (Some(label), []) = (&settings.label, settings.further.as_slice()) else {
        let message = format!("folders of classes give one label to {noun}s, not several");
        return Err(Error::failed(message).hint(
            "name one in `data.label`, or say where they lie by `data.names` or `data.labels`",
        ));
    };
    let encoding = encoding::of(settings.medium);
    let mut tally = Tally::new(label, encoding.order);
    list.classes.iter().for_each(|class| tally.add_class(class));
    let mut texts = Vec::with_capacity(list.files.len());
    for file in &list.files {
        let Some(class) = &file.class else {
            let message = format!("`{}` lies in no class folder", file.path.display());
            let elsewhere = match encoding.lasts {
                true => "; `data.names` and `data.labels` read labels from elsewhere",
                false => "",
            };
            return Err(Error::failed(message).hint(format!(
                "move it to `<class>/`, or set `data.label = false` if the {noun}s have no \
                 labels{elsewhere}"
            )));
        };
        texts.push(vec![Some(class.clone())]);
    }
    Ok(FileLabels::counted(vec![tally], list, texts))
}

/// Takes the labels from file names, with a pattern.
fn from_names(pattern: &str, columns: &[&String], list: &FileList) -> Result<Vec<Texts>> {
    let parsed = NamePattern::parse(pattern)
        .map_err(|wrong| Error::failed(format!("`data.names` {wrong}: `{pattern}`")))?;
    let places = columns.iter().map(|column| {
        parsed.fields().position(|field| field == column.as_str()).ok_or_else(|| {
            Error::failed(format!("`data.names` has no field `{column}`: `{pattern}`"))
        })
    });
    let places = places.collect::<Result<Vec<_>>>()?;
    let texts = list.files.iter().map(|file| {
        let stem = file.path.file_stem().unwrap_or_default().to_string_lossy();
        let fields = parsed.read(&stem).ok_or_else(|| {
            let message =
                format!("the name of `{}` is not as `data.names` says", file.path.display());
            Error::failed(message).hint(format!(
                "`{pattern}` has to fit every file; leave out others by naming those in `data.train` \
                 and `data.test`"
            ))
        })?;
        Ok(places.iter().map(|place| Some(fields[*place].to_owned())).collect())
    });
    texts.collect()
}
