//! The names of files of images of one size, and of the files with labels and class names beside them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::locate::Place;

/// The endings of IDX files of images and of labels: MNIST's own, and those that 7-Zip and Kaggle use.
const IDX_IMAGES: [&str; 2] = ["images-idx3-ubyte", "images.idx3-ubyte"];
const IDX_LABELS: [&str; 2] = ["labels-idx1-ubyte", "labels.idx1-ubyte"];

/// The ending that may follow these.
const PACKED: &str = ".gz";

const STL_IMAGES: &str = "_X.bin";
const STL_LABELS: &str = "_y.bin";

/// Files with the names of classes, beside images.
pub const STL_NAMES: &str = "class_names.txt";
pub const CIFAR10_NAMES: &str = "batches.meta.txt";
pub const FINE_NAMES: &str = "fine_label_names.txt";
pub const COARSE_NAMES: &str = "coarse_label_names.txt";

/// What the name of a file of images tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// An IDX file, with the part of its name before the ending, which the file of labels shares.
    Idx(&'a str),
    Stl(&'a str),
    Cifar,
}

impl<'a> Kind<'a> {
    /// The kind of a file of images; `None` for all other files.
    pub fn of(name: &'a str) -> Option<Self> {
        if let Some(stem) = before(name, IDX_IMAGES) {
            return Some(Kind::Idx(stem));
        }
        if let Some(stem) = name.strip_suffix(STL_IMAGES) {
            return Some(Kind::Stl(stem));
        }
        (name.ends_with(".bin") && !name.ends_with(STL_LABELS)).then_some(Kind::Cifar)
    }

    /// Where the labels of the images at `path` may lie, the likeliest first; `None` if records hold their own labels,
    /// or there are none.
    pub fn labels_beside(self, path: &Path) -> Option<Vec<PathBuf>> {
        match self {
            Kind::Idx(stem) => {
                let dotted = path.to_string_lossy().contains(IDX_IMAGES[1]);
                let [first, second] = IDX_LABELS;
                let endings = if dotted { [second, first] } else { [first, second] };
                let names =
                    endings.iter().flat_map(|it| ["", PACKED].map(|gz| format!("{stem}{it}{gz}")));
                Some(names.map(|name| path.with_file_name(name)).collect())
            }
            // STL-10 has 100,000 unlabelled images.
            Kind::Stl("unlabeled") | Kind::Cifar => None,
            Kind::Stl(stem) => Some(vec![path.with_file_name(format!("{stem}{STL_LABELS}"))]),
        }
    }
}

/// The part of a name before one of these endings.
fn before<'a>(name: &'a str, endings: [&str; 2]) -> Option<&'a str> {
    let name = name.strip_suffix(PACKED).unwrap_or(name);
    endings.iter().find_map(|ending| name.strip_suffix(ending))
}

/// The last part of a path, as text.
pub fn name_of(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// Whether a file's name says that it holds images of one size.
pub fn is_images(path: &Path) -> bool {
    Kind::of(&name_of(path)).is_some()
}

/// Whether a file's name says that it holds labels, or class names, of images beside it.
pub fn is_beside(path: &Path) -> bool {
    let name = name_of(path);
    before(&name, IDX_LABELS).is_some()
        || name.ends_with(STL_LABELS)
        || [STL_NAMES, CIFAR10_NAMES, FINE_NAMES, COARSE_NAMES].contains(&&*name)
}

/// Whether a known data set has a file of images with this name.
pub fn is_known(path: &Path) -> bool {
    let name = name_of(path);
    match Kind::of(&name) {
        Some(Kind::Cifar) => {
            name.starts_with("data_batch")
                || ["test_batch.bin", "train.bin", "test.bin"].contains(&&*name)
        }
        kind => kind.is_some(),
    }
}

/// Keeps only the images of `places`, each once: drops labels, and files in gzip that also lie there unpacked.
pub fn images_alone(places: Vec<Place>) -> Vec<Place> {
    let all: HashSet<PathBuf> = places.iter().map(|it| it.path.clone()).collect();
    let images = places.into_iter().filter(|it| is_images(&it.path) && !is_twin(&it.path, &all));
    images.collect()
}

/// Whether `path` is a file in gzip that also lies there unpacked, among `all`.
pub fn is_twin(path: &Path, all: &HashSet<PathBuf>) -> bool {
    unpacked(path).is_some_and(|unpacked| all.contains(&unpacked))
}

fn unpacked(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?.strip_suffix(PACKED)?;
    Some(path.with_file_name(name))
}
