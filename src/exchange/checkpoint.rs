//! A checkpoint of PyTorch 1.6 or later: what `torch.save(module.state_dict(), file)` writes, a zip archive with
//! a pickle that names the tensors, and an entry for the values of each.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use zip::ZipArchive;

use super::pickle;
use super::tensor_file::{Place, Stored};

/// The most bytes of a pickle. What reads it may hold some tens of times as much.
const LONGEST: u64 = 8 << 20;

/// The tensors of an archive, by name.
///
/// # Errors
/// What is wrong with it, in words.
pub fn open(file: File) -> Result<(BTreeMap<String, Stored>, ZipArchive<File>), String> {
    let mut zip = ZipArchive::new(file).map_err(|error| error.to_string())?;
    let pickles: Vec<String> = zip
        .file_names()
        .filter_map(|name| name.ok())
        .filter(|name| name.ends_with("/data.pkl"))
        .map(|name| name.into_owned())
        .collect();
    let [pickle] = pickles.as_slice() else {
        return Err(format!("{} entries `data.pkl`", pickles.len()));
    };
    let folder = pickle.trim_end_matches("data.pkl");
    let order = format!("{folder}byteorder");
    if zip.index_for_name(&order).is_some() && entry(&mut zip, &order, 16)? != b"little" {
        return Err("its values are not little-endian".to_string());
    }
    let state = pickle::state_dict(&entry(&mut zip, pickle, LONGEST)?)?;
    let tensors = state.into_iter().map(|(name, pickled)| {
        let place = pickled.check_contiguous().map(|()| Place::Entry {
            name: format!("{folder}data/{}", pickled.storage.key),
            skip: pickled.offset,
        });
        (name, Stored { dtype: pickled.storage.dtype().to_string(), dims: pickled.dims, place })
    });
    Ok((tensors.collect(), zip))
}

/// The bytes of an entry, at most so many.
fn entry(zip: &mut ZipArchive<File>, name: &str, most: u64) -> Result<Vec<u8>, String> {
    let mut entry = zip.by_name(name).map_err(|error| format!("`{name}`: {error}"))?;
    let mut bytes = Vec::new();
    (&mut entry).take(most + 1).read_to_end(&mut bytes).map_err(|e| format!("`{name}`: {e}"))?;
    match bytes.len() as u64 <= most {
        true => Ok(bytes),
        false => Err(format!("`{name}` has more than {most} bytes")),
    }
}
