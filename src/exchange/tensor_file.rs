//! A file of named tensors that others made: safetensors, or a checkpoint of PyTorch.
//!
//! Opening one reads names, types and shapes, within fixed bounds. A tensor is read when it is asked
//! for by its shape: no file makes us hold more than what was expected of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde_json::Value;
use zip::ZipArchive;

use super::{checkpoint, old_checkpoint, safetensors_file};
use crate::source::plain_file;
use crate::{Error, Result};

/// What is known of a tensor before it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its type as the file calls it.
    pub dtype: String,
    pub dims: Vec<usize>,
    /// Where its values lie, one after the other and little-endian; `Err` says why they do not.
    pub place: Result<Place, String>,
}

/// Where the values of a tensor lie.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// At this offset in the file.
    At(u64),
    /// In an entry of the archive that the file is, behind so many values.
    Entry { name: String, skip: u64 },
}

/// How the values are read.
pub enum Values {
    File(File),
    Archive(ZipArchive<File>),
}

/// An open file.
pub struct TensorFile {
    path: PathBuf,
    tensors: BTreeMap<String, Stored>,
    about: Option<Value>,
    values: Values,
    blake3: String,
}

impl TensorFile {
    /// Opens a file, whichever of these it is.
    ///
    /// # Errors
    /// When it cannot be read, or is none of them.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error| Error::io("read", path, error);
        let mut file = plain_file::open(path).map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        io::copy(&mut file, &mut hasher).map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut start = Vec::new();
        (&file).take(old_checkpoint::MAGIC.len() as u64).read_to_end(&mut start).map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let opened =
            match start.as_slice() {
                [b'P', b'K', ..] => checkpoint::open(file)
                    .map(|(tensors, zip)| (tensors, None, Values::Archive(zip))),
                start if start == old_checkpoint::MAGIC => old_checkpoint::open(&mut file)
                    .map(|tensors| (tensors, None, Values::File(file))),
                [_, _, _, _, _, _, _, _, b'{', ..] => safetensors_file::open(&mut file)
                    .map(|(tensors, about)| (tensors, about, Values::File(file))),
                _ => Err("it is neither safetensors nor a checkpoint of PyTorch".to_string()),
            };
        let (tensors, about, values) = opened.map_err(|why| {
            let message = format!("`{}` holds no weights that can be read: {why}", path.display());
            Error::failed(message)
                .hint("name a safetensors file, or a state dict that `torch.save` wrote")
        })?;
        let blake3 = hasher.finalize().to_hex().to_string();
        Ok(Self { path: path.to_path_buf(), tensors, about, values, blake3 })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Of its bytes.
    pub fn blake3(&self) -> &str {
        &self.blake3
    }

    /// The names of its tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// What `gimlet export` has said in it.
    pub fn about(&self) -> Option<&Value> {
        self.about.as_ref()
    }

    /// A tensor of this name and shape, as f32: f16, bf16 and f64 are converted.
    ///
    /// # Errors
    /// When there is none, it has another shape or no such type, or its values are not all there and
    /// finite.
    pub fn read(&mut self, name: &str, dims: &[usize]) -> Result<Tensor> {
        let path = self.path.display().to_string();
        let wrong = |what: String| Error::failed(format!("tensor `{name}` of `{path}` {what}"));
        let Some(stored) = self.tensors.get(name) else {
            return Err(wrong(format!("is missing: expected {dims:?}, found none")));
        };
        if stored.dims != dims {
            return Err(wrong(format!("has shape {:?}, expected {dims:?}", stored.dims)));
        }
        let Some(dtype) = dtype(&stored.dtype) else {
            let known = "expected f32, f16, bf16 or f64";
            return Err(wrong(format!("of shape {dims:?} is {}, {known}", stored.dtype)));
        };
        let place = stored.place.clone().map_err(|why| wrong(format!("of {dims:?} {why}")))?;
        let len = dims.iter().product::<usize>() as u64 * dtype.size_in_bytes() as u64;
        let bytes = read_values(&mut self.values, &place, dtype.size_in_bytes() as u64, len)
            .map_err(|error| wrong(format!("of shape {dims:?} cannot be read: {error}")))?;
        let tensor = Tensor::from_raw_buffer(&bytes, dtype, dims, &Device::Cpu)?;
        let tensor = tensor.to_dtype(DType::F32)?;
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(wrong(format!("of shape {dims:?} holds {value}"))),
            None => Ok(tensor),
        }
    }
}

/// The types that are read, under both formats' names.
fn dtype(name: &str) -> Option<DType> {
    Some(match name {
        "F32" | "FloatStorage" => DType::F32,
        "F16" | "HalfStorage" => DType::F16,
        "BF16" | "BFloat16Storage" => DType::BF16,
        "F64" | "DoubleStorage" => DType::F64,
        _ => return None,
    })
}

/// `len` bytes of values of `size` bytes each.
fn read_values(values: &mut Values, place: &Place, size: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match (values, place) {
        (Values::File(file), Place::At(offset)) => {
            file.seek(SeekFrom::Start(*offset))?;
            file.take(len).read_to_end(&mut bytes)?;
        }
        (Values::Archive(zip), Place::Entry { name, skip }) => {
            let mut entry = zip.by_name(name).map_err(io::Error::other)?;
            let skip = skip.checked_mul(size).ok_or(io::ErrorKind::InvalidData)?;
            io::copy(&mut (&mut entry).take(skip), &mut io::sink())?;
            (&mut entry).take(len).read_to_end(&mut bytes)?;
            // At the end of the entry its CRC is compared.
            io::copy(&mut entry, &mut io::sink())?;
        }
        _ => return Err(io::ErrorKind::InvalidData.into()),
    }
    match bytes.len() as u64 == len {
        true => Ok(bytes),
        false => Err(io::Error::other(format!("{} bytes of {len} are there", bytes.len()))),
    }
}
