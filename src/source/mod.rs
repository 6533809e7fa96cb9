//! Sources of samples: Parquet files, folders of images or sounds, binary files of images, activations, or a generator.
//!
//! Every source gives its samples by row, in any order, decoded in parallel.

use std::path::Path;
use std::sync::Arc;

use crate::pipeline::settings::{
    self, ActivationFiles, Data, Files, Medium, OnBadSample, Pipeline, RowLabels, Split,
};
use crate::{Error, Kind, Result};

pub mod activations;
mod aligned;
mod alignments;
mod arrow_schema;
mod class_order;
mod classes;
mod clutter;
mod csv_labels;
pub mod decode;
mod decode_room;
mod delta;
mod element;
mod encoding;
mod file_kind;
mod file_labels;
mod file_list;
mod first_bytes;
pub mod folder;
mod folder_holds;
mod frame_column;
mod held_out;
pub mod huggingface;
mod image_files;
mod jpeg;
pub mod known_files;
mod label_column;
mod label_value;
mod label_warnings;
mod labelling;
mod locate;
pub mod look;
mod media_column;
mod named_file;
mod npy;
mod npz;
mod orientation;
mod parquet_guard;
mod parquet_part;
mod passed_over;
pub(crate) mod plain_file;
mod record_bytes;
mod record_labels;
mod record_names;
pub mod records;
mod row_array;
mod row_labels;
mod safetensors_file;
pub mod sound;
mod sound_files;
mod splits;
mod stored;
mod table;
mod tally;
mod tensor_column;
mod text_file;
pub mod textures;
mod transcripts;
mod unicode_form;
mod whole;

use activations::{Activations, Reading};
use aligned::Aligned;
use alignments::Alignments;
use classes::Numbering;
use file_kind::Opening;
use held_out::HeldOut;
use labelling::Labels;
use locate::{Located, Named, locate};

pub use crate::sample::*;
pub use aligned::{Counted, Unfit};
pub use splits::{Labelled, Splits, open_splits};

/// A source whose classes may still get other numbers, because the other split has classes too.
trait Classified: Source {
    fn labels(&mut self) -> &mut Labels;

    /// How many rows have the first label; `None` if that is not known.
    fn labelled(&mut self) -> Option<Labelled> {
        let rows = self.rows();
        self.labels().counts(rows)
    }

    /// Which alignments fit which recordings; `None` if there are no alignments.
    ///
    /// # Errors
    /// When the paths of recordings cannot be read.
    fn aligned(&self) -> Result<Option<Aligned<'_>>> {
        Ok(None)
    }
}

/// For messages: where the folder that relative paths start from is set.
const ROOTS: &str = "`--set data.root=DIR`, else $GIMLET_DATA, else the pipeline file's folder";

/// Opens one `split` of `data`; `seed` is the pipeline's, for generated data. Its classes come from this split
/// alone: [`open_splits`] gives the classes of both splits.
///
/// # Errors
/// When the files do not exist, are not what the settings say, or hold no sample.
pub fn open(data: &Data, split: Split, seed: u64) -> Result<Arc<dyn Source>> {
    match &data.source {
        settings::Source::Textures(settings) => {
            Ok(Arc::new(textures::Textures::new(settings, split, seed)?))
        }
        settings::Source::Files(files) => {
            let source: Box<dyn Source> = open_split(data, files, split)?;
            Ok(source.into())
        }
        settings::Source::Activations(files) => {
            Ok(Arc::new(Activations::open(files, split, Reading::InPlace)?))
        }
        settings::Source::Own(own) => Ok(own.0[split].clone()),
    }
}

fn open_split(data: &Data, files: &Files, split: Split) -> Result<Box<dyn Classified>> {
    let (patterns, read) = match (split, files.hold_out) {
        (Split::Test, None) => (&files.test, Split::Test),
        _ => (&files.train, Split::Train),
    };
    let key = &format!("data.{}", read.name());
    let named = Named { root: &files.root, patterns, key, roots: ROOTS };
    let located = locate(&named, files.medium)?;
    let whole = open_located(files, data.on_bad_sample, located, Numbering::Classes)?;
    match files.hold_out {
        Some(every) => Ok(Box::new(HeldOut::new(whole, every, split)?)),
        None => Ok(whole),
    }
}

