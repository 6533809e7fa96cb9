//! What is seen of a data set before a pipeline is chosen for it.

use std::path::Path;

use serde::Serialize;

use super::images::ImagesSeen;
use super::place::{DataKind, Place};
use super::sound::SoundsSeen;
use crate::pipeline::{Data, Files, Medium, OnBadSample, PerSplit, Split};
use crate::source::look::{self, FoundColumn, LabelFound};
use crate::source::{self, Source};
use crate::{Error, Kind, Result};

/// Columns with these names hold no classes, even if few values occur.
const NO_CLASSES: &[&str] = &[
    "index",
    "idx",
    "id",
    "path",
    "file",
    "file_name",
    "filename",
    "text",
    "sentence",
    "transcript",
    "length",
    "duration",
    "height",
    "width",
];

/// The most columns of labels that are probed.
const MOST_LABELS: usize = 3;

/// A column has classes if its values come this often on average.
const ROWS_PER_CLASS: u64 = 4;

/// One of so many samples is held out where there is no test split: of few samples more, so that a probe is judged by
/// enough of them.
const HELD_OUT: usize = 10;
const HELD_OUT_OF_FEW: usize = 5;
const FEW: usize = 2_000;

/// What is seen of a data set.
pub struct Seen {
    /// Where its splits lie.
    pub place: Place,
    /// The files that a pipeline reads, and how.
    pub files: Files,
    /// What a pipeline does about a sample that cannot be read.
    pub on_bad_sample: OnBadSample,
    /// Samples of each split.
    pub rows: PerSplit<u64>,
    /// The labels that probes can read, the first one first.
    pub labels: Vec<LabelFound>,
    /// The samples.
    pub samples: SamplesSeen,
    /// What is to be told.
    pub notes: Vec<String>,
}

/// What is seen of the samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SamplesSeen {
    /// They are images.
    Images(ImagesSeen),
    /// They are recordings.
    Sounds(SoundsSeen),
}

impl SamplesSeen {
    /// Samples that could not be read, of those that were looked at.
    pub fn broken(&self) -> [usize; 2] {
        match self {
            SamplesSeen::Images(seen) => [seen.broken, seen.looked_at],
            SamplesSeen::Sounds(seen) => [seen.broken, seen.looked_at],
        }
    }
}

impl Seen {
    /// Looks at the data in `place`.
    ///
    /// # Errors
    /// When they cannot be opened, no sample can be read, or there are too few to train on.
    pub fn of(place: Place) -> Result<Self> {
        let mut notes = place.notes.clone();
        let (medium, column, candidates) = match &place.kind {
            DataKind::Records => (Medium::Image, None, record_labels()),
            DataKind::Parquet(first) => {
                let columns = look::columns(first)?;
                let (medium, column) = media_column(&place, &columns, first)?;
                let candidates = label_columns(&columns, &column);
                (medium, Some(column), candidates)
            }
            DataKind::Files(found) => {
                if found.of_other_medium > 0 {
                    notes.push(format!(
                        "{} files of the other kind lie among the {}s and are not read",
                        found.of_other_medium,
                        found.medium.noun()
                    ));
                }
                (found.medium, None, vec!["label".to_owned()])
            }
        };
        let mut files = files_of(&place, medium, column.as_deref());
        if place.test.is_none() {
            let data = Data::from(files.clone());
            let all = source::open(&data, Split::Train, 0)?.rows();
            let all = all + source::open(&data, Split::Test, 0)?.rows();
            files.hold_out = Some(if all < FEW { HELD_OUT_OF_FEW } else { HELD_OUT });
        }
        let labels = choose_labels(&place, &mut files, candidates, &mut notes)?;
        let splits = source::open_splits(&Data::from(files.clone()), 0)?;
        notes.extend(splits.warnings);
        let train: &dyn Source = splits.sources.train.as_ref();
        let samples = match medium {
            Medium::Image => SamplesSeen::Images(ImagesSeen::of(train)?),
            Medium::Sound => SamplesSeen::Sounds(SoundsSeen::of(train)?),
        };
        let rows = splits.sources.as_ref().map(|it| it.rows() as u64);
        if rows.train < 4 {
            let message =
                format!("the training split has {} samples: too few to train on", rows.train);
            return Err(Error::failed(message).hint(
                "a module needs a batch of two samples or more for each step; name more data",
            ));
        }
        let [broken, looked_at] = samples.broken();
        let on_bad_sample = if broken > 0 { OnBadSample::Skip } else { OnBadSample::Fail };
        if broken > 0 {
            notes.push(format!(
                "{broken} of {looked_at} samples that were looked at cannot be read: `on_bad_sample = \"skip\"` \
                 leaves them out"
            ));
        }
        Ok(Self { place, files, on_bad_sample, rows, labels, samples, notes })
    }
}

/// The settings of the data in `place`, without labels. Where there is no test split, samples are held out.
fn files_of(place: &Place, medium: Medium, column: Option<&str>) -> Files {
    Files {
        train: place.train.clone(),
        test: place.test.clone().unwrap_or_default(),
        hold_out: place.test.is_none().then_some(HELD_OUT),
        root: place.root.clone(),
        ..Files::of(medium, column.unwrap_or(medium.key()))
    }
}

