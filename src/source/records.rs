//! Reads files of uncompressed images of one size, one after another: the binary versions of CIFAR-10, CIFAR-100
//! and STL-10, and IDX files like those of MNIST.
//!
//! | files | a record | labels |
//! |---|---|---|
//! | `*images-idx3-ubyte`, also with a dot, also in gzip | rows x columns gray values, after a header of 16 bytes | `*labels-idx1-ubyte`, after 8 bytes |
//! | `*_X.bin` (STL-10) | 3 channels of 96x96, each column by column | `*_y.bin`, from 1; none for unlabelled images |
//! | any other `*.bin` (CIFAR-10) | a label, 3 channels of 32x32, each row by row | in the record |
//! | the same with 3074 bytes per record (CIFAR-100) | a coarse and a fine label, 3 channels | in the record |
//!
//! The names of classes are read from `class_names.txt` (STL-10), `batches.meta.txt` (CIFAR-10), or
//! `fine_label_names.txt` and `coarse_label_names.txt` (CIFAR-100) beside them, if they are there.

use std::io;
use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, RgbImage};
use rayon::prelude::*;
use serde_json::json;

use super::class_order::Order;
use super::classes::{NoClass, Numbering};
use super::content::{ContentFile, PassedOver, Role};
use super::decode::{MAX_PIXELS, MAX_SIDE};
use super::file_kind::{FileKind, Opening};
use super::first_bytes::{self, ENOUGH};
use super::labelling::{Labelling, Labels};
use super::locate::Place;
use super::record_bytes::{Bytes, MAX_UNPACKED, unpacked};
use super::record_names::{CIFAR10_NAMES, COARSE_NAMES, FINE_NAMES, Kind, STL_NAMES, name_of};
use super::tally::{self, Names, Tally};
use super::{
    BadSample, Classified, Content, Keep, LabelSet, Media, Remarks, Sample, Source, folder_holds,
    no_such_row, record_labels, record_names,
};
use crate::pipeline::settings::{Files, Medium};
use crate::{Error, Result};

const IDX_HEADER: u64 = 16;

/// The two labels of CIFAR-100 as the settings may name them, in the order that they have in a record.
const COARSE: &str = "coarse_label";
const FINE: &str = "fine_label";

/// How a record becomes an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Idx { height: usize, width: usize },
    Stl,
    Cifar10,
    Cifar100,
}

impl Layout {
    /// Bytes of a record, and of the part before its pixels.
    fn record(self) -> (usize, usize) {
        match self {
            Layout::Idx { height, width } => (height * width, 0),
            Layout::Stl => (3 * 96 * 96, 0),
            Layout::Cifar10 => (1 + 3 * 32 * 32, 1),
            Layout::Cifar100 => (2 + 3 * 32 * 32, 2),
        }
    }

    /// Height and width of an image in pixels.
    fn size(self) -> (usize, usize) {
        match self {
            Layout::Idx { height, width } => (height, width),
            Layout::Stl => (96, 96),
            Layout::Cifar10 | Layout::Cifar100 => (32, 32),
        }
    }

    fn image(self, pixels: &[u8]) -> Option<DynamicImage> {
        let (height, width) = self.size();
        let (w, h) = (width as u32, height as u32);
        if let Layout::Idx { .. } = self {
            return GrayImage::from_raw(w, h, pixels.to_vec()).map(Into::into);
        }
        let plane = height * width;
        let mut values = Vec::with_capacity(3 * plane);
        for place in 0..plane {
            let (row, column) = (place / width, place % width);
            let at = if self == Layout::Stl { column * height + row } else { place };
            values.extend((0..3).map(|channel| pixels[channel * plane + at]));
        }
        RgbImage::from_raw(w, h, values).map(Into::into)
    }

    /// The labels that the settings name: for each its name, its byte in a record, and the file with the names of its
    /// classes.
    fn labels(self, files: &Files) -> Result<Vec<(String, usize, Option<&'static str>)>> {
        let place = |column: &String| match (self, column.as_str()) {
            (Layout::Idx { .. }, _) => Ok((column.clone(), 0, None)),
            (Layout::Stl, _) => Ok((column.clone(), 0, Some(STL_NAMES))),
            (Layout::Cifar10, _) => Ok((column.clone(), 0, Some(CIFAR10_NAMES))),
            (Layout::Cifar100, COARSE) => Ok((column.clone(), 0, Some(COARSE_NAMES))),
            (Layout::Cifar100, FINE | "label") => Ok((column.clone(), 1, Some(FINE_NAMES))),
            (Layout::Cifar100, _) => {
                Err(Error::failed(format!("CIFAR-100 has no label `{column}`"))
                    .hint(format!("set `data.label` to `{FINE}`, to `{COARSE}`, or to both")))
            }
        };
        if self != Layout::Cifar100 && !files.further.is_empty() {
            let message = "`data.label` names several labels: these are binary files of images, which \
                           have one";
            return Err(Error::failed(message).hint("name one in `data.label`"));
        }
        files.label_columns().map(place).collect()
    }
}

