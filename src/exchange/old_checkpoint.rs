//! Reads checkpoints of PyTorch before 1.6, such as those of the published code. They begin with five pickles:
//! a magic number, a version, the machine's types, the state dict, and the keys of its storages. For each key
//! follow the number of values and the values. These are always little-endian, whatever types the file names.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::fault::{Fault, STATE_DICT};
use super::layout::Layout;
use super::pickle::{self, Pickled};
use super::stored::{Holder, Place, Stored, value_size};

/// The first bytes of an old checkpoint.
pub const MAGIC: [u8; 14] = *b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// The most bytes of the pickles together. Their reader may need some tens of times as much memory.
const LONGEST: u64 = 8 << 20;

/// The tensors of a file, by name.
///
/// # Errors
/// What is wrong with the file.
pub fn open(file: &mut File) -> Result<BTreeMap<String, Stored>, Fault> {
    let failed = |error: std::io::Error| error.to_string();
    let end = file.metadata().map_err(failed)?.len();
    let mut start = Vec::new();
    file.take(LONGEST).read_to_end(&mut start).map_err(failed)?;
    let pickles = pickle::old_state_dict(&start);
    let pickles = pickles.map_err(|why| Fault { why, hint: STATE_DICT })?;

    // The size of a key's values is given by the tensors that use them.
    let mut sizes = HashMap::new();
    for (name, pickled) in &pickles.state {
        let size = value_size(pickled.storage.dtype());
        if sizes.insert(&*pickled.storage.key, size).is_some_and(|before| before != size) {
            let key = &pickled.storage.key;
            return Err(format!("storage `{key}` of tensor `{name}` is of two types").into());
        }
    }
    let mut at = pickles.bytes as u64;
    let mut storages = HashMap::new();
    for key in &pickles.keys {
        let size = sizes.get(&**key).copied().flatten();
        let size = size.ok_or_else(|| format!("storage `{key}` is of no known type"))?;
        let mut count = [0; 8];
        file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut count)).map_err(failed)?;
        let count = u64::from_le_bytes(count);
        let after = count.checked_mul(size).and_then(|bytes| bytes.checked_add(at + 8));
        let after = after.filter(|after| *after <= end);
        storages.insert(&**key, Storage { at: at + 8, count });
        at = after.ok_or_else(|| format!("it ends within the {count} values of `{key}`"))?;
    }
    let stored = pickles.state.iter().map(|(name, pickled)| {
        let (dtype, dims) = (pickled.storage.dtype().to_string(), pickled.dims.clone());
        (name.clone(), Stored { dtype, dims, place: place(pickled, &storages) })
    });
    Ok(stored.collect())
}

/// Where the values of a key lie, and how many there are.
struct Storage {
    at: u64,
    count: u64,
}

fn place(pickled: &Pickled, storages: &HashMap<&str, Storage>) -> Result<Place, String> {
    let Pickled { storage, offset, dims, strides } = pickled;
    let storage = storages.get(&*storage.key).ok_or("has no values")?;
    let layout = Layout::of_view(*offset, dims, strides, storage.count)?;
    Ok(Place { holder: Holder::At(storage.at), layout })
}
