//! Where the splits of a data set lie: told by the names of folders and files.

use std::path::{Path, PathBuf};

use crate::source::look::{self, FilesFound, Holds};
use crate::{Error, Kind, Result};

/// Names of folders and files of the training split, and of those that are judged on, the likeliest first.
const TRAIN: &[&str] = &["train", "training", "unlabeled"];
const TEST: &[&str] = &["test", "testing", "t10k"];
const VALIDATION: &[&str] = &["validation", "valid", "val", "dev", "eval"];

/// Where the splits lie, and what kind of data they are.
#[derive(Debug, Clone)]
pub struct Place {
    /// The folder that the patterns start from.
    pub root: PathBuf,
    /// What `data.train` names.
    pub train: Vec<String>,
    /// What `data.test` names; `None` if samples of `train` have to be held out.
    pub test: Option<Vec<String>>,
    /// The kind of data.
    pub kind: DataKind,
    /// What is to be told of what was left out.
    pub notes: Vec<String>,
}

/// The kind of data in a place.
#[derive(Debug, Clone)]
pub enum DataKind {
    /// Binary files of images.
    Records,
    /// Parquet files, of which this is the first.
    Parquet(PathBuf),
    /// Files with one sample each.
    Files(FilesFound),
}

impl Place {
    /// Finds the splits in `paths`: one folder, or files of one folder. `test` names the test split, if the caller
    /// knows it.
    ///
    /// # Errors
    /// [`Kind::Usage`] when there are no data; when a folder cannot be listed.
    pub fn find(paths: &[PathBuf], test: Option<&Path>) -> Result<Self> {
        let mut place = match paths {
            [folder] if folder.is_dir() => Self::in_folder(folder)?,
            files => Self::of_files(files)?,
        };
        if let Some(test) = test {
            place.test = Some(vec![pattern(&place.root, test)?]);
        }
        Ok(place)
    }

    fn in_folder(folder: &Path) -> Result<Self> {
        if let Some(place) = Self::in_folders_of_splits(folder)? {
            return Ok(place);
        }
        match look::holds(folder)? {
            Holds::Records(files) => Ok(Self::by_name(folder, &files, DataKind::Records)),
            Holds::Parquet(files) => {
                let kind = DataKind::Parquet(files[0].clone());
                Ok(Self::by_name(&parent(&files[0]), &files, kind))
            }
            Holds::Files(found) => {
                let (root, name) = match folder.file_name().and_then(|it| it.to_str()) {
                    Some(name) => (parent(folder), name.to_owned()),
                    None => (folder.to_path_buf(), ".".to_owned()),
                };
                let (train, kind) = (vec![name], DataKind::Files(found));
                Ok(Self { root, train, test: None, kind, notes: Vec::new() })
            }
            Holds::Nothing => Err(nothing(folder)),
        }
    }

