//! Folders of images: `train/<class>/<file>.png`, or any nesting when there are no labels.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rayon::prelude::*;
use serde_json::{Value, json};

use super::locate::relative_name;
use super::{BadSample, Keep, Media, Sample, Source, decode, no_such_row, plain_file};
use crate::{Error, Result};

/// The extensions of images, in lower case.
const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];

/// Folders within each other.
const DEEPEST: usize = 16;

/// Images in folders, in the order of their names.
#[derive(Debug)]
pub struct Folder {
    images: Vec<Image>,
    names: Option<Vec<String>>,
    /// Of names, sizes and times of change.
    digest: String,
}

#[derive(Debug)]
struct Image {
    path: PathBuf,
    name: String,
    label: Option<i64>,
}

impl Folder {
    /// Lists the images under `folders`; with `labelled`, the folders directly inside are the
    /// classes, and their sorted names the label names.
    ///
    /// # Errors
    /// When a folder cannot be listed, there is no image, or (`labelled`) an image lies outside
    /// of every class folder.
    pub fn open(root: &Path, folders: Vec<PathBuf>, labelled: bool) -> Result<Self> {
        let mut names = Vec::new();
        let mut files = Vec::new();
        for folder in &folders {
            for (path, is_folder) in entries(folder)? {
                let class = labelled.then(|| relative_name(folder, &path));
                if is_folder {
                    names.extend(class.clone());
                    list(&path, 1, class.as_deref(), &mut HashSet::new(), &mut files)?;
                } else if is_image(&path) {
                    if labelled {
                        return Err(Error::failed(format!(
                            "`{}` lies in no class folder",
                            path.display()
                        ))
                        .hint(
                            "move it to `<class>/`, or set `data.label = false` if the images \
                             have no labels",
                        ));
                    }
                    files.push((path, None));
                }
            }
        }
        names.sort();
        names.dedup();
        if files.is_empty() {
            let folders: Vec<_> = folders.iter().map(|f| format!("`{}`", f.display())).collect();
            return Err(Error::failed(format!(
                "empty dataset: no image under {}",
                folders.join(", ")
            ))
            .hint(format!("images are files that end in .{}", EXTENSIONS.join(", ."))));
        }
        files.sort();
        Self::stamp(root, files, labelled.then_some(names))
    }

    /// Turns the listed files into images, and notes what identifies them.
    fn stamp(
        root: &Path,
        files: Vec<(PathBuf, Option<String>)>,
        names: Option<Vec<String>>,
    ) -> Result<Self> {
        let mut digest = blake3::Hasher::new();
        let mut images = Vec::with_capacity(files.len());
        for (path, class) in files {
            let metadata = fs::metadata(&path).map_err(|error| Error::io("read", &path, error))?;
            let name = relative_name(root, &path);
            // Nanoseconds since 1970; where the file system keeps no time, size and name remain.
            let changed = metadata
                .modified()
                .ok()
                .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
                .map_or(0, |time| time.as_nanos());
            digest.update(&(name.len() as u64).to_le_bytes());
            digest.update(name.as_bytes());
            digest.update(&metadata.len().to_le_bytes());
            digest.update(&changed.to_le_bytes());
            let label = match (&class, &names) {
                (Some(class), Some(names)) => names.binary_search(class).ok().map(|i| i as i64),
                _ => None,
            };
            images.push(Image { path, name, label });
        }
        Ok(Self { images, names, digest: digest.finalize().to_hex().to_string() })
    }
}

impl Source for Folder {
    fn rows(&self) -> usize {
        self.images.len()
    }

    fn label_names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    fn identity(&self) -> Value {
        json!({
            "kind": "folder",
            "images": self.images.len(),
            "label_names": self.names,
            "files": self.digest,
        })
    }

    fn first_size(&self) -> Result<Option<(usize, usize)>> {
        let Some(first) = self.images.first() else { return Ok(None) };
        // All of it, within bounds: decoders of JPEG do the same, without.
        let bytes = read_file(&first.path)
            .map_err(|error| Error::io("read the image", &first.path, error))?;
        Ok(decode::size(Cursor::new(bytes)))
    }

    fn read_through(&self, rows: &[usize], keep: &Keep) -> Result<Vec<Result<Sample, BadSample>>> {
        rows.par_iter()
            .map(|&row| {
                let image = self.images.get(row).ok_or_else(|| no_such_row(row, self.rows()))?;
                let bytes = read_file(&image.path)
                    .map_err(|error| Error::io("read the image", &image.path, error))?;
                match decode::decode(&bytes) {
                    Ok(decoded) => keep(Sample {
                        id: row as i64,
                        source: image.name.clone(),
                        label: image.label,
                        further: Vec::new(),
                        frames: None,
                        text: None,
                        media: Media::Image(decoded),
                    })
                    .map(Ok),
                    Err(reason) => Ok(Err(BadSample {
                        id: row as i64,
                        source: String::new(),
                        file: image.path.clone(),
                        row: None,
                        reason,
                    })),
                }
            })
            .collect()
    }
}

/// The bytes of a file that ends, and not too late.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    plain_file::open(path)?.take(decode::MAX_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        ..=decode::MAX_BYTES => Ok(bytes),
        _ => Err(io::Error::other(format!("it has more than {} bytes", decode::MAX_BYTES))),
    }
}

/// Adds every image under `folder`, at any depth within reason. Links may lead round in circles, or
/// each folder to the next by several, so that there are more paths than a disk has bytes: none is
/// `seen` twice.
fn list(
    folder: &Path,
    depth: usize,
    class: Option<&str>,
    seen: &mut HashSet<PathBuf>,
    files: &mut Vec<(PathBuf, Option<String>)>,
) -> Result<()> {
    if depth > DEEPEST {
        let message = format!("`{}` lies more than {DEEPEST} folders deep", folder.display());
        return Err(Error::failed(message));
    }
    let real =
        folder.canonicalize().map_err(|error| Error::io("list the folder", folder, error))?;
    if !seen.insert(real) {
        let message = format!("`{}` was listed before, under another name", folder.display());
        return Err(Error::failed(message).hint("links lead to it: remove one of them"));
    }
    for (path, is_folder) in entries(folder)? {
        if is_folder {
            list(&path, depth + 1, class, seen, files)?;
        } else if is_image(&path) {
            files.push((path, class.map(str::to_owned)));
        }
    }
    Ok(())
}

/// What lies in `folder`, and whether each is a folder. Names that start with a dot are not data.
fn entries(folder: &Path) -> Result<Vec<(PathBuf, bool)>> {
    let failed = |error| Error::io("list the folder", folder, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        let is_folder = path.is_dir();
        found.push((path, is_folder));
    }
    Ok(found)
}

/// Whether images lie directly in `folder`.
///
/// # Errors
/// When it cannot be listed.
pub(super) fn has_images(folder: &Path) -> Result<bool> {
    Ok(entries(folder)?.iter().any(|(path, is_folder)| !is_folder && is_image(path)))
}

fn is_image(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
    })
}
