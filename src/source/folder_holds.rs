//! What a folder holds that is named by itself: files of images or sounds, Parquet files, or binary files of
//! images.

use std::path::{Path, PathBuf};

use super::file_list::{Entry, EntryKind, FileList, entries};
use super::record_names::{images_alone, is_known, name_of};
use super::shorten;
use crate::pipeline::settings::{Medium, Split};
use crate::{Error, Result};

/// What is read of a folder.
pub enum Holds {
    /// Files of the medium, in class folders or not.
    Files,
    Parquet(Vec<PathBuf>),
    Records(Vec<PathBuf>),
}

/// Torchvision keeps the files of MNIST in this folder.
const RAW: &str = "raw";

/// Looks into a folder. Of Parquet files and binary files there, those are taken that are of `split`, as
/// far as their names tell.
///
/// # Errors
/// When it cannot be listed, or holds files of the other split alone.
pub fn look(folder: &Path, medium: Medium, split: Option<Split>) -> Result<Holds> {
    let inside = entries(folder)?;
    if medium == Medium::Image {
        let mut records = records(&inside);
        let raw = inside.iter().find(|it| it.kind == EntryKind::Folder && name_of(&it.path) == RAW);
        if let (Some(raw), true) = (raw, records.is_empty()) {
            records = self::records(&entries(&raw.path)?);
        }
        if !records.is_empty() {
            return Ok(Holds::Records(of_split(folder, records, split)?));
        }
    }
    let parquet: Vec<PathBuf> = files(&inside).filter(|path| is_parquet(path)).collect();
    if parquet.is_empty() || FileList::is_any_under(folder, medium)? {
        return Ok(Holds::Files);
    }
    Ok(Holds::Parquet(of_split(folder, parquet, split)?))
}

fn files(entries: &[Entry]) -> impl Iterator<Item = PathBuf> {
    entries.iter().filter(|it| it.kind == EntryKind::File).map(|it| it.path.clone())
}

fn records(entries: &[Entry]) -> Vec<PathBuf> {
    images_alone(files(entries).filter(|path| is_known(path)).collect())
}

fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"))
}

/// The split that a name speaks of; `None` where it speaks of none, or of both.
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

/// Those of a split, where names tell of splits; else all.
fn of_split(folder: &Path, mut paths: Vec<PathBuf>, split: Option<Split>) -> Result<Vec<PathBuf>> {
    paths.sort();
    let Some(split) = split else { return Ok(paths) };
    let (wanted, others): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.into_iter().partition(|path| named_split(path) == Some(split));
    if !wanted.is_empty() || others.iter().all(|path| named_split(path).is_none()) {
        return Ok(if wanted.is_empty() { others } else { wanted });
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

/// How to name Parquet files that lie deeper in `folders` than directly inside, among `files`.
pub(super) fn parquet_within(folders: &[PathBuf], files: &[PathBuf]) -> Option<String> {
    let first = files.iter().filter(|path| is_parquet(path)).min()?;
    let folder = first.parent()?.display();
    let named = folders.first().map_or(String::new(), |it| format!(" of `{}`", it.display()));
    Some(format!("it holds Parquet files: write `{folder}/*.parquet` instead{named}"))
}

/// What to get instead of Python's version of CIFAR.
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