#[derive(Debug)]
struct Part {
    path: PathBuf,
    name: String,
    bytes: Bytes,
    layout: Layout,
    /// Bytes before the first record.
    header: u64,
    rows: usize,
    /// Labels counted from 0, and their file; `None` if records hold their own labels, or there are none.
    labels: Option<(PathBuf, Vec<u8>)>,
}

/// Images in binary files, in the order of the files' names.
#[derive(Debug)]
pub struct Records {
    parts: Vec<Part>,
    labels: Labels,
    /// For each label, its byte in a record, if records hold it.
    places: Vec<usize>,
    passed_over: Vec<PassedOver>,
    content: Content,
}

/// Whether a file has labels in it, or beside it.
fn has_labels(path: &Path) -> bool {
    Kind::of(&name_of(path)).is_none_or(|kind| record_labels::are_there(kind, path))
}

/// Binary files of images.
pub(super) const RECORDS: FileKind = FileKind {
    name: "binary files of images",
    refused: (
        &["labels", "names"],
        "these are binary files of images, which have labels of their own",
    ),
    takes: |file, medium| {
        medium == Medium::Image && (record_names::is_images(file) || record_names::is_beside(file))
    },
    samples_in: record_names::images_alone,
    within: |folder, inside, medium, split| match medium {
        Medium::Image => folder_holds::records(folder, inside, split),
        Medium::Sound => Ok(None),
    },
    have_labels: |places, _| Ok(places.iter().all(|it| has_labels(&it.path))),
    open: |found, Opening { settings, passed_over, .. }| {
        Ok(Box::new(Records::open(settings, found, passed_over)?))
    },
};

impl Records {
    /// Opens the images of `places`, with the labels that the settings name.
    ///
    /// # Errors
    /// When a file is not what its name says, or its labels are missing or not as many as its images.
    pub(super) fn open(
        files: &Files,
        places: Vec<Place>,
        passed_over: Vec<PassedOver>,
    ) -> Result<Self> {
        let labelled = files.label.is_some();
        let parts = places.into_iter().map(|place| Part::open(place, labelled));
        let parts = parts.collect::<Result<Vec<Part>>>()?;
        let Some(first) = parts.first() else {
            let message = "empty dataset: the files that are named hold labels, and no image";
            return Err(Error::failed(message)
                .hint("name the files of images: labels are looked for beside them"));
        };
        if let Some(other) = parts.iter().find(|it| it.layout != first.layout) {
            let (one, other) = (first.path.display(), &other.path.display());
            let message = format!("`{one}` and `{other}` hold images of different kinds");
            return Err(Error::failed(message).hint("name only files of one data set"));
        }
        if parts.iter().all(|part| part.rows == 0) {
            return Err(Error::failed("empty dataset: the files hold no image"));
        }
        let (mut tallies, mut places) = (Vec::new(), Vec::new());
        for (name, place, file) in first.layout.labels(files)? {
            let file = file.map(|file| first.path.with_file_name(file));
            let list = file.as_deref().map(record_labels::names).transpose()?.flatten();
            tallies.push(tally(&name, &parts, list.map(|list| Names { list, file })));
            places.push(place);
        }
        Ok(Self {
            content: content(&parts, &tallies),
            labels: Labels::new(tallies, None, Numbering::Classes)?,
            places,
            parts,
            passed_over,
        })
    }

    /// The part that holds a row, and the row's place in it.
    fn find(&self, row: usize) -> Result<(&Part, usize)> {
        let mut place = row;
        for part in &self.parts {
            if place < part.rows {
                return Ok((part, place));
            }
            place -= part.rows;
        }
        Err(no_such_row(row, self.rows()))
    }
}

/// Tallies a label as far as it is known before records are read.
fn tally(label: &str, parts: &[Part], names: Option<Names>) -> Tally {
    let mut tally = Tally::new(label, Order::Text);
    (tally.kind, tally.kept) = (tally::Kind::Numbers, true);
    for part in parts {
        match &part.labels {
            Some((file, labels)) => {
                for (image, label) in labels.iter().enumerate() {
                    let at = || format!("image {image} of `{}`", file.display());
                    tally.add_number(Some(i128::from(*label)), at);
                }
            }
            // STL-10's unlabelled images.
            None if part.layout == Layout::Stl => tally.missing += part.rows as u64,
            None => return Tally::uncounted(label, names),
        }
    }
    tally.names = names;
    tally
}

