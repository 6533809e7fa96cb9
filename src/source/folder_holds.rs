//! Tells what a folder holds that is named by itself: image or sound files, Parquet files, or binary files
//! of images.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::file_kind::{FileKind, KINDS, Within};
use super::file_list::{Entry, EntryKind, FileList, entries};
use super::record_names::{is_beside, is_known, is_twin, name_of};
use super::shorten;
use crate::pipeline::settings::{Medium, Split};
use crate::{Error, Result};

/// The folder in which torchvision keeps the MNIST files.
pub(super) const RAW: &str = "raw";

/// Finds the kind of files in a folder, the files that are read, and those that are not read for either split. If
/// file names tell the split, only the files of `split` are read.
///
/// # Errors
/// When the folder cannot be listed, or holds only files of the other split.
pub(super) fn look(
    folder: &Path,
    medium: Medium,
    split: Option<Split>,
) -> Result<(&'static FileKind, Within)> {
    let inside = files(entries(folder)?);
    for kind in &KINDS {
        if let Some(within) = (kind.within)(folder, &inside, medium, split)? {
            return Ok((kind, within));
        }
    }
    Err(Error::failed(format!("`{}` holds no kind of data", folder.display())))
}

/// Implements [`FileKind::within`] for binary files of images.
pub(super) fn records(
    folder: &Path,
    inside: &[PathBuf],
    split: Option<Split>,
) -> Result<Option<Within>> {
    let any = |paths: &[PathBuf]| paths.iter().any(|path| is_known(path));
    let raw = folder.join(RAW);
    let mut inside = inside.to_vec();
    if !any(&inside) && raw.is_dir() {
        inside = files(entries(&raw)?);
    }
    if !any(&inside) {
        return Ok(None);
    }
    let all: HashSet<PathBuf> = inside.iter().cloned().collect();
    inside.retain(|path| !is_beside(path) && !is_twin(path, &all));
    of_split(folder, inside, is_known, split).map(Some)
}

/// Implements [`FileKind::within`] for Parquet files. A folder of image or sound files may hold some of them, too.
pub(super) fn parquet(
    folder: &Path,
    inside: &[PathBuf],
    medium: Medium,
    split: Option<Split>,
) -> Result<Option<Within>> {
    if !inside.iter().any(|path| is_parquet(path)) || FileList::is_any_under(folder, medium)? {
        return Ok(None);
    }
    of_split(folder, inside.to_vec(), is_parquet, split).map(Some)
}

/// The files among `entries`.
pub(super) fn files(entries: Vec<Entry>) -> Vec<PathBuf> {
    entries.into_iter().filter(|it| it.kind == EntryKind::File).map(|it| it.path).collect()
}

/// Whether the name of a file says that it is Parquet.
pub fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"))
}

/// The split that a file name tells; `None` if it tells neither, or both.
fn named_split(path: &Path) -> Option<Split> {
    let name = name_of(path).to_lowercase();
    let train = name.contains("train") || name.starts_with("data_batch");
    let test = name.contains("test") || name.starts_with("t10k");
    match (train, test) {
        (true, false) => Some(Split::Train),
        (false, true) => Some(Split::Test),
        _ => None,
    }
}

/// Divides `paths` into those that are read for a split, and those that are read for neither. If names of data files
/// tell the split, only those of the wanted split are read; else all.
fn of_split(
    folder: &Path,
    mut paths: Vec<PathBuf>,
    is_data: impl Fn(&Path) -> bool,
    split: Option<Split>,
) -> Result<Within> {
    paths.sort();
    let (data, mut over): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.into_iter().partition(|path| is_data(path));
    let Some(split) = split else { return Ok((data, over)) };
    if data.iter().all(|path| named_split(path).is_none()) {
        return Ok((data, over));
    }
    let (wanted, others): (Vec<PathBuf>, Vec<PathBuf>) =
        data.into_iter().partition(|path| named_split(path) == Some(split));
    if !wanted.is_empty() {
        over.extend(others.into_iter().filter(|path| named_split(path).is_none()));
        return Ok((wanted, over));
    }
    let names: Vec<String> = others.iter().map(|path| format!("`{}`", name_of(path))).collect();
    let (shown, split) = (folder.display(), split.name());
    let message = format!(
        "no file in `{shown}` is of the {split} split, as their names tell: it holds {}",
        shorten(&names)
    );
    Err(Error::failed(message).hint(format!(
        "name those that `data.{split}` is to read, such as `{shown}/{}`",
        name_of(&others[0])
    )))
}

/// Advice on how to name the Parquet files among `files` that lie deeper in `folders` than directly inside.
pub(super) fn parquet_within(folders: &[PathBuf], files: &[PathBuf]) -> Option<String> {
    let first = files.iter().filter(|path| is_parquet(path)).min()?;
    let folder = first.parent()?.display();
    let named = folders.first().map_or(String::new(), |it| format!(" of `{}`", it.display()));
    Some(format!("it holds Parquet files: write `{folder}/*.parquet` instead{named}"))
}

/// The download to use instead of Python's version of CIFAR.
pub(super) fn instead(path: &Path) -> Option<&'static str> {
    const CIFAR10: &str = "get CIFAR-10's binary version (`cifar-10-binary.tar.gz`: \
                           `data_batch_1.bin` to `data_batch_5.bin`, `test_batch.bin`)";
    const CIFAR100: &str = "get CIFAR-100's binary version (`cifar-100-binary.tar.gz`: `train.bin`, \
                            `test.bin`)";
    let name = name_of(path);
    if name.starts_with("data_batch") || ["test_batch", "batches.meta"].contains(&&*name) {
        return Some(CIFAR10);
    }
    ["train", "test", "meta"].contains(&&*name).then_some(CIFAR100)
}
