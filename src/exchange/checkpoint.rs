//! Reads checkpoints of PyTorch 1.6 or later. `torch.save(module.state_dict(), file)` writes a zip archive with
//! a pickle that names the tensors, and one entry per storage of values.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use zip::ZipArchive;

use super::fault::{Fault, STATE_DICT};
use super::layout::Layout;
use super::pickle::{self, Pickled};
use super::stored::{Holder, Place, Stored, value_size};

/// The most bytes of a pickle. Its reader may need some tens of times as much memory.
const LONGEST: u64 = 8 << 20;

/// The tensors of an archive, by name.
///
/// # Errors
/// What is wrong with the file.
pub fn open(file: File) -> Result<(BTreeMap<String, Stored>, ZipArchive<File>), Fault> {
    let mut zip = ZipArchive::new(file).map_err(|error| error.to_string())?;
    let pickles: Vec<String> = zip
        .file_names()
        .filter_map(|name| name.ok())
        .filter(|name| name.ends_with("/data.pkl"))
        .map(|name| name.into_owned())
        .collect();
    let [pickle] = pickles.as_slice() else {
        let why = match pickles.len() {
            0 => "it is a zip archive without `data.pkl`, and so no checkpoint".to_string(),
            more => format!("{more} entries `data.pkl`"),
        };
        return Err(Fault { why, hint: STATE_DICT });
    };
    let folder = pickle.trim_end_matches("data.pkl");
    let order = format!("{folder}byteorder");
    if zip.index_for_name(&order).is_some() && entry(&mut zip, &order, 16)? != b"little" {
        return Err(Fault {
            why: "its values are not little-endian".to_string(),
            hint: "read and write it again on a machine that is: `torch.save(torch.load(FILE), FILE)`",
        });
    }
    let state = pickle::state_dict(&entry(&mut zip, pickle, LONGEST)?)
        .map_err(|why| Fault { why, hint: STATE_DICT })?;
    let mut tensors = BTreeMap::new();
    for (name, pickled) in state {
        let place = place(&mut zip, folder, &pickled);
        let dtype = pickled.storage.dtype().to_string();
        tensors.insert(name, Stored { dtype, dims: pickled.dims, place });
    }
    Ok((tensors, zip))
}

fn place(zip: &mut ZipArchive<File>, folder: &str, pickled: &Pickled) -> Result<Place, String> {
    let Pickled { storage, offset, dims, strides } = pickled;
    let name = format!("{folder}data/{}", storage.key);
    let size = value_size(storage.dtype()).ok_or("is of no known type")?;
    let bytes = zip.by_name(&name).map_err(|error| format!("has no values: {error}"))?.size();
    let layout = Layout::of_view(*offset, dims, strides, bytes / size)?;
    Ok(Place { holder: Holder::Entry(name), layout })
}

/// The bytes of an entry; an error if there are more than `most`.
fn entry(zip: &mut ZipArchive<File>, name: &str, most: u64) -> Result<Vec<u8>, String> {
    let mut entry = zip.by_name(name).map_err(|error| format!("`{name}`: {error}"))?;
    let mut bytes = Vec::new();
    (&mut entry).take(most + 1).read_to_end(&mut bytes).map_err(|e| format!("`{name}`: {e}"))?;
    match bytes.len() as u64 <= most {
        true => Ok(bytes),
        false => Err(format!("`{name}` has more than {most} bytes")),
    }
}