/// The labels of known binary files, by the names that sources give them.
fn record_labels() -> Vec<String> {
    ["label", "fine_label", "coarse_label"].map(str::to_owned).to_vec()
}

/// The column of the images or recordings, and which of both it holds.
fn media_column(place: &Place, columns: &[FoundColumn], first: &Path) -> Result<(Medium, String)> {
    let known = |name: &str| {
        let name = name.to_lowercase();
        let all = [
            "image", "audio", "img", "sound", "speech", "jpg", "png", "wav", "flac", "mp3", "bytes",
        ];
        all.iter().position(|it| name.contains(it)).unwrap_or(usize::MAX)
    };
    let mut media: Vec<&FoundColumn> = columns.iter().filter(|it| it.is_media).collect();
    media.sort_by_key(|it| (it.is_paths, known(&it.name)));
    for column in media {
        for medium in [Medium::Image, Medium::Sound] {
            let data = Data::from(files_of(place, medium, Some(&column.name)));
            let Ok(source) = source::open(&data, Split::Train, 0) else { continue };
            let is_it = match medium {
                Medium::Image => matches!(source.first_size(), Ok(Some(_))),
                Medium::Sound => {
                    let rows = super::evenly(source.rows(), 8);
                    source.lengths(&rows).is_ok_and(|it| it.iter().any(Option::is_some))
                }
            };
            if is_it {
                return Ok((medium, column.name.clone()));
            }
        }
    }
    let names: Vec<String> = columns.iter().map(|it| format!("`{}`", it.name)).collect();
    let (path, names) = (first.display(), names.join(", "));
    Err(Error::new(
        Kind::Failed,
        format!("no column of `{path}` holds images or recordings: {names}"),
    )
    .hint("a column holds the bytes of image or sound files, or `struct<bytes, path>` of them"))
}

/// Columns that may have labels, the likeliest first.
fn label_columns(columns: &[FoundColumn], media: &str) -> Vec<String> {
    let is_class = |it: &&FoundColumn| {
        let name = it.name.to_lowercase();
        let is_none = NO_CLASSES.contains(&&*name) || name.ends_with("_id") && !it.is_named;
        it.is_label && it.name != media && (it.is_named || !is_none)
    };
    let mut found: Vec<&FoundColumn> = columns.iter().filter(is_class).collect();
    let rank = |it: &FoundColumn| match it.name.to_lowercase().as_str() {
        "label" => 0,
        name if name.contains("label") || name.contains("class") || name == "target" => 1,
        _ if it.is_named => 2,
        _ => 3,
    };
    found.sort_by_key(|it| rank(it));
    found.into_iter().map(|it| it.name.clone()).collect()
}

/// Finds which of the candidates hold classes, and sets them in `files`.
fn choose_labels(
    place: &Place,
    files: &mut Files,
    candidates: Vec<String>,
    notes: &mut Vec<String>,
) -> Result<Vec<LabelFound>> {
    if let DataKind::Files(found) = &place.kind
        && (found.loose > 0 || found.folders.len() < 2)
    {
        let why = match found.folders.len() {
            0 | 1 => format!(
                "they lie in {} folder",
                if found.folders.is_empty() { "no" } else { "one" }
            ),
            _ => format!("{} of them lie in no folder of a class", found.loose),
        };
        let (beside, noun) = (found.tables.join(", "), found.medium.noun());
        let table = match found.tables.is_empty() {
            true => String::new(),
            false => format!(" (there is {beside})"),
        };
        notes.push(format!(
            "no labels: {why}; `data.labels` reads them from a CSV file{table}, `data.names` from the names of \
             {noun}s. Without labels there are no probes, only losses"
        ));
        return Ok(Vec::new());
    }
    let mut chosen: Vec<LabelFound> = Vec::new();
    let mut left_out = Vec::new();
    let rows = source::open(&Data::from(files.clone()), Split::Train, 0)?.rows() as u64;
    for candidate in candidates {
        if chosen.len() == MOST_LABELS {
            break;
        }
        let of_one = Files { label: Some(candidate.clone()), ..files.clone() };
        let found = match look::labels(&Data::from(of_one)) {
            Ok((found, _)) => found.into_iter().next(),
            Err(why) => {
                if !matches!(place.kind, DataKind::Records) {
                    left_out.push(format!("`{candidate}` ({why})"));
                }
                continue;
            }
        };
        let Some(found) = found else { continue };
        let classes = found.classes.len() as u64;
        if classes < 2 {
            left_out.push(format!("`{candidate}` (it has {classes} classes)"));
        } else if classes * ROWS_PER_CLASS > rows {
            left_out.push(format!("`{candidate}` ({classes} values in {rows} rows)"));
        } else {
            chosen.push(found);
        }
    }
    let mut names = chosen.iter().map(|it| it.name.clone());
    files.label = names.next();
    files.further = names.collect();
    if !left_out.is_empty() {
        notes.push(format!("not read as labels: {}", left_out.join(", ")));
    }
    if chosen.is_empty() {
        notes.push("no labels: there are no probes, only losses".to_owned());
    }
    Ok(chosen)
}
