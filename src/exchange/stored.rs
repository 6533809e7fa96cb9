//! A tensor before its values are read: its type, its shape, and the place of the values.

use super::layout::Layout;

#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The type as the file names it.
    pub dtype: String,
    pub dims: Vec<usize>,
    /// The place of its values, which are little-endian; `Err` says why they cannot be read.
    pub place: Result<Place, String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    pub holder: Holder,
    /// The layout within the storage.
    pub layout: Layout,
}

/// Where a storage lies.
#[derive(Debug, Clone, PartialEq)]
pub enum Holder {
    /// In the file, from this byte on.
    At(u64),
    /// In this entry of the archive.
    Entry(String),
}

/// Bytes per value in a PyTorch checkpoint; `None` for an unknown type.
pub fn value_size(storage: &str) -> Option<u64> {
    Some(match storage {
        "DoubleStorage" | "LongStorage" | "ComplexFloatStorage" => 8,
        "FloatStorage" | "IntStorage" => 4,
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => 2,
        "CharStorage" | "ByteStorage" | "BoolStorage" => 1,
        _ => return None,
    })
}