/// Every file that rows are made of.
fn content(parts: &[Part], labels: &[Tally]) -> Content {
    let file = |role, path: &PathBuf, place| ContentFile { role, place, path: path.clone() };
    let beside = |role, path: &PathBuf| file(role, path, name_of(path).into_owned());
    let data = parts.iter().map(|part| file(Role::Data, &part.path, part.name.clone()));
    let of_parts = parts.iter().filter_map(|part| part.labels.as_ref());
    let named = labels.iter().filter_map(|label| label.names.as_ref()?.file.as_ref());
    let mut files: Vec<ContentFile> = data.collect();
    files.extend(of_parts.map(|(path, _)| beside(Role::Labels, path)));
    files.extend(named.map(|path| beside(Role::Names, path)));
    // The settings say which labels are read.
    Content { made: json!({ "kind": "records" }), files }
}

/// The class of a record; its label lies beside the images, or in the record at `byte`.
fn class(
    label: &Labelling,
    byte: usize,
    part: &Part,
    place: usize,
    record: &[u8],
) -> Result<Option<i64>> {
    let (file, number) = match &part.labels {
        Some((file, labels)) => (file, labels[place]),
        None if part.layout == Layout::Stl => return Ok(None),
        None => (&part.path, record[byte]),
    };
    label.classes.of_number(i128::from(number)).map_err(|NoClass| {
        let names = label.tally.names.as_ref().and_then(|it| it.file.as_deref());
        Error::failed(format!(
            "`{}`: the label of image {place} is class {number}, counted from 0, but `{}` names {} classes",
            file.display(),
            names.unwrap_or(Path::new("")).display(),
            label.classes.names().map_or(0, <[String]>::len)
        ))
        .hint("mend the label or the file of names, or read no labels: `data.label = false`")
    })
}

impl Part {
    fn open(Place { path, place }: Place, labelled: bool) -> Result<Self> {
        let failed = |error| Error::io("read", &path, error);
        let name = name_of(&path).into_owned();
        let kind = Kind::of(&name).unwrap_or(Kind::Cifar);
        let bytes = Bytes::open(&path).map_err(failed)?;
        let head = unpacked(&path, ENOUGH as u64).map_err(|error| damaged(&path, &error))?;
        let length = bytes.length();
        let (layout, header, rows) = match kind {
            Kind::Idx(_) => {
                let (layout, rows) = idx_layout(&path, &head)?;
                let whole = (layout.record().0 as u64).saturating_mul(rows as u64);
                check_idx(&path, whole.saturating_add(IDX_HEADER), length)?;
                (layout, IDX_HEADER, rows)
            }
            Kind::Stl(_) | Kind::Cifar => {
                let length = length.ok_or_else(|| packed(&path))?;
                let layout = match kind {
                    Kind::Stl(_) => Layout::Stl,
                    _ => cifar_layout(&path, length)?,
                };
                let record = layout.record().0 as u64;
                if length % record != 0 {
                    return Err(not_whole(&path, &head, length, layout));
                }
                (layout, 0, (length / record) as usize)
            }
        };
        let labels = if labelled { record_labels::beside(kind, &path, rows)? } else { None };
        Ok(Self { name: place, path, bytes, layout, header, rows, labels })
    }

    /// Reads all bytes of a record.
    fn read(&self, row: usize) -> Result<Vec<u8>> {
        let (record, _) = self.layout.record();
        let mut bytes = vec![0; record];
        let length = self.header + (self.rows * record) as u64;
        let place = self.header + (row * record) as u64;
        let read = self.bytes.read_at(place, &mut bytes, length);
        read.map_err(|error| match self.bytes.length() {
            Some(_) => Error::io("read an image of", &self.path, error),
            None => damaged(&self.path, &error),
        })?;
        Ok(bytes)
    }
}

/// The error of a file in gzip that cannot be unpacked.
fn damaged(path: &Path, error: &io::Error) -> Error {
    let message = format!("`{}` is cut off, or damaged: {error}", path.display());
    Error::failed(message).hint("get it again from where it came from")
}

/// The error of a file that may not be in gzip.
fn packed(path: &Path) -> Error {
    let message = format!("`{}` is compressed by gzip", path.display());
    Error::failed(message).hint("unpack it, and name what was in it")
}

/// The layout of an IDX file, and the number of its images.
fn idx_layout(path: &Path, head: &[u8]) -> Result<(Layout, usize)> {
    let number = |at: usize| Some(u32::from_be_bytes(*head.get(at..)?.first_chunk()?));
    let numbers = (number(0), number(4), number(8), number(12));
    let sides = 1..=MAX_SIDE;
    match numbers {
        (Some(0x0803), Some(count), Some(height), Some(width))
            if sides.contains(&height)
                && sides.contains(&width)
                && u64::from(height) * u64::from(width) <= MAX_PIXELS =>
        {
            let layout = Layout::Idx { height: height as usize, width: width as usize };
            Ok((layout, count as usize))
        }
        _ => {
            let message =
                format!("`{}` does not begin as an IDX file of images does", path.display());
            let error = Error::failed(message);
            Err(match first_bytes::tell(head) {
                Some(told) => error.hint(format!("it is {}: {}", told.what, told.advice)),
                None => error.hint("get it again from where it came from"),
            })
        }
    }
}

