//! The header of a safetensors file: 8 bytes with its length, then JSON.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use serde::Deserialize;
use serde_json::Value;

use super::tensor_file::{Place, Stored};
use crate::parameters::METADATA_KEY;

/// The most bytes of a header: far more than the names of all parameters take.
const LONGEST: u64 = 8 << 20;

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// The tensors of a file, and what `gimlet export` says in it.
///
/// # Errors
/// What is wrong with it, in words.
pub fn open(file: &mut File) -> Result<(BTreeMap<String, Stored>, Option<Value>), String> {
    let failed = |error: std::io::Error| error.to_string();
    let bytes = file.metadata().map_err(failed)?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(failed)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST {
        return Err(format!("a header of {length} bytes"));
    }
    let mut text = Vec::new();
    file.take(length).read_to_end(&mut text).map_err(failed)?;
    let mut header: BTreeMap<String, Value> =
        serde_json::from_slice(&text).map_err(|error| format!("its header: {error}"))?;
    let metadata = header.remove("__metadata__").unwrap_or_default();
    let about = metadata[METADATA_KEY].as_str().and_then(|text| serde_json::from_str(text).ok());

    let start = 8 + length;
    let mut end = start;
    let mut tensors = BTreeMap::new();
    for (name, entry) in header {
        let entry: Entry =
            serde_json::from_value(entry).map_err(|error| format!("tensor `{name}`: {error}"))?;
        let [from, to] = entry.data_offsets;
        let to = to.checked_add(start).filter(|_| from <= to);
        end = end.max(to.ok_or_else(|| format!("tensor `{name}` lies nowhere"))?);
        let place = Ok(Place::At(start + from));
        tensors.insert(name, Stored { dtype: entry.dtype, dims: entry.shape, place });
    }
    match end == bytes {
        true => Ok((tensors, about)),
        false => Err(format!("it has {bytes} bytes, its header speaks of {end}")),
    }
}
