//! The tensors of a safetensors file; the first dimension of each counts rows.

use std::io::Read;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::element::{Element, Encoded};
use super::npy;
use super::npz::Arrays;
use super::plain_file;
use super::row_array::Array;
use crate::{Error, Result};

/// The most bytes of a header, as in the format's own library.
const LONGEST: u64 = 100 << 20;

/// Opens all tensors of a file, by their names. Those of types that hold neither activations nor labels are left out.
///
/// # Errors
/// When it is no such file.
pub fn open(path: &Path) -> Result<Arrays> {
    let failed = |error| Error::io("read", path, error);
    let wrong = |what: String| {
        Error::failed(format!("`{}` is no safetensors file: {what}", path.display()))
            .hint("write it with `safetensors.numpy.save_file({\"activation\": array}, file)`")
    };
    let mut file = plain_file::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let mut length = [0; 8];
    if bytes < 8 {
        return Err(wrong(format!("it has {bytes} bytes")));
    }
    file.read_exact(&mut length).map_err(failed)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST.min(bytes - 8) {
        return Err(wrong(format!("a header of {length} bytes in a file of {bytes}")));
    }
    let mut text = vec![0; length as usize];
    file.read_exact(&mut text).map_err(failed)?;
    let header: Metadata =
        serde_json::from_slice(&text).map_err(|error| wrong(format!("its header: {error}")))?;
    let start = 8 + length;
    if start + header.data_len() as u64 != bytes {
        let needed = start + header.data_len() as u64;
        return Err(wrong(format!("it has {bytes} bytes, its header speaks of {needed}")));
    }
    let mut arrays = Arrays::new();
    for (name, info) in header.tensors() {
        let Some(element) = element(info.dtype) else { continue };
        let called = format!("tensor `{name}` of `{}`", path.display());
        let from = start + info.data_offsets.0 as u64;
        let array = npy::split(info.shape.clone(), &called)
            .and_then(|shape| Array::within(path, from, shape, Encoded::little(element)));
        arrays.insert(name, array);
    }
    Ok(arrays)
}

fn element(dtype: Dtype) -> Option<Element> {
    let whole = |bytes, signed| Some(Element::Whole { bytes, signed });
    match dtype {
        Dtype::F16 => Some(Element::F16),
        Dtype::BF16 => Some(Element::Bf16),
        Dtype::F32 => Some(Element::F32),
        Dtype::F64 => Some(Element::F64),
        Dtype::BOOL | Dtype::U8 => whole(1, false),
        Dtype::I8 => whole(1, true),
        Dtype::U16 => whole(2, false),
        Dtype::I16 => whole(2, true),
        Dtype::U32 => whole(4, false),
        Dtype::I32 => whole(4, true),
        Dtype::U64 => whole(8, false),
        Dtype::I64 => whole(8, true),
        _ => None,
    }
}
