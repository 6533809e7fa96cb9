//! Labels of files in a CSV file: a column `file_name` with their paths from the CSV file's own folder, and
//! columns of labels.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::file_labels::{FILE_NAME, Texts};
use super::file_list::FileList;
use super::unicode_form::composed;
use super::{plain_file, shorten};
use crate::pipeline::settings::{Files, Split};
use crate::quantity::counted;
use crate::{Error, Result};

/// The most bytes of a CSV file.
const LONGEST_CSV: u64 = 256 << 20;

/// Bytes at the front of a file that are looked at to tell its text encoding.
const FRONT: u64 = 4 << 10;

/// The lines of CSV files, and the files of a split that have no line.
#[derive(Debug)]
pub(super) struct CsvLines {
    lines: Vec<Line>,
    /// The word for a sample in messages.
    noun: &'static str,
    /// The number of files in the split.
    files: usize,
    /// Files without a line: their number, and the first of them.
    without: usize,
    first_without: Option<PathBuf>,
}

/// A line after the header.
#[derive(Debug)]
struct Line {
    csv: Arc<Path>,
    number: u64,
    /// The file's name as the line spells it.
    name: String,
    /// Whether a file of the split has this name.
    used: bool,
}

/// The paths of the CSV files that the settings name: beside the data, or in `data.root`.
///
/// # Errors
/// When there is no such file.
pub(super) fn paths(settings: &Files, name: &str, folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
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
    Ok(paths)
}

/// Reads what the CSV files have in these columns for each file of a list.
///
/// # Errors
/// When a file is not such a CSV file, or has two lines for one file.
pub(super) fn read(
    settings: &Files,
    paths: &[PathBuf],
    columns: &[&String],
    list: &FileList,
) -> Result<(Vec<Texts>, CsvLines)> {
    let mut found = Lines::default();
    for path in paths {
        found.read(path, columns)?;
    }
    let mut lines = CsvLines {
        lines: Vec::new(),
        noun: settings.medium.noun(),
        files: list.files.len(),
        without: 0,
        first_without: None,
    };
    let mut texts = Vec::with_capacity(list.files.len());
    for file in &list.files {
        match found.find(&file.path) {
            Some(place) => {
                found.lines[place].used = true;
                texts.push(found.texts[place].clone());
            }
            None => {
                lines.without += 1;
                lines.first_without.get_or_insert_with(|| file.path.clone());
                texts.push(vec![None; columns.len()]);
            }
        }
    }
    lines.lines = found.lines;
    Ok((texts, lines))
}

impl CsvLines {
    /// The error when no line has a label for any file.
    pub fn no_label(&self) -> Error {
        let csv = self.lines.first().map_or(String::new(), |it| it.csv.display().to_string());
        let mut message =
            format!("`{csv}` has no label for any of {}", counted(self.files, self.noun));
        if let (Some(line), Some(file)) = (self.lines.first(), &self.first_without) {
            let meant = line.csv.parent().unwrap_or(Path::new("")).join(&line.name);
            message += &format!(
                ": line {} is about `{}`, and the first {} is `{}`",
                line.number,
                meant.display(),
                self.noun,
                file.display()
            );
        }
        Error::failed(message)
            .hint(format!("`{FILE_NAME}` is the path of a file from the folder of the CSV file"))
    }

    /// Warnings about the lines of both splits.
    pub fn warnings(train: Option<&Self>, test: Option<&Self>) -> Vec<String> {
        let splits = [(Split::Train, train), (Split::Test, test)];
        let mut told = Vec::new();
        let mut lines: HashMap<(&Path, u64), (&str, bool)> = HashMap::new();
        for (split, of_split) in splits {
            let Some(all) = of_split else { continue };
            for line in &all.lines {
                let known = lines.entry((&line.csv, line.number)).or_insert((&line.name, false));
                known.1 |= line.used;
            }
            let csv = all.lines.first().map_or(String::new(), |it| it.csv.display().to_string());
            if let Some(first) = &all.first_without {
                told.push(format!(
                    "{} of {} of the {} split have no line in `{csv}`, and so no label; the first is \
                     `{}`",
                    all.without,
                    counted(all.files, all.noun),
                    split.name(),
                    first.display()
                ));
            }
        }
        let unused = lines.into_iter().filter(|(_, (_, used))| !used);
        let mut unused: Vec<_> = unused.map(|((csv, line), (name, _))| (csv, line, name)).collect();
        unused.sort_unstable();
        if let Some((csv, line, name)) = unused.first() {
            let count = match unused.len() {
                1 => "1 line of `data.labels` is".to_owned(),
                several => format!("{several} lines of `data.labels` are"),
            };
            told.push(format!(
                "{count} about no file of either split; the first is line {line} of `{}`, about `{name}`",
                csv.display()
            ));
        }
        told
    }
}

