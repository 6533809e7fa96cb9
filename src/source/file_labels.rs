//! The labels of files in folders: the folders that they lie in, parts of their names, or a CSV file.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::class_order::Order;
use super::file_list::FileList;
use super::{LabelSet, plain_file, shorten};
use crate::pipeline::NamePattern;
use crate::pipeline::settings::{Files, Medium};
use crate::{Error, Result};

/// The column of a CSV file with the paths of files, from its own folder.
const FILE_NAME: &str = "file_name";

/// Bytes of a CSV file.
const LONGEST_CSV: u64 = 256 << 20;

/// Labels as text, one for each column.
type Texts = Vec<Option<String>>;

/// The labels of all files of a list.
pub(super) struct FileLabels {
    /// Of each column of labels.
    pub sets: Vec<LabelSet>,
    /// The classes of each file by those columns.
    pub classes: Vec<Vec<Option<i64>>>,
    /// The CSV files that say them.
    pub files: Vec<PathBuf>,
}

impl FileLabels {
    /// What the settings say of the files that were found in `folders`.
    ///
    /// # Errors
    /// When a file lies in no class folder or its name does not fit, or there is no such CSV file or
    /// column.
    pub fn of(settings: &Files, folders: &[PathBuf], list: &FileList) -> Result<Self> {
        let columns: Vec<&String> = settings.label_columns().collect();
        if columns.is_empty() {
            let classes = vec![Vec::new(); list.files.len()];
            return Ok(Self { sets: Vec::new(), classes, files: Vec::new() });
        }
        if let Some(pattern) = &settings.names {
            let texts = from_names(pattern, &columns, list)?;
            return Ok(Self::number(&columns, &texts, &texts));
        }
        if let Some(file) = &settings.labels {
            let (texts, all, files) = from_csv(settings, file, folders, &columns, list)?;
            return Ok(Self { files, ..Self::number(&columns, &texts, &all) });
        }
        from_folders(settings, list)
    }

    /// The numbers of the classes that `texts` name, among `all` there are.
    fn number(columns: &[&String], texts: &[Texts], all: &[Texts]) -> Self {
        let sets = columns.iter().enumerate().map(|(column, name)| {
            let mut names: Vec<String> = all.iter().filter_map(|it| it[column].clone()).collect();
            Order::Numbers.sort(&mut names);
            LabelSet { name: name.to_string(), names: Some(names) }
        });
        let sets: Vec<LabelSet> = sets.collect();
        let class = |(text, set): (&Option<String>, &LabelSet)| {
            Order::Numbers.find(set.names.as_ref()?, text.as_ref()?)
        };
        let classes = texts.iter().map(|texts| texts.iter().zip(&sets).map(class).collect());
        Self { classes: classes.collect(), sets, files: Vec::new() }
    }
}

/// The class folders that files lie in.
fn from_folders(settings: &Files, list: &FileList) -> Result<FileLabels> {
    let noun = settings.medium.noun();
    let (Some(label), []) = (&settings.label, settings.further.as_slice()) else {
        let message = format!("folders of classes give one label to {noun}s, not several");
        return Err(Error::failed(message).hint(
            "name one in `data.label`, or say where they lie by `data.names` or `data.labels`",
        ));
    };
    let order = match settings.medium {
        Medium::Image => Order::Text,
        Medium::Sound => Order::Numbers,
    };
    let mut names = list.classes.clone();
    order.sort(&mut names);
    let mut classes = Vec::with_capacity(list.files.len());
    for file in &list.files {
        let Some(class) = &file.class else {
            let message = format!("`{}` lies in no class folder", file.path.display());
            let elsewhere = match settings.medium {
                Medium::Image => "",
                Medium::Sound => "; `data.names` and `data.labels` read labels from elsewhere",
            };
            return Err(Error::failed(message).hint(format!(
                "move it to `<class>/`, or set `data.label = false` if the {noun}s have no \
                 labels{elsewhere}"
            )));
        };
        classes.push(vec![order.find(&names, class)]);
    }
    let set = LabelSet { name: label.clone(), names: Some(names) };
    Ok(FileLabels { sets: vec![set], classes, files: Vec::new() })
}

/// What a pattern finds in the names of files.
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

/// What CSV files have in these columns: of each file, and of every line; and the CSV files.
fn from_csv(
    settings: &Files,
    name: &str,
    folders: &[PathBuf],
    columns: &[&String],
    list: &FileList,
) -> Result<(Vec<Texts>, Vec<Texts>, Vec<PathBuf>)> {
    let beside = folders.iter().chain([&settings.root]).map(|folder| folder.join(name));
    let mut paths: Vec<PathBuf> = beside.filter(|path| path.exists()).collect();
    paths.sort();
    paths.dedup();
    if paths.is_empty() {
        let message =
            format!("there is no file `{}` (`data.labels`)", settings.root.join(name).display());
        return Err(Error::failed(message).hint(
            "it lies in `data.root`, or in the folder that `data.train` or `data.test` names",
        ));
    }
    let mut lines = HashMap::new();
    for path in &paths {
        read_csv(path, columns, &mut lines)?;
    }
    let texts: Vec<Texts> = list
        .files
        .iter()
        .map(|file| lines.get(&plain(&file.path)).cloned().unwrap_or(vec![None; columns.len()]))
        .collect();
    if texts.iter().flatten().all(Option::is_none) {
        let (files, path) = (list.files.len(), paths[0].display());
        let message =
            format!("`{path}` has no label for any of {files} {}s", settings.medium.noun());
        return Err(Error::failed(message)
            .hint(format!("`{FILE_NAME}` is the path of a file from the folder of the CSV file")));
    }
    Ok((texts, lines.into_values().collect(), paths))
}

/// Adds the lines of a CSV file, by the paths that they are about.
fn read_csv(path: &Path, columns: &[&String], lines: &mut HashMap<PathBuf, Texts>) -> Result<()> {
    let failed = |error| Error::io("read the labels", path, error);
    let file = plain_file::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let shown = path.display();
    if bytes > LONGEST_CSV {
        return Err(Error::failed(format!("`{shown}` has more than {LONGEST_CSV} bytes")));
    }
    let wrong = |error: csv::Error| Error::failed(format!("`{shown}` is not a CSV file: {error}"));
    let mut reader = csv::Reader::from_reader(file);
    let header = reader.headers().map_err(wrong)?.clone();
    let place = |column: &str| {
        header.iter().position(|it| it.trim() == column).ok_or_else(|| {
            let there: Vec<String> = header.iter().map(|it| format!("`{it}`")).collect();
            let message = format!("`{shown}` has no column `{column}`; it has {}", shorten(&there));
            Error::failed(message).hint(format!(
                "the first line of a CSV file names its columns: `{FILE_NAME}`, and those of \
                 `data.label`"
            ))
        })
    };
    let file_name = place(FILE_NAME)?;
    let places = columns.iter().map(|column| place(column)).collect::<Result<Vec<_>>>()?;
    let folder = path.parent().unwrap_or(Path::new(""));
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let field = |place: usize| record.get(place).map(str::trim).filter(|it| !it.is_empty());
        let Some(name) = field(file_name) else { continue };
        let labels = places.iter().map(|place| field(*place).map(str::to_owned)).collect();
        if lines.insert(plain(&folder.join(name)), labels).is_some() {
            let message = format!("`{shown}` has a second line for `{name}`");
            return Err(Error::failed(message).hint("leave one line for each file"));
        }
    }
    Ok(())
}

/// A path without the parts that say nothing.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}
