//! Files of images of one size, uncompressed, one after another: CIFAR-10's and STL-10's binary
//! versions, and the IDX files of MNIST and its like.
//!
//! | files | a record | labels |
//! |---|---|---|
//! | `*-images-idx3-ubyte` | rows x columns gray values, after a header of 16 bytes | `*-labels-idx1-ubyte`, after 8 bytes |
//! | `*_X.bin` (STL-10) | 3 channels of 96x96, each column by column | `*_y.bin`, from 1; none for unlabelled images |
//! | any other `*.bin` (CIFAR-10) | a label, 3 channels of 32x32, each row by row | in the record |
//!
//! The names of classes are read from `class_names.txt` (STL-10) or `batches.meta.txt` (CIFAR-10) beside
//! them, if it is there.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use image::{DynamicImage, GrayImage, RgbImage};
use rayon::prelude::*;
use serde_json::json;

use super::content::{ContentFile, Role};
use super::decode::MAX_SIDE;
use super::class_order::Order;
use super::classes::{NoClass, Numbering};
use super::labelling::Labels;
use super::locate::Place;
use super::tally::{Kind, Names, Tally};
use super::{
    BadSample, Classified, Content, Keep, Media, Remarks, Sample, Source, no_such_row, plain_file,
};
use crate::{Error, Result};

const IDX_IMAGES: &str = "images-idx3-ubyte";
const IDX_LABELS: &str = "labels-idx1-ubyte";
const STL_IMAGES: &str = "_X.bin";
const STL_LABELS: &str = "_y.bin";

/// The longest file of labels or names.
const MAX_LABELS: u64 = 1 << 26;

/// How a record becomes an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Idx { height: usize, width: usize },
    Stl,
    Cifar,
}

impl Layout {
    /// Bytes of a record, and of what lies in front of its pixels.
    fn record(self) -> (usize, usize) {
        match self {
            Layout::Idx { height, width } => (height * width, 0),
            Layout::Stl => (3 * 96 * 96, 0),
            Layout::Cifar => (1 + 3 * 32 * 32, 1),
        }
    }

    /// Height and width.
    fn size(self) -> (usize, usize) {
        match self {
            Layout::Idx { height, width } => (height, width),
            Layout::Stl => (96, 96),
            Layout::Cifar => (32, 32),
        }
    }

    fn image(self, pixels: &[u8]) -> Option<DynamicImage> {
        let (height, width) = self.size();
        let (w, h) = (width as u32, height as u32);
        match self {
            Layout::Idx { .. } => GrayImage::from_raw(w, h, pixels.to_vec()).map(Into::into),
            Layout::Stl | Layout::Cifar => {
                let plane = height * width;
                let mut values = Vec::with_capacity(3 * plane);
                for place in 0..plane {
                    let (row, column) = (place / width, place % width);
                    let at = if self == Layout::Stl { column * height + row } else { place };
                    values.extend((0..3).map(|channel| pixels[channel * plane + at]));
                }
                RgbImage::from_raw(w, h, values).map(Into::into)
            }
        }
    }
}

/// A file of images.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    name: String,
    file: Mutex<File>,
    layout: Layout,
    /// Bytes in front of the first record.
    header: u64,
    rows: usize,
    /// From 0; `None` when a record has its own, or there are none.
    labels: Option<Vec<u8>>,
}

/// Images in such files, in the order of the files' names.
#[derive(Debug)]
pub struct Records {
    parts: Vec<Part>,
    labels: Labels,
    labelled: bool,
    content: Content,
}

/// Whether a file's name says that it is one of these.
pub fn is_named_so(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(IDX_IMAGES) || name.ends_with(".bin")
}

/// Whether the labels of a file lie in it, or beside it.
pub fn has_labels(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    labels_beside(path, &name).is_none_or(|(beside, ..)| beside.exists())
}

