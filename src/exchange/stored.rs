//! What a file says of a tensor before its values are read: its type, its shape, and where they lie.

use super::layout::Layout;

/// What is known of a tensor before it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its type as the file calls it.
    pub dtype: String,
    pub dims: Vec<usize>,
    /// Where its values lie, little-endian; `Err` says why they cannot be read.
    pub place: Result<Place, String>,
}

/// Where the values of a tensor lie.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    pub holder: Holder,
    /// In the storage that it holds.
    pub layout: Layout,
}

/// What holds a storage.
#[derive(Debug, Clone, PartialEq)]
pub enum Holder {
    /// The file, from this byte on.
    At(u64),
    /// This entry of the archive that the file is.
    Entry(String),
}

/// Bytes of a value in a checkpoint of PyTorch; `None` of a type that is not known.
pub fn value_size(storage: &str) -> Option<u64> {
    Some(match storage {
        "DoubleStorage" | "LongStorage" | "ComplexFloatStorage" => 8,
        "FloatStorage" | "IntStorage" => 4,
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => 2,
        "CharStorage" | "ByteStorage" | "BoolStorage" => 1,
        _ => return None,
    })
}