/// Checks that an IDX file is as long as its header says, if its length is known.
fn check_idx(path: &Path, whole: u64, length: Option<u64>) -> Result<()> {
    let shown = path.display();
    match length {
        Some(length) if length != whole => Err(Error::failed(format!(
            "`{shown}` is cut off, or of another kind: it says that it has {whole} bytes and has {length}"
        ))
        .hint("get it again from where it came from")),
        None if whole > MAX_UNPACKED => Err(Error::failed(format!(
            "`{shown}` has {whole} bytes when it is unpacked; in gzip, {MAX_UNPACKED} are read"
        ))
        .hint(format!("unpack it (`gunzip {shown}`), and name it without `.gz`"))),
        _ => Ok(()),
    }
}

/// Tells CIFAR-100's records from CIFAR-10's by which record size divides the file. If both do, the file of class
/// names beside it decides.
fn cifar_layout(path: &Path, length: u64) -> Result<Layout> {
    let divides = |layout: Layout| length.is_multiple_of(layout.record().0 as u64);
    let beside = |name: &str| path.with_file_name(name).exists();
    match (divides(Layout::Cifar10), divides(Layout::Cifar100)) {
        (true, true) if length > 0 => match (beside(CIFAR10_NAMES), beside(FINE_NAMES)) {
            (true, false) => Ok(Layout::Cifar10),
            (false, true) => Ok(Layout::Cifar100),
            _ => Err(Error::failed(format!(
                "`{}` may be of CIFAR-10 or of CIFAR-100: its {length} bytes are a whole number of images \
                 of either",
                path.display()
            ))
            .hint(format!(
                "put the names of its classes beside it, as `{CIFAR10_NAMES}` or as `{FINE_NAMES}`"
            ))),
        },
        (false, true) => Ok(Layout::Cifar100),
        _ => Ok(Layout::Cifar10),
    }
}

/// The error of a file that is not a whole number of records.
fn not_whole(path: &Path, head: &[u8], length: u64, layout: Layout) -> Error {
    let shown = path.display();
    if let Some(told) = first_bytes::tell(head) {
        let message = format!("`{shown}` is {}, not a binary file of images", told.what);
        return Error::failed(message).hint(told.advice);
    }
    let kinds = match layout {
        Layout::Stl => format!("{} bytes (STL-10)", layout.record().0),
        _ => format!(
            "{} bytes (CIFAR-10) or {} (CIFAR-100)",
            Layout::Cifar10.record().0,
            Layout::Cifar100.record().0
        ),
    };
    Error::failed(format!(
        "`{shown}` is cut off, or of another kind: {length} bytes are not a whole number of images of {kinds}"
    ))
    .hint("get it again from where it came from")
}

impl Classified for Records {
    fn labels(&mut self) -> &mut Labels {
        &mut self.labels
    }
}

impl Source for Records {
    fn rows(&self) -> usize {
        self.parts.iter().map(|part| part.rows).sum()
    }

    fn label_names(&self) -> Option<&[String]> {
        self.labels.names()
    }

    fn further_labels(&self) -> &[LabelSet] {
        self.labels.further()
    }

    fn content(&self) -> Content {
        let mut content = self.content.clone();
        content.made["classes"] = self.labels.made();
        content
    }

    fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }

    fn first_size(&self) -> Result<Option<(usize, usize)>> {
        Ok(self.parts.first().map(|part| part.layout.size()))
    }

    fn read_through(&self, rows: &[usize], keep: &Keep) -> Result<Vec<Result<Sample, BadSample>>> {
        rows.par_iter()
            .map(|&row| {
                let (part, place) = self.find(row)?;
                let record = part.read(place)?;
                let (_, front) = part.layout.record();
                let labels = self.labels.columns.iter().zip(&self.places);
                let labels = labels.map(|(label, byte)| class(label, *byte, part, place, &record));
                let mut labels = labels.collect::<Result<Vec<_>>>()?.into_iter();
                let image = part.layout.image(&record[front..]);
                let image =
                    image.ok_or_else(|| Error::failed("a record does not fill its image"))?;
                let source = format!("{}:{place}", part.name);
                keep(Sample {
                    id: row as i64,
                    source,
                    label: labels.next().flatten(),
                    further: labels.collect(),
                    frames: None,
                    text: None,
                    media: Media::Image(image),
                    remarks: Remarks::default(),
                })
                .map(Ok)
            })
            .collect()
    }
}
