//! Where samples come from: Parquet files, folders of images or sounds, binary files of images, or a
//! generator.
//!
//! Every source gives its samples by row, in any order, decoded in parallel.

use std::path::{Path, PathBuf};

use crate::pipeline::settings::{self, Data, Files, Medium, OnBadSample, Split};
use crate::{Error, Kind, Result};

mod aligned;
mod alignments;
mod arrow_schema;
mod class_order;
mod classes;
mod clutter;
pub mod content;
mod csv_labels;
pub mod decode;
mod decode_room;
mod delta;
mod file_labels;
mod file_list;
mod first_bytes;
pub mod folder;
mod folder_holds;
mod frame_column;
pub mod huggingface;
mod jpeg;
pub mod known_files;
mod label_column;
mod label_value;
mod label_warnings;
mod labelling;
mod locate;
mod media_column;
mod media_file;
mod named_file;
mod orientation;
mod parquet_guard;
mod parquet_part;
mod passed_over;
pub(crate) mod plain_file;
mod record_bytes;
mod record_labels;
mod record_names;
pub mod records;
mod sample;
pub mod sound;
mod splits;
mod tally;
mod text_file;
pub mod textures;
mod transcripts;
mod unicode_form;
mod whole;

use alignments::Alignments;
use classes::Numbering;
use folder::Folder;
use huggingface::HuggingFace;
use labelling::Labels;
use locate::{Located, Named, locate};
use records::Records;

pub use aligned::{Aligned, Counted, Unfit, check_alignments};
pub use content::{Content, PassedOver};
pub use sample::{BadSample, LabelSet, Length, Media, NO_FRAME, Remarks, Sample, Waveform};
pub use splits::{Labelled, Splits, open_splits};

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

    /// What the rows are made of: every file whose bytes can change one.
    fn content(&self) -> Content;

    /// Files that lie among those that are read, and are passed over.
    fn passed_over(&self) -> &[PassedOver] {
        &[]
    }

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
        Err(no_length())
    }

    /// Which alignments fit which recordings; `None` where there are no alignments.
    ///
    /// # Errors
    /// When the paths of recordings cannot be read.
    fn aligned(&self) -> Result<Option<Aligned<'_>>> {
        Ok(None)
    }
}

/// A source whose classes may still get other numbers, as the other split has classes too.
trait Classified: Source {
    fn labels(&mut self) -> &mut Labels;
}

/// Where the folder that relative paths start from is set, for messages.
const ROOTS: &str = "`--set data.root=DIR`, else $GIMLET_DATA, else the pipeline file's folder";

/// Opens `split` of `data` by itself; `seed` is the pipeline's, for generated data. Its classes are its
/// own: those of both splits come with [`open_splits`].
///
/// # Errors
/// When the files are not there, not what the settings say, or hold no sample.
pub fn open(data: &Data, split: Split, seed: u64) -> Result<Box<dyn Source>> {
    match &data.source {
        settings::Source::Textures(settings) => {
            Ok(Box::new(textures::Textures::new(settings, split, seed)?))
        }
        settings::Source::Files(files) => Ok(open_split(data, files, split)?),
    }
}

fn open_split(data: &Data, files: &Files, split: Split) -> Result<Box<dyn Classified>> {
    let patterns = match split {
        Split::Train => &files.train,
        Split::Test => &files.test,
    };
    let key = &format!("data.{}", split.name());
    let named = Named { root: &files.root, patterns, key, roots: ROOTS };
    let located = locate(&named, files.medium)?;
    open_located(files, data.on_bad_sample, located, Numbering::Classes)
}

fn open_located(
    files: &Files,
    on_bad_sample: OnBadSample,
    (located, passed_over): (Located, Vec<PassedOver>),
    numbering: Numbering,
) -> Result<Box<dyn Classified>> {
    let alignments = match &files.alignments {
        None => None,
        Some(patterns) => {
            let (key, root) = ("data.alignments", files.root.as_path());
            let paths =
                locate::paths(&Named { root, patterns, key, roots: ROOTS }).map_err(missing)?;
            Some(Alignments::open(paths)?)
        }
    };
    match &located {
        Located::Parquet(_) => refuse(
            "these are Parquet files, whose labels lie in columns",
            &[("labels", files.labels.is_some()), ("names", files.names.is_some())],
        )?,
        Located::Folders(_) | Located::Loose(_) => {
            refuse("these are files, which have no columns", &[("frames", files.frames.is_some())])?
        }
        Located::Records(_) => refuse(
            "these are binary files of images, which have labels of their own",
            &[("labels", files.labels.is_some()), ("names", files.names.is_some())],
        )?,
    }
    Ok(match located {
        Located::Parquet(paths) => {
            let parquet = HuggingFace::open(files, paths, alignments, numbering)?;
            Box::new(parquet.having_passed_over(passed_over))
        }
        Located::Records(paths) => Box::new(Records::open(files, paths, passed_over)?),
        Located::Folders(paths) => {
            Box::new(Folder::open(files, on_bad_sample, &paths, alignments)?)
        }
        Located::Loose(paths) => Box::new(Folder::of_files(files, paths, alignments)?),
    })
}

