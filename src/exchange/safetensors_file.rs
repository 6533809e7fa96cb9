//! Reads the header of a safetensors file: 8 bytes with its length, then JSON.
//!
//! The header is checked before it is used: every tensor's place fits its shape and type, and the places follow
//! each other without a gap to the end of the file.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;

use serde::Deserialize;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::Value;

use super::layout::Layout;
use super::stored::{Holder, Place, Stored};
use crate::parameters::METADATA_KEY;

/// The most bytes of a header: far more than the names of all parameters take.
const LONGEST: u64 = 8 << 20;

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    /// First byte, and the byte after the last, counted from the end of the header.
    data_offsets: [u64; 2],
}

#[derive(Default)]
struct Header {
    metadata: Value,
    entries: BTreeMap<String, Entry>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

/// Reads the header entry by entry: a map would silently keep only the last of several tensors with one name.
struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header::default();
        while let Some(name) = map.next_key::<String>()? {
            let wrong = |error: A::Error| A::Error::custom(format!("tensor `{name}`: {error}"));
            if name == "__metadata__" {
                header.metadata = map.next_value()?;
                continue;
            }
            let entry = map.next_value().map_err(wrong)?;
            if header.entries.contains_key(&name) {
                return Err(A::Error::custom(format!("there are two tensors `{name}`")));
            }
            header.entries.insert(name, entry);
        }
        Ok(header)
    }
}

/// The tensors of a file, and the metadata of `gimlet export`.
///
/// # Errors
/// A sentence that says what is wrong with the file.
pub fn open(file: &mut File) -> Result<(BTreeMap<String, Stored>, Option<Value>), String> {
    let failed = |error: std::io::Error| error.to_string();
    let bytes = file.metadata().map_err(failed)?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(failed)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST {
        return Err(format!("a header of {length} bytes"));
    }
    if length > bytes - 8 {
        return Err(format!("its header has {length} bytes, the file has {bytes} in all"));
    }
    let mut text = Vec::new();
    file.take(length).read_to_end(&mut text).map_err(failed)?;
    let header: Header =
        serde_json::from_slice(&text).map_err(|error| format!("its header: {error}"))?;
    let about = header.metadata[METADATA_KEY].as_str();
    let about = about.and_then(|text| serde_json::from_str(text).ok());

    let start = 8 + length;
    check_places(&header.entries, bytes - start)?;
    let tensors = header.entries.into_iter().map(|(name, entry)| {
        let Entry { dtype, shape, data_offsets: [from, _] } = entry;
        let layout = Layout::contiguous(&shape).ok_or_else(|| "has too many values".to_string());
        let place = layout.map(|layout| Place { holder: Holder::At(start + from), layout });
        (name, Stored { dtype, dims: shape, place })
    });
    Ok((tensors.collect(), about))
}

/// Fails unless each tensor has as many bytes as its shape needs, and all tensors together fill the `bytes`
/// after the header without gaps.
fn check_places(entries: &BTreeMap<String, Entry>, bytes: u64) -> Result<(), String> {
    let mut in_order: Vec<(&String, &Entry)> = entries.iter().collect();
    in_order.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut end = 0;
    let mut before = None;
    for (name, entry) in in_order {
        let [from, to] = entry.data_offsets;
        if from > to {
            return Err(format!("tensor `{name}` ends at byte {to}, before it begins at {from}"));
        }
        if let Some(size) = value_size(&entry.dtype) {
            let values = entry.shape.iter().try_fold(1, |all: u64, it| all.checked_mul(*it as u64));
            let needed = values.and_then(|values| values.checked_mul(size));
            if needed != Some(to - from) {
                let Entry { dtype, shape, .. } = entry;
                let needed = needed.map_or_else(|| "more".to_string(), |it| it.to_string());
                let place = to - from;
                return Err(format!(
                    "tensor `{name}` of shape {shape:?} and type {dtype} takes {needed} bytes, its place \
                     has {place}"
                ));
            }
        }
        match before {
            Some(before) if from < end => {
                return Err(format!("tensors `{before}` and `{name}` overlap"));
            }
            _ if from > end => {
                return Err(format!("tensor `{name}` begins at byte {from}, {end} was expected"));
            }
            _ => {}
        }
        (end, before) = (to, Some(name));
    }
    match end == bytes {
        true => Ok(()),
        false => Err(format!(
            "it has {bytes} bytes behind its header, which speaks of {end}{}",
            before.filter(|_| end > bytes).map_or_else(String::new, |it| format!(" (`{it}`)"))
        )),
    }
}

/// Bytes per value; `None` for an unknown type.
fn value_size(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "F64" | "I64" | "U64" | "C64" => 8,
        "F32" | "I32" | "U32" => 4,
        "F16" | "BF16" | "I16" | "U16" => 2,
        "BOOL" | "I8" | "U8" => 1,
        it if it.starts_with("F8_") => 1,
        _ => return None,
    })
}