/// Lines of CSV files, by the files that they are about.
#[derive(Default)]
struct Lines {
    lines: Vec<Line>,
    texts: Vec<Texts>,
    places: HashMap<PathBuf, usize>,
    /// Lines by name in composed Unicode with `/` between folders, for files whose name is spelled another way.
    alike: HashMap<String, usize>,
}

impl Lines {
    /// The line for a file: one with exactly its name, or else one whose name is alike.
    fn find(&self, file: &Path) -> Option<usize> {
        let exact = self.places.get(&plain(file));
        exact.or_else(|| self.alike.get(&alike(&plain(file))?)).copied()
    }

    /// Adds the lines of a CSV file.
    fn read(&mut self, path: &Path, columns: &[&String]) -> Result<()> {
        let shown = path.display();
        let mut reader = csv::Reader::from_reader(open(path)?);
        let header = reader.headers().map_err(|error| wrong(path, &error))?.clone();
        let place = |column: &str| {
            let found = header.iter().position(|it| it.trim() == column);
            found.ok_or_else(|| no_column(path, &header, column))
        };
        let file_name = place(FILE_NAME)?;
        let places = columns.iter().map(|column| place(column)).collect::<Result<Vec<_>>>()?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let csv: Arc<Path> = Arc::from(path);
        for record in reader.records() {
            let record = record.map_err(|error| wrong(path, &error))?;
            let field = |place: usize| record.get(place).map(str::trim).filter(|it| !it.is_empty());
            let Some(name) = field(file_name) else { continue };
            let number = record.position().map_or(0, csv::Position::line);
            let about = plain(&folder.join(name));
            let line = self.lines.len();
            if let Some(before) = self.places.insert(about.clone(), line) {
                let (before, at) = (&self.lines[before], self.lines[before].csv.display());
                let message = format!(
                    "`{shown}` has a second line for `{name}`: line {number}, after line {} of `{at}`",
                    before.number
                );
                return Err(Error::failed(message).hint("leave one line for each file"));
            }
            if let Some(alike) = alike(&about) {
                self.alike.insert(alike, line);
            }
            self.texts.push(places.iter().map(|it| field(*it).map(str::to_owned)).collect());
            self.lines.push(Line { csv: csv.clone(), number, name: name.to_owned(), used: false });
        }
        Ok(())
    }
}

/// Opens a CSV file, and gives its text in UTF-8.
fn open(path: &Path) -> Result<impl Read + use<>> {
    let failed = |error| Error::io("read the labels", path, error);
    let shown = path.display();
    let mut file: File = plain_file::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() > LONGEST_CSV {
        return Err(Error::failed(format!("`{shown}` has more than {LONGEST_CSV} bytes")));
    }
    let mut front = Vec::new();
    file.by_ref().take(FRONT).read_to_end(&mut front).map_err(failed)?;
    if front.starts_with(&[0xff, 0xfe]) || front.starts_with(&[0xfe, 0xff]) || front.contains(&0) {
        let message = format!("`{shown}` is not a CSV file in UTF-8: it seems to be in UTF-16");
        return Err(Error::failed(message).hint(format!(
            "save it as CSV in UTF-8; or `iconv -f UTF-16 -t UTF-8 {shown} > FILE.csv`, with that file in \
             `data.labels`"
        )));
    }
    Ok(Cursor::new(front).chain(file))
}

/// The error of a file that can be read but is not a CSV file.
fn wrong(path: &Path, error: &csv::Error) -> Error {
    let shown = path.display();
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => {
            let message = format!("`{shown}` is not a CSV file in UTF-8: {error}");
            Error::failed(message).hint("save it as CSV in UTF-8")
        }
        _ => Error::failed(format!("`{shown}` is not a CSV file: {error}"))
            .hint("a field with a comma in it stands in double quotes"),
    }
}

fn no_column(path: &Path, header: &csv::StringRecord, column: &str) -> Error {
    let shown = path.display();
    let signs = [(';', "semicolons"), ('\t', "tabs"), ('|', "bars")];
    let line = header.iter().collect::<Vec<_>>().join(",");
    let names = |sign: char| line.split(sign).any(|it| it.trim().trim_matches('"') == column);
    if let Some((_, signs)) = signs.into_iter().find(|(sign, _)| names(*sign)) {
        let message = format!("the columns of `{shown}` are separated by {signs}, not by commas");
        return Error::failed(message)
            .hint("save it as CSV with commas (\"comma separated values\")");
    }
    let there: Vec<String> = header.iter().map(|it| format!("`{it}`")).collect();
    let message = format!("`{shown}` has no column `{column}`; it has {}", shorten(&there));
    Error::failed(message).hint(format!(
        "the first line of a CSV file names its columns: `{FILE_NAME}`, and those of `data.label`"
    ))
}

/// A path without its `.` parts.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// A path in a spelling that does not depend on the system: composed Unicode, with `/` between parts.
fn alike(path: &Path) -> Option<String> {
    Some(composed(path.to_str()?).replace('\\', "/"))
}