/// The error of something that is missing where nothing can stand for it, and no step makes it.
fn missing(error: Error) -> Error {
    match error.kind() {
        Kind::NotReady => {
            Error::failed(error.to_string()).hint(error.hint_text().unwrap_or_default().to_owned())
        }
        _ => error,
    }
}

/// Refuses keys of [data] that are given and say nothing of such data.
fn refuse(what: &str, keys: &[(&str, bool)]) -> Result<()> {
    let Some((key, _)) = keys.iter().find(|(_, given)| *given) else { return Ok(()) };
    Err(Error::failed(format!("`data.{key}` is not for this data: {what}"))
        .hint(format!("leave out `data.{key}`, or change it")))
}

/// Columns of Parquet files whose labels are read where there are some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    pub medium: Medium,
    /// That of the images or sounds.
    pub column: String,
    /// `None`: labels are not read, of folders neither.
    pub label: Option<String>,
    /// Whether that was asked for by name: then files without it are an error.
    pub is_named: bool,
}

impl Columns {
    /// Those of a pipeline's data; where it makes its own images, those that data sets mostly have.
    pub fn of(data: &Data) -> Self {
        match &data.source {
            settings::Source::Files(files) => Self {
                medium: files.medium,
                column: files.column.clone(),
                label: files.label.clone(),
                is_named: false,
            },
            settings::Source::Textures(_) => Self {
                medium: Medium::Image,
                column: "image".to_string(),
                label: Some("label".to_string()),
                is_named: false,
            },
        }
    }
}

/// Opens images or sounds of no pipeline: a Parquet file, a glob of them, or a folder. They have
/// labels if the files have the column, or each of them lies in a folder inside `place`. Nothing is trained on
/// them: what cannot be read as labels is left out, and why comes with the source, for a warning.
///
/// # Errors
/// As [`open`], but for labels that were not asked for by name.
pub fn open_place(place: &str, columns: Columns) -> Result<(Box<dyn Source>, Option<String>)> {
    let patterns = vec![place.to_string()];
    // Samples are named from where the command runs, or from the folder that holds them.
    let (root, located) = match Path::new(place) {
        folder if folder.is_dir() => {
            let (root, folders) = (folder.to_path_buf(), vec![folder.to_path_buf()]);
            (root, locate::in_folders(folders, columns.medium, None)?)
        }
        _ => {
            let (root, roots) = (PathBuf::from("."), "the folder that the command runs in");
            let named = Named { root: &root, patterns: &patterns, key: "--input", roots };
            let located = locate(&named, columns.medium).map_err(missing)?;
            (root, located)
        }
    };
    let mut labelled = columns.label.is_some();
    match (&columns.label, &located.0) {
        (Some(column), Located::Parquet(paths)) => {
            labelled = columns.is_named || huggingface::have_column(paths, column)?;
        }
        (_, Located::Records(paths)) => {
            labelled &= paths.iter().all(|it| records::has_labels(&it.path))
        }
        (_, Located::Folders(folders)) => {
            for folder in folders {
                labelled &= !file_list::has_files(folder, columns.medium)?;
            }
        }
        (_, Located::Loose(_)) => labelled = false,
        (None, _) => {}
    }
    let Columns { medium, column, label, is_named } = columns;
    let label = label.filter(|_| labelled);
    let with = |label| Files { test: patterns, root, label, ..Files::of(medium, column) };
    let mut files = with(label);
    let open =
        |files: &Files| open_located(files, OnBadSample::Fail, located.clone(), Numbering::Kept);
    match open(&files) {
        Ok(source) => Ok((source, None)),
        Err(error) if files.label.is_none() || is_named => Err(error),
        Err(with_labels) => {
            files.label = None;
            let source = open(&files)?;
            Ok((source, Some(format!("{with_labels}; the labels are left out"))))
        }
    }
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

/// The error of asking for the length of an image.
fn no_length() -> Error {
    Error::failed("the length of an image was asked for: only sounds have one")
}

/// The error of asking for a row that is not there.
fn no_such_row(row: usize, rows: usize) -> Error {
    Error::failed(format!("row {row} was asked for, but the source has {rows} rows"))
}