fn open_located(
    files: &Files,
    on_bad_sample: OnBadSample,
    located: Located,
    numbering: Numbering,
) -> Result<Box<dyn Classified>> {
    let mut alignments = None;
    if let Some(patterns) = &files.alignments {
        let named = Named { root: &files.root, patterns, key: "data.alignments", roots: ROOTS };
        alignments = Some(Alignments::open(locate::paths(&named).map_err(missing)?)?);
    }
    let Located { kind, places, passed_over } = located;
    let given = [("labels", &files.labels), ("names", &files.names), ("frames", &files.frames)];
    let (refused, why) = kind.refused;
    if let Some((key, _)) = given.iter().find(|(key, it)| it.is_some() && refused.contains(key)) {
        return Err(Error::failed(format!("`data.{key}` is not for this data: {why}"))
            .hint(format!("leave out `data.{key}`, or change it")));
    }
    let settings = files;
    (kind.open)(places, Opening { settings, on_bad_sample, alignments, numbering, passed_over })
}

/// Turns "not ready" into a failure, for something that no step makes.
fn missing(error: Error) -> Error {
    match error.kind() {
        Kind::NotReady => {
            Error::failed(error.to_string()).hint(error.hint_text().unwrap_or_default().to_owned())
        }
        _ => error,
    }
}

/// Columns of Parquet files to read, and whether labels are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The medium of the samples.
    pub medium: Medium,
    /// The column of the images or sounds.
    pub column: String,
    /// The label column; with `None` no labels are read, not even from folders.
    pub label: Option<String>,
    /// Whether `label` was asked for by name: then files without it are an error.
    pub is_named: bool,
}

impl Columns {
    /// The columns of a pipeline's data, which hold samples of `medium`; if these are not files, the usual columns of
    /// data sets.
    pub fn of(pipeline: &Pipeline, medium: Medium) -> Self {
        let (column, label, medium) = match &pipeline.data.source {
            settings::Source::Files(files) => {
                (files.column.as_str(), files.label.clone(), files.medium)
            }
            settings::Source::Textures(_)
            | settings::Source::Activations(_)
            | settings::Source::Own(_) => (medium.key(), Some("label".to_string()), medium),
        };
        Self { medium, column: column.to_string(), label, is_named: false }
    }
}

/// Opens images or sounds that no pipeline names: a Parquet file, a glob of Parquet files, or a folder. They have
/// labels if the files have the column, or if each sample lies in a folder inside `place`. Labels that cannot be read
/// are left out, since nothing is trained on them; the reason comes with the source, for a warning.
///
/// # Errors
/// Fails like [`open`], except for labels that were not asked for by name.
pub fn open_place(place: &str, columns: Columns) -> Result<(Arc<dyn Source>, Option<String>)> {
    let patterns = vec![place.to_string()];
    // Names of samples are relative to the folder that the command runs in, or to the folder that holds them.
    let (root, located) = match Path::new(place) {
        folder if folder.is_dir() => {
            let root = folder.to_path_buf();
            (root.clone(), locate::in_folders(vec![root], columns.medium, None)?)
        }
        _ => {
            let (root, roots) = (Path::new("."), "the folder that the command runs in");
            let named = Named { root, patterns: &patterns, key: "--input", roots };
            (root.to_path_buf(), locate(&named, columns.medium).map_err(missing)?)
        }
    };
    let labelled = match &columns.label {
        Some(_) => (located.kind.have_labels)(&located.places, &columns)?,
        None => false,
    };
    let Columns { medium, column, label, is_named } = columns;
    let label = label.filter(|_| labelled);
    let with = |label| Files { test: patterns, root, label, ..Files::of(medium, column) };
    let mut files = with(label);
    let open = |files: &Files| -> Result<Arc<dyn Source>> {
        let source: Box<dyn Source> =
            open_located(files, OnBadSample::Fail, located.clone(), Numbering::Kept)?;
        Ok(source.into())
    };
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

/// Opens activations that no pipeline names: a dataset, a file or a glob of files. `column` and `label` name what is read
/// of them; without, as a pipeline without these keys does.
///
/// # Errors
/// Fails like [`open`].
pub fn open_activations(
    place: &str,
    column: Option<String>,
    label: Option<&str>,
) -> Result<Arc<dyn Source>> {
    let files = ActivationFiles {
        train: vec![place.to_owned()],
        root: ".".into(),
        column,
        labels: label.map_or(RowLabels::IfThere, RowLabels::named),
        ..ActivationFiles::default()
    };
    Ok(Arc::new(Activations::open(&files, Split::Train, Reading::Whole).map_err(missing)?))
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

/// The error of asking for a row that does not exist.
fn no_such_row(row: usize, rows: usize) -> Error {
    Error::failed(format!("row {row} was asked for, but the source has {rows} rows"))
}