    /// The splits where folders are named after them.
    fn in_folders_of_splits(folder: &Path) -> Result<Option<Self>> {
        let folders = look::folders(folder)?;
        let named = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| folders.iter().find(|it| name_of(it).eq_ignore_ascii_case(name)))
        };
        let Some(train) = named(&TRAIN[..2]) else { return Ok(None) };
        let (kind, pattern) = match look::holds(train)? {
            Holds::Nothing => return Ok(None),
            Holds::Records(_) => (DataKind::Records, None),
            Holds::Parquet(files) => {
                let first = files[0].clone();
                let folder = parent(&first);
                (DataKind::Parquet(first), Some(folder))
            }
            Holds::Files(found) => (DataKind::Files(found), None),
        };
        let mut place = Self {
            root: folder.to_path_buf(),
            train: vec![pattern_in(folder, pattern.as_deref().unwrap_or(train))],
            test: None,
            kind,
            notes: Vec::new(),
        };
        for other in [named(TEST), named(VALIDATION)].into_iter().flatten() {
            let shown = name_of(other);
            if place.test.is_some() {
                place.notes.push(format!("`{shown}` is not read: there is a test split already"));
            } else if let Some(why) = place.misfit(other)? {
                place.notes.push(format!("`{shown}` is not the test split: {why}"));
            } else {
                let inner = match (&place.kind, look::holds(other)?) {
                    (DataKind::Parquet(_), Holds::Parquet(files)) => parent(&files[0]),
                    _ => other.clone(),
                };
                place.test = Some(vec![pattern_in(folder, &inner)]);
            }
        }
        Ok(Some(place))
    }

    /// Why a folder cannot be the test split; `None` if it can.
    fn misfit(&self, test: &Path) -> Result<Option<String>> {
        let why = match (&self.kind, look::holds(test)?) {
            (_, Holds::Nothing) => "it holds no data",
            (DataKind::Files(train), Holds::Files(test)) if train.medium == test.medium => {
                let is_labelled =
                    train.are_classes && train.loose == 0 && !train.folders.is_empty();
                let has_class = test.folders.iter().any(|it| train.folders.contains(it));
                match is_labelled && (test.loose > 0 || !has_class) {
                    true => "its files do not lie in the folders of classes that `train` has",
                    false => return Ok(None),
                }
            }
            (DataKind::Records, Holds::Records(_)) => return Ok(None),
            (DataKind::Parquet(_), Holds::Parquet(_)) => return Ok(None),
            _ => "it holds another kind of data than `train`",
        };
        Ok(Some(why.to_owned()))
    }

    /// Files that were named one by one. The names of those beside them may tell a test split.
    fn of_files(paths: &[PathBuf]) -> Result<Self> {
        let root = parent(&paths[0]);
        if let Some(other) = paths.iter().find(|it| parent(it) != root || !it.is_file()) {
            let message = format!("`{}` is no file in `{}`", other.display(), root.display());
            return Err(Error::new(Kind::Usage, message)
                .hint("name one folder, or several files that lie in one folder"));
        }
        let kind = match paths.iter().all(|it| look::is_parquet(it)) {
            true => DataKind::Parquet(paths[0].clone()),
            false => match look::holds(&root)? {
                Holds::Records(all) if paths.iter().all(|it| all.contains(it)) => DataKind::Records,
                _ => {
                    let message = format!(
                        "`{}` is neither a Parquet file nor a binary file of images",
                        paths[0].display()
                    );
                    let folder = root.display();
                    return Err(Error::new(Kind::Usage, message).hint(format!(
                        "name the folder that holds the images or recordings: `gimlet init {folder}`"
                    )));
                }
            },
        };
        let mut place = Self::by_name(&root, paths, kind);
        if place.test.is_none()
            && paths.iter().all(|it| split_of(it) == Some(TRAIN))
            && let Holds::Parquet(all) | Holds::Records(all) = look::holds(&root)?
        {
            place.test = Self::by_name(&root, &all, place.kind.clone()).test;
        }
        Ok(place)
    }

    /// Divides files of one folder by what their names say of the split.
    fn by_name(root: &Path, files: &[PathBuf], kind: DataKind) -> Self {
        let of = |split: &[&str]| -> Vec<PathBuf> {
            files
                .iter()
                .filter(|it| split_of(it).is_some_and(|found| found == split))
                .cloned()
                .collect()
        };
        let (train, test, validation) = (of(TRAIN), of(TEST), of(VALIDATION));
        let mut notes = Vec::new();
        let unread = |files: &[PathBuf]| {
            let names: Vec<String> = files.iter().map(|it| format!("`{}`", name_of(it))).collect();
            names.join(", ")
        };
        let (train, test) = match (train.is_empty(), test.is_empty(), validation.is_empty()) {
            // Names do not tell a training split: all files are of it.
            (true, ..) => (files.to_vec(), Vec::new()),
            (false, false, false) => {
                notes.push(format!(
                    "{} not read: there is a test split already",
                    match validation.len() {
                        1 => format!("{} is", unread(&validation)),
                        _ => format!("{} are", unread(&validation)),
                    }
                ));
                (train, test)
            }
            (false, false, true) => (train, test),
            (false, true, _) => (train, validation),
        };
        let others: Vec<PathBuf> = files
            .iter()
            .filter(|it| !train.contains(it) && split_of(it).is_none())
            .cloned()
            .collect();
        if !others.is_empty() {
            notes.push(format!("not read, since their names tell no split: {}", unread(&others)));
        }
        let patterns = |chosen: &[PathBuf]| patterns(root, chosen);
        Self {
            root: root.to_path_buf(),
            train: patterns(&train),
            test: (!test.is_empty()).then(|| patterns(&test)),
            kind,
            notes,
        }
    }
}

