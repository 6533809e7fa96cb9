//! Finds files that Parquet rows name instead of holding their content. Hugging Face writes images and sounds that were
//! not embedded so: `{bytes: null, path: "imgs/2.png"}`, or a column of paths.

use std::path::{Component, Path, PathBuf};

use super::Length;
use super::encoding::{self, Loaded};
use super::locate::{Place, relative_name};
use crate::folder::folder_of;
use crate::pipeline::settings::Medium;

/// Advice on how to provide a file that a Parquet file only names.
const EMBED: &str = "put it there, or embed the files in the Parquet file: with Hugging Face datasets, \
     `ds.with_format(\"arrow\").map(datasets.table.embed_table_storage, batched=True)` before `to_parquet`";

/// The most characters of a name in a message.
const SHOWN: usize = 200;

/// Where named files are looked for: beside the Parquet file, then in `data.root`. A name leads to no other place.
#[derive(Debug)]
pub(super) struct NamedFiles {
    pub root: PathBuf,
    pub medium: Medium,
}

impl NamedFiles {
    /// The file that a row of the Parquet file `parquet` names; its place is relative to the folder that has it.
    ///
    /// # Errors
    /// Why there is no such file, and what to do, for people.
    pub fn place(&self, parquet: &Path, name: &str) -> Result<Place, String> {
        let beside = folder_of(parquet);
        let wrong = |why: &str| {
            let mut shown: String = name.chars().take(SHOWN).collect();
            if shown.len() < name.len() {
                shown.push('…');
            }
            format!(
                "the bytes of the {} are null and only a path is there, `{shown}`, {why}; {EMBED}",
                self.medium.noun()
            )
        };
        if name.contains("://") {
            return Err(wrong("which is an address and not a file"));
        }
        let places = [&beside, &self.root];
        let inside = places.into_iter().filter_map(|folder| Some((folder, inside(folder, name)?)));
        let mut is_inside = false;
        for (folder, inside) in inside {
            is_inside = true;
            let path = folder.join(inside);
            if path.is_file() {
                let place = relative_name(folder, &path);
                return Ok(Place { path, place });
            }
        }
        Err(match is_inside {
            true => wrong(&format!(
                "and there is no such file in `{}`, beside the Parquet file, or in `data.root`",
                beside.display()
            )),
            false => wrong(
                "which leads out of the Parquet file's folder and of `data.root`: no file is read there",
            ),
        })
    }

    /// Loads the image or sound from the file that a row names; the inner error says why there is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load(&self, parquet: &Path, name: &str) -> crate::Result<Result<Loaded, String>> {
        let path = match self.place(parquet, name) {
            Ok(Place { path, .. }) => path,
            Err(why) => return Ok(Err(why)),
        };
        let loaded = (encoding::of(self.medium).read)(&path)?;
        Ok(loaded.map_err(|why| format!("`{}`: {why}", path.display())))
    }

    /// Height and width of the image that a row names.
    ///
    /// # Errors
    /// Why the size is not known, for people.
    pub fn size(&self, parquet: &Path, name: &str) -> Result<Option<(usize, usize)>, String> {
        let Place { path, .. } = self.place(parquet, name)?;
        let size = (encoding::of(self.medium).size_of_file)(&path);
        size.map_err(|error| format!("`{}`: {error}", path.display()))
    }

    /// The length of the sound that a row names; `None` if it is not known.
    pub fn length(&self, parquet: &Path, name: &str) -> Option<Length> {
        let Place { path, .. } = self.place(parquet, name).ok()?;
        (encoding::of(self.medium).length_of_file)(&path).ok()?
    }
}

/// A name relative to a folder; `None` if it leads out of the folder.
fn inside(folder: &Path, name: &str) -> Option<PathBuf> {
    let name = Path::new(name);
    let relative = match name.is_absolute() {
        true => name.strip_prefix(std::path::absolute(folder).ok()?).ok()?,
        false => name,
    };
    let is_plain = |part: Component| matches!(part, Component::Normal(_) | Component::CurDir);
    let is_inside = relative.components().all(is_plain) && relative.file_name().is_some();
    is_inside.then(|| relative.to_owned())
}
