//! Reads files of named tensors from other programs: safetensors, or a PyTorch checkpoint.
//!
//! Opening a file reads names, types and shapes, within fixed bounds. A tensor is read only on request, with
//! its expected shape: no file can make us hold more than expected.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde_json::Value;
use zip::ZipArchive;

use super::fault::Fault;
use super::stored::{Holder, Place, Stored};
use super::{checkpoint, old_checkpoint, other_file, safetensors_file};
use crate::source::plain_file;
use crate::{Error, Result};

pub enum Values {
    File(File),
    Archive(ZipArchive<File>),
}

pub struct TensorFile {
    pub path: PathBuf,
    pub tensors: BTreeMap<String, Stored>,
    /// The metadata that `gimlet export` wrote into it.
    pub about: Option<Value>,
    values: Values,
    /// The hash of the file's bytes.
    pub blake3: String,
    /// The types that were converted to f32 so far, as the file names them.
    pub converted: BTreeSet<String>,
}

impl TensorFile {
    /// Opens a file of any of these formats.
    ///
    /// # Errors
    /// When it cannot be read, or has another format.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error| Error::io("read", path, error);
        let mut file = plain_file::open(path).map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        io::copy(&mut file, &mut hasher).map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut start = Vec::new();
        (&file).take(other_file::ENOUGH).read_to_end(&mut start).map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let opened = match start.as_slice() {
            [b'P', b'K', ..] => {
                checkpoint::open(file).map(|(tensors, zip)| (tensors, None, Values::Archive(zip)))
            }
            start if start.starts_with(&old_checkpoint::MAGIC) => {
                old_checkpoint::open(&mut file).map(|tensors| (tensors, None, Values::File(file)))
            }
            [_, _, _, _, _, _, _, _, b'{', ..] => safetensors_file::open(&mut file)
                .map(|(tensors, about)| (tensors, about, Values::File(file)))
                .map_err(Fault::from),
            start => Err(other_file::fault(start)),
        };
        let (tensors, about, values) = opened.map_err(|Fault { why, hint }| {
            let message = format!("`{}` holds no weights that can be read: {why}", path.display());
            Error::failed(message).hint(hint)
        })?;
        let blake3 = hasher.finalize().to_hex().to_string();
        let converted = BTreeSet::new();
        Ok(Self { path: path.to_path_buf(), tensors, about, values, blake3, converted })
    }

    /// Reads a tensor by name and shape, as f32: f16, bf16 and f64 are converted.
    ///
    /// # Errors
    /// When the tensor is missing, or has another shape or an unsupported type; when its values are incomplete
    /// or not all finite.
    pub fn read(&mut self, name: &str, dims: &[usize]) -> Result<Tensor> {
        let path = self.path.display().to_string();
        let wrong = |what: String, hint: &str| {
            Error::failed(format!("tensor `{name}` of `{path}` {what}")).hint(hint)
        };
        let Some(stored) = self.tensors.get(name) else {
            return Err(wrong(format!("of shape {dims:?} is missing"), WHAT_FITS));
        };
        if stored.dims != dims {
            let found = &stored.dims;
            return Err(wrong(format!("has shape {found:?}, expected {dims:?}"), WHAT_FITS));
        }
        let Some(dtype) = dtype(&stored.dtype) else {
            let known = "expected f32, f16, bf16 or f64";
            let hint = "save it as f32: `tensor.float()`";
            return Err(wrong(format!("of shape {dims:?} is {}, {known}", stored.dtype), hint));
        };
        let place = stored.place.as_ref();
        let place = place.map_err(|why| wrong(format!("of shape {dims:?} {why}"), DAMAGED))?;
        let size = dtype.size_in_bytes();
        let bytes = read_values(&mut self.values, place, size).map_err(|error| {
            wrong(format!("of shape {dims:?} cannot be read: {error}"), DAMAGED)
        })?;
        if dtype != DType::F32 {
            self.converted.insert(stored.dtype.clone());
        }
        let tensor = Tensor::from_raw_buffer(&bytes, dtype, dims, &Device::Cpu)?;
        // A finite f64 may be infinite in f32.
        let values = tensor.to_dtype(DType::F32)?;
        let all: Vec<f32> = values.flatten_all()?.to_vec1()?;
        if let Some(at) = all.iter().position(|it| !it.is_finite()) {
            let value = tensor.flatten_all()?.get(at)?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
            let hint = "its training has diverged: take an earlier checkpoint";
            return Err(wrong(format!("of shape {dims:?} holds {value:e}"), hint));
        }
        Ok(values)
    }
}

/// The hint for names or shapes that do not fit the pipeline's modules.
pub const WHAT_FITS: &str =
    "the pipeline's layers and its loss must be those that the file was made with";

/// The hint for an incomplete file.
const DAMAGED: &str = "the file is damaged: fetch it again, or save it again";

/// The supported types, by their names in both formats.
fn dtype(name: &str) -> Option<DType> {
    Some(match name {
        "F32" | "FloatStorage" => DType::F32,
        "F16" | "HalfStorage" => DType::F16,
        "BF16" | "BFloat16Storage" => DType::BF16,
        "F64" | "DoubleStorage" => DType::F64,
        _ => return None,
    })
}

/// The bytes of a tensor's values of `size` bytes each, in the order of its dimensions.
fn read_values(
    values: &mut Values,
    Place { holder, layout }: &Place,
    size: usize,
) -> io::Result<Vec<u8>> {
    let before = layout.first.checked_mul(size as u64).ok_or(io::ErrorKind::InvalidData)?;
    match (values, holder) {
        (Values::File(file), Holder::At(start)) => {
            let at = start.checked_add(before).ok_or(io::ErrorKind::InvalidData)?;
            file.seek(SeekFrom::Start(at))?;
            layout.read(file, size)
        }
        (Values::Archive(zip), Holder::Entry(name)) => {
            let mut entry = zip.by_name(name).map_err(io::Error::other)?;
            io::copy(&mut (&mut entry).take(before), &mut io::sink())?;
            let bytes = layout.read(&mut entry, size)?;
            // Reading to the end of the entry checks its CRC.
            io::copy(&mut entry, &mut io::sink())?;
            Ok(bytes)
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
