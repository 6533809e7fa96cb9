//! Where samples come from: Parquet files, folders of images, binary files of images, or a generator.
//!
//! Every source gives its samples by row, in any order, decoded in parallel.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::pipeline::settings::{self, Data, Files, Medium, Split};
use crate::{Error, Result};

mod arrow_schema;
pub mod decode;
mod delta;
pub mod folder;
pub mod huggingface;
mod label_column;
mod locate;
mod parquet_guard;
mod parquet_part;
pub(crate) mod plain_file;
pub mod records;
mod sample;
pub mod sound;
pub mod textures;

use locate::{Located, Named, locate};

pub use sample::{BadSample, LabelSet, Length, Media, NO_FRAME, Sample, Waveform};

/// What is left of a sample. Called where it is decoded, so that there are no more whole images at a
/// time than threads, however small the files of large images are.
pub type Keep<'a> = dyn Fn(Sample) -> Result<Sample> + Sync + 'a;

/// A split of a data set.
pub trait Source: Send + Sync {
    /// The number of samples, at least 1.
    fn rows(&self) -> usize;

    /// The names of the classes, by label; `None` when the data does not name them.
    fn label_names(&self) -> Option<&[String]>;

    /// The labels that samples have besides the first, in the order of [`Sample::further`].
    fn further_labels(&self) -> &[LabelSet] {
        &[]
    }

    /// The names of the classes of [`Sample::frames`]; `None` when the data does not name them.
    fn frame_names(&self) -> Option<&[String]> {
        None
    }

    /// What tells this content from another, for the key of `ingest`. It holds no absolute path:
    /// the same files elsewhere have the same identity.
    fn identity(&self) -> Value;

    /// The samples of `rows`, in this order, as `keep` leaves them.
    ///
    /// # Errors
    /// When a file cannot be read, a label is missing, or a row lies beyond the last; and what
    /// `keep` says. An image that does not decode is a [`BadSample`] instead, and the caller's to
    /// judge.
    fn read_through(&self, rows: &[usize], keep: &Keep) -> Result<Vec<Result<Sample, BadSample>>>;

    /// The samples of `rows` as they are.
    ///
    /// # Errors
    /// As [`Self::read_through`].
    fn read(&self, rows: &[usize]) -> Result<Vec<Result<Sample, BadSample>>> {
        self.read_through(rows, &Ok)
    }

    /// Height and width of the first image, from its header alone; `None` when the header is broken.
    ///
    /// # Errors
    /// When a file cannot be read.
    fn first_size(&self) -> Result<Option<(usize, usize)>>;

    /// How long the sounds of `rows` are, in this order; `None` where the header is broken. Headers
    /// alone say it where the format has it in its header.
    ///
    /// # Errors
    /// When a file cannot be read, a row lies beyond the last, or these are no sounds.
    fn lengths(&self, rows: &[usize]) -> Result<Vec<Option<Length>>> {
        let _ = rows;
        Err(Error::failed("the length of an image was asked for: only sounds have one"))
    }
}

/// Opens `split` of `data`; `seed` is the pipeline's, for generated data.
///
/// # Errors
/// When the files are not there, not what the settings say, or hold no sample.
pub fn open(data: &Data, split: Split, seed: u64) -> Result<Box<dyn Source>> {
    match &data.source {
        settings::Source::Textures(settings) => {
            Ok(Box::new(textures::Textures::new(settings, split, seed)?))
        }
        settings::Source::Files(files) => {
            let patterns = match split {
                Split::Train => &files.train,
                Split::Test => &files.test,
            };
            let located = locate(&Named {
                root: &files.root,
                patterns,
                key: &format!("data.{}", split.name()),
                roots: "`--set data.root=DIR`, else $GIMLET_DATA, else the pipeline file's folder",
            })?;
            open_located(files, located)
        }
    }
}

fn open_located(files: &Files, located: Located) -> Result<Box<dyn Source>> {
    Ok(match located {
        Located::Parquet(paths) => Box::new(huggingface::HuggingFace::open(files, paths)?),
        Located::Records(paths) => {
            Box::new(records::Records::open(&files.root, paths, files.label.is_some())?)
        }
        Located::Folders(paths) => {
            Box::new(folder::Folder::open(&files.root, paths, files.label.is_some())?)
        }
    })
}

/// Columns of Parquet files whose labels are read where there are some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    pub medium: Medium,
    /// That of the images or sounds.
    pub column: String,
    /// `None`: labels are not read, of folders neither.
    pub label: Option<String>,
}

impl Columns {
    /// Those of a pipeline's data; where it makes its own images, those that data sets mostly have.
    pub fn of(data: &Data) -> Self {
        match &data.source {
            settings::Source::Files(files) => Self {
                medium: files.medium,
                column: files.column.clone(),
                label: files.label.clone(),
            },
            settings::Source::Textures(_) => Self {
                medium: Medium::Image,
                column: "image".to_string(),
                label: Some("label".to_string()),
            },
        }
    }
}

/// Opens images or sounds of no pipeline: a Parquet file, a glob of them, or a folder. They have
/// labels if the files have the column, or each of them lies in a folder inside `place`.
///
/// # Errors
/// As [`open`].
pub fn open_place(place: &str, columns: Columns) -> Result<Box<dyn Source>> {
    let patterns = vec![place.to_string()];
    // Samples are named from where the command runs, or from the folder that holds them.
    let (root, located) = match Path::new(place) {
        folder if folder.is_dir() => {
            (folder.to_path_buf(), Located::Folders(vec![folder.to_path_buf()]))
        }
        _ => {
            let (root, roots) = (PathBuf::from("."), "the folder that the command runs in");
            let named = Named { root: &root, patterns: &patterns, key: "--input", roots };
            let located = locate(&named)?;
            (root, located)
        }
    };
    let mut labelled = columns.label.is_some();
    match (&columns.label, &located) {
        (Some(column), Located::Parquet(paths)) => {
            labelled = huggingface::have_column(&root, paths, column)?;
        }
        (_, Located::Records(paths)) => labelled &= paths.iter().all(|it| records::has_labels(it)),
        (_, Located::Folders(folders)) => {
            for folder in folders {
                labelled &= !folder::has_images(folder)?;
            }
        }
        (None, _) => {}
    }
    let Columns { medium, column, label } = columns;
    let label = label.filter(|_| labelled);
    let files = Files { test: patterns, root, label, ..Files::of(medium, column) };
    open_located(&files, located)
}

/// Checks that a label means the same class in both splits.
///
/// # Errors
/// When the splits name different classes: their labels could not be compared.
pub fn check_labels_agree(train: &dyn Source, test: &dyn Source) -> Result<()> {
    let (train, test) = (train.label_names(), test.label_names());
    if train == test {
        return Ok(());
    }
    let show = |names: Option<&[String]>| match names {
        Some(names) => format!("{} classes ({})", names.len(), shorten(names)),
        None => "unnamed classes".to_owned(),
    };
    Err(Error::failed(format!(
        "the splits have different classes: train has {}, test has {}",
        show(train),
        show(test)
    ))
    .hint("give both splits the same label names (for folders: the same class folders)"))
}

/// The first few of `names`, for a message.
fn shorten(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(", …");
    }
    text
}

/// The error of asking for a row that is not there.
fn no_such_row(row: usize, rows: usize) -> Error {
    Error::failed(format!("row {row} was asked for, but the source has {rows} rows"))
}