impl Records {
    /// The images of `places`; without a name for the `label`, none has one.
    ///
    /// # Errors
    /// When a file is not what its name says, or its labels are missing or not as many.
    pub fn open(places: Vec<Place>, label: Option<&str>) -> Result<Self> {
        let labelled = label.is_some();
        let (mut parts, mut files) = (Vec::new(), Vec::new());
        for place in places {
            let (role, path) = (Role::Data, place.path.clone());
            files.push(ContentFile { role, place: place.place.clone(), path });
            parts.push(Part::open(place, labelled)?);
        }
        if let Some(other) = parts.iter().find(|it| it.layout != parts[0].layout) {
            let (one, other) = (&parts[0].path.display(), &other.path.display());
            let message = format!("`{one}` and `{other}` hold images of different kinds");
            return Err(Error::failed(message).hint("name only files of one data set"));
        }
        if parts.iter().all(|part| part.rows == 0) {
            return Err(Error::failed("empty dataset: the files hold no image"));
        }
        let names = match parts.first() {
            Some(part) if labelled => names(part)?,
            _ => None,
        };
        for part in parts.iter().filter(|_| labelled) {
            let beside = labels_beside(&part.path, &file_name(&part.path));
            let file = |role, path: PathBuf| ContentFile { role, place: file_name(&path), path };
            files.extend(beside.map(|(path, ..)| file(Role::Labels, path)));
        }
        if let (Some(part), Some(_)) = (parts.first(), &names)
            && let Some(path) = names_beside(part)
        {
            files.push(ContentFile { role: Role::Names, place: file_name(&path), path });
        }
        let content = Content { made: json!({ "kind": "records", "labelled": labelled }), files };
        let tallies = label.map(|label| tally(label, &parts, names)).into_iter().collect();
        let labels = Labels::new(tallies, None, Numbering::Classes)?;
        Ok(Self { parts, labels, labelled, content })
    }

    /// The class of a record that has a `label`.
    fn class(&self, part: &Part, place: usize, label: Option<i64>) -> Result<Option<i64>> {
        let (Some(label), Some(of)) = (label, self.labels.columns.first()) else { return Ok(None) };
        of.classes.of_number(i128::from(label)).map_err(|NoClass| {
            let path = part.path.display();
            let count = of.classes.names().map_or(0, <[String]>::len);
            let message = format!(
                "row {place} of `{path}`: the label is {label}, and the names beside it are of {count} \
                 classes"
            );
            Error::failed(message)
                .hint("get the names again from where they came from, or remove their file")
        })
    }

    /// The part that holds a row, and the row's place in it.
    fn find(&self, row: usize) -> Result<(&Part, usize)> {
        let mut first = 0;
        for part in &self.parts {
            if row < first + part.rows {
                return Ok((part, row - first));
            }
            first += part.rows;
        }
        Err(no_such_row(row, self.rows()))
    }
}

/// The labels of files, as far as they are known before records are read.
fn tally(label: &str, parts: &[Part], names: Option<Names>) -> Tally {
    let mut tally = Tally::new(label, Order::Text);
    tally.kind = Kind::Numbers;
    for part in parts {
        match &part.labels {
            Some(labels) => {
                for (row, label) in labels.iter().enumerate() {
                    let at = || format!("row {row} of `{}`", part.path.display());
                    tally.add_number(i128::from(*label), at);
                }
            }
            None if part.layout == Layout::Cifar => return Tally::uncounted(label, names),
            None => tally.missing += part.rows as u64,
        }
    }
    tally.names = names;
    tally
}

impl Part {
    fn open(Place { path, place }: Place, labelled: bool) -> Result<Self> {
        let failed = |error| Error::io("read", &path, error);
        let name = file_name(&path);
        let mut file = plain_file::open(&path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let (layout, header, announced) = if name.ends_with(IDX_IMAGES) {
            let mut header = [0; 16];
            file.read_exact(&mut header).map_err(failed)?;
            let (layout, images) = idx_layout(&path, &header)?;
            (layout, 16, Some(images))
        } else if name.ends_with(STL_IMAGES) {
            (Layout::Stl, 0, None)
        } else {
            (Layout::Cifar, 0, None)
        };
        let (record, _) = layout.record();
        let bytes = metadata.len() - header;
        let rows = (bytes / record as u64) as usize;
        if bytes != (rows * record) as u64 || announced.is_some_and(|images| images != rows) {
            let message = format!(
                "`{}` is cut off, or of another kind: {bytes} bytes are not a whole number of images \
                 of {record}",
                path.display()
            );
            return Err(Error::failed(message));
        }
        let labels = if labelled { labels(&path, &name, rows)? } else { None };
        let file = Mutex::new(file);
        Ok(Self { path, name: place, file, layout, header, rows, labels })
    }

    /// A record, whole.
    fn read(&self, row: usize) -> io::Result<Vec<u8>> {
        let (record, _) = self.layout.record();
        let mut bytes = vec![0; record];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.header + (row * record) as u64))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// What an IDX file holds, and how many of it.
fn idx_layout(path: &Path, header: &[u8; 16]) -> Result<(Layout, usize)> {
    let number = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|byte| header[at + byte]));
    let (height, width) = (number(8), number(12));
    let sides = 1..=MAX_SIDE;
    if number(0) != 0x0803 || !sides.contains(&height) || !sides.contains(&width) {
        let message = format!("`{}` does not begin as an IDX file of images does", path.display());
        return Err(Error::failed(message).hint("decompress it first, if it is a .gz file"));
    }
    let layout = Layout::Idx { height: height as usize, width: width as usize };
    Ok((layout, number(4) as usize))
}