/// Checks that there is something at each path.
///
/// # Errors
/// [`Kind::Usage`] when there is not.
pub fn check_there(paths: &[PathBuf], test: Option<&Path>) -> Result<()> {
    let Some(gone) = paths.iter().map(PathBuf::as_path).chain(test).find(|it| !it.exists()) else {
        return Ok(());
    };
    let message = format!("there is no file or folder `{}`", gone.display());
    Err(Error::new(Kind::Usage, message)
        .hint("name a folder of images or recordings, or Parquet files"))
}

/// The names of the split that the name of a file tells.
fn split_of(path: &Path) -> Option<&'static [&'static str]> {
    let name = name_of(path).to_lowercase();
    if name.starts_with("data_batch") {
        return Some(TRAIN);
    }
    let mut words = name.split(|c: char| !c.is_alphanumeric());
    let mut found = words
        .find_map(|word| [TRAIN, TEST, VALIDATION].into_iter().find(|names| names.contains(&word)));
    // CIFAR-10's `test_batch.bin`, and names without a mark between words, such as `mytrain.parquet`.
    for (part, split) in [("train", TRAIN), ("test", TEST)] {
        found = found.or(name.contains(part).then_some(split));
    }
    found
}

/// One glob that names exactly these files of a folder, if their names begin alike; else their paths.
fn patterns(root: &Path, files: &[PathBuf]) -> Vec<String> {
    let mut names: Vec<String> = files.iter().map(|it| pattern_in(root, it)).collect();
    names.sort();
    let is_plain = !names.iter().any(|it| it.contains(['*', '?', '[', '/']));
    if names.len() > 1 && is_plain {
        let first = &names[0];
        let alike =
            first.chars().zip(names[names.len() - 1].chars()).take_while(|(a, b)| a == b).count();
        let stem: String = first.chars().take(alike).collect();
        let stem = stem.trim_end_matches(|c: char| c.is_ascii_digit());
        let ending = first.rsplit_once('.').map_or("", |(_, ending)| ending);
        let glob = format!("{stem}*.{ending}");
        let matched = |name: &str| {
            name.strip_prefix(stem).is_some_and(|rest| rest.ends_with(&format!(".{ending}")))
        };
        let all = std::fs::read_dir(root).into_iter().flatten().flatten();
        let all = all.filter(|it| matched(&it.file_name().to_string_lossy())).count();
        if !stem.is_empty() && all == names.len() && names.iter().all(|it| matched(it)) {
            return vec![glob];
        }
    }
    names
}

/// A path as `data.train` or `data.test` names it: from `root` where it lies below, else absolute.
fn pattern(root: &Path, path: &Path) -> Result<String> {
    let absolute =
        |path: &Path| std::path::absolute(path).map_err(|error| Error::io("find", path, error));
    let (root, path) = (absolute(root)?, absolute(path)?);
    Ok(pattern_in(&root, &path))
}

fn pattern_in(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}

fn parent(path: &Path) -> PathBuf {
    crate::folder::folder_of(path)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn nothing(folder: &Path) -> Error {
    let message = format!("`{}` holds no images, recordings or Parquet files", folder.display());
    Error::new(Kind::Usage, message).hint(
        "images end in .png, .jpg, .webp and so on, recordings in .wav, .flac, .mp3 or .ogg; `docs/guide/data.md` \
         lists all that is read",
    )
}