/// The file of the labels of a file of images, the bytes in front of them, and the number of the first
/// class; `None` where records have labels of their own, or there are none.
fn labels_beside(path: &Path, name: &str) -> Option<(PathBuf, usize, u8)> {
    if let Some(stem) = name.strip_suffix(IDX_IMAGES) {
        return Some((path.with_file_name(format!("{stem}{IDX_LABELS}")), 8, 0));
    }
    // STL-10 has 100,000 images that nobody has labelled.
    let stem = name.strip_suffix(STL_IMAGES).filter(|stem| *stem != "unlabeled")?;
    Some((path.with_file_name(format!("{stem}{STL_LABELS}")), 0, 1))
}

/// The labels beside a file of images, where records have none of their own.
fn labels(path: &Path, name: &str, rows: usize) -> Result<Option<Vec<u8>>> {
    let Some((beside, header, first)) = labels_beside(path, name) else { return Ok(None) };
    let bytes = read(&beside).map_err(|error| {
        Error::io("read the labels", &beside, error)
            .hint("put them beside the images, or set `data.label = false`")
    })?;
    let labels = bytes.get(header..).unwrap_or_default();
    let from_zero: Option<Vec<u8>> = labels.iter().map(|label| label.checked_sub(first)).collect();
    match from_zero {
        Some(labels) if labels.len() == rows => Ok(Some(labels)),
        _ => {
            let (found, beside) = (labels.len(), beside.display());
            let message = format!("`{beside}` has {found} labels from {first}, not {rows}");
            Err(Error::failed(message))
        }
    }
}

/// Where the names of the classes of a file may lie.
fn names_beside(part: &Part) -> Option<PathBuf> {
    let name = match part.layout {
        Layout::Idx { .. } => return None,
        Layout::Stl => "class_names.txt",
        Layout::Cifar => "batches.meta.txt",
    };
    Some(part.path.with_file_name(name))
}

/// The last part of a path.
fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The names of classes, if they lie beside a file.
fn names(part: &Part) -> Result<Option<Names>> {
    let Some(path) = names_beside(part) else { return Ok(None) };
    match read(&path) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let names = text.lines().map(str::trim).filter(|name| !name.is_empty());
            let list = names.map(String::from).collect();
            Ok(Some(Names { list, file: Some(path) }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read the names of classes", &path, error)),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    plain_file::open(path)?.take(MAX_LABELS).read_to_end(&mut bytes)?;
    Ok(bytes)
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

    fn content(&self) -> Content {
        let mut content = self.content.clone();
        content.made["labels"] = self.labels.made();
        content
    }

    fn first_size(&self) -> Result<Option<(usize, usize)>> {
        Ok(self.parts.first().map(|part| part.layout.size()))
    }

    fn read_through(&self, rows: &[usize], keep: &Keep) -> Result<Vec<Result<Sample, BadSample>>> {
        rows.par_iter()
            .map(|&row| {
                let (part, place) = self.find(row)?;
                let failed = |error| Error::io("read an image of", &part.path, error);
                let record = part.read(place).map_err(failed)?;
                let (_, front) = part.layout.record();
                let label = match &part.labels {
                    Some(labels) => Some(i64::from(labels[place])),
                    None if front > 0 && self.labelled => Some(i64::from(record[0])),
                    None => None,
                };
                let label = self.class(part, place, label)?;
                let image = part.layout.image(&record[front..]);
                let image =
                    image.ok_or_else(|| Error::failed("a record does not fill its image"))?;
                let source = format!("{}:{place}", part.name);
                keep(Sample {
                    id: row as i64,
                    source,
                    label,
                    further: Vec::new(),
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
