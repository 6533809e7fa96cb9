//! Named parameters: drawn, trained, frozen, saved and loaded.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Tensor, Var};
use gimlet_store::Location;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::device::{self, Device};
use crate::random::generator;
use crate::{Error, Kind, Result};

/// The key of a safetensors file's metadata under which gimlet says what the parameters are.
pub(crate) const METADATA_KEY: &str = "gimlet";

/// The key of the parameters' hash in that metadata. It lies in the file because a checkpoint has no record beside it.
pub(crate) const HASH: &str = "blake3";

/// The name and shape of a parameter, and its values at the start of training.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterShape {
    /// Its name, unique in its [`Parameters`].
    pub name: String,
    /// The length of each axis.
    pub dims: Vec<usize>,
    /// Its values at the start of training.
    pub init: Init,
}

impl ParameterShape {
    /// A parameter whose first values are drawn ([`Init::Uniform`]).
    pub fn drawn(name: impl Into<String>, dims: Vec<usize>, fan_in: usize) -> Self {
        Self { name: name.into(), dims, init: Init::Uniform { fan_in } }
    }

    /// Puts `prefix` and a dot in front of the name.
    #[must_use]
    pub fn under(self, prefix: &str) -> Self {
        Self { name: format!("{prefix}.{}", self.name), ..self }
    }
}

/// The values of a parameter at the start of training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// PyTorch's default for convolutions and linear layers, weights and biases alike: uniform in
    /// (-1/sqrt(fan_in), 1/sqrt(fan_in)).
    Uniform {
        /// The number of values that one output value is a sum over.
        fan_in: usize,
    },
    /// One value everywhere.
    Constant(f32),
}

/// Parameters by name, each an f32 tensor, on one device. In a checkpoint, tensors of u8 hold what others have written.
///
/// Convolution weights lie as `[kernel, kernel, channels, out_channels]`.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    tensors: BTreeMap<String, Tensor>,
    device: Device,
}

impl Parameters {
    /// Draws parameters for the start of training. `purpose` names what they belong to.
    ///
    /// # Errors
    /// When a tensor cannot be made.
    pub fn draw(shapes: &[ParameterShape], seed: u64, purpose: &str) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        for shape in shapes {
            let len = shape.dims.iter().product();
            let values: Vec<f32> = match shape.init {
                Init::Uniform { fan_in } => {
                    let bound = 1.0 / (fan_in as f32).sqrt();
                    let mut draws = generator(seed, &format!("{purpose}/init/{}", shape.name), &[]);
                    (0..len).map(|_| draws.between(-bound, bound)).collect()
                }
                Init::Constant(value) => vec![value; len],
            };
            let tensor =
                Tensor::from_vec(values, shape.dims.as_slice(), &candle_core::Device::Cpu)?;
            tensors.insert(shape.name.clone(), tensor);
        }
        Ok(Self { tensors, device: Device::Cpu })
    }

    /// Parameters from tensors in the machine's own memory.
    pub fn from_tensors(tensors: impl IntoIterator<Item = (String, Tensor)>) -> Self {
        Self { tensors: tensors.into_iter().collect(), device: Device::Cpu }
    }

    /// The device that the parameters lie on; what they belong to computes there.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Copies the parameters to `device`.
    ///
    /// # Errors
    /// When a tensor cannot be copied there.
    pub fn on(&self, device: &Device) -> Result<Self> {
        Ok(Self { device: device.clone(), ..self.map(|tensor| device.take(tensor))? })
    }

    /// Adds the parameters of `other`, with `prefix` and a dot in front of their names.
    pub fn extend(&mut self, prefix: &str, other: Parameters) {
        let renamed = other.tensors.into_iter().map(|(k, v)| (format!("{prefix}.{k}"), v));
        self.tensors.extend(renamed);
    }

    /// The parameters whose names begin with `prefix` and a dot; the names lose both.
    pub fn under(&self, prefix: &str) -> Parameters {
        let found = self.tensors.iter().filter_map(|(name, tensor)| {
            let rest = name.strip_prefix(prefix)?.strip_prefix('.')?;
            Some((rest.to_string(), tensor.clone()))
        });
        Self { tensors: found.collect(), device: self.device.clone() }
    }

    /// All parameters except those whose names begin with `prefix` and a dot.
    pub fn without(&self, prefix: &str) -> Parameters {
        let dotted = format!("{prefix}.");
        let kept = self.tensors.iter().filter(|(name, _)| !name.starts_with(&dotted));
        let kept = kept.map(|(name, tensor)| (name.clone(), tensor.clone()));
        Self { tensors: kept.collect(), device: self.device.clone() }
    }

    /// Copies the parameters into variables, which a graph of gradients can start from.
    ///
    /// # Errors
    /// When a tensor cannot be copied.
    pub fn trainable(&self) -> Result<(Parameters, Vec<(String, Var)>)> {
        let mut variables = Vec::with_capacity(self.tensors.len());
        let mut tensors = BTreeMap::new();
        for (name, tensor) in &self.tensors {
            let variable = Var::from_tensor(tensor)?;
            tensors.insert(name.clone(), variable.as_tensor().clone());
            variables.push((name.clone(), variable));
        }
        Ok((Self { tensors, device: self.device.clone() }, variables))
    }

    /// Copies the parameters to the machine's own memory, outside any graph. Later changes to the variables do
    /// not reach the copy.
    ///
    /// # Errors
    /// When a tensor cannot be copied.
    pub fn frozen(&self) -> Result<Parameters> {
        self.map(|tensor| device::home(&tensor.detach().copy()?))
    }

    /// The results of `of` under the names of the tensors, in the machine's own memory.
    fn map(&self, of: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let each = self.tensors.iter().map(|(name, tensor)| Ok((name.clone(), of(tensor)?)));
        Ok(Self { tensors: each.collect::<Result<_>>()?, device: Device::Cpu })
    }

    /// Names and tensors, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The number of values in all parameters.
    pub fn count(&self) -> usize {
        self.tensors.values().map(Tensor::elem_count).sum()
    }

    /// The parameter of this name.
    ///
    /// # Errors
    /// When it is missing or has another shape.
    pub fn get(&self, shape: &ParameterShape) -> Result<Tensor> {
        let name = &shape.name;
        match self.tensors.get(name) {
            Some(tensor) if tensor.dims() == shape.dims => Ok(tensor.clone()),
            Some(tensor) => {
                let (found, expected) = (tensor.dims(), &shape.dims);
                let message = format!("parameter `{name}` has shape {found:?}, not {expected:?}");
                Err(Error::new(Kind::Damaged, message))
            }
            None => Err(Error::new(Kind::Damaged, format!("parameter `{name}` is missing"))),
        }
    }

    /// The parameters as a safetensors file; `about` goes, as JSON, into its metadata.
    ///
    /// The bytes depend on the parameters and `about` alone: equal parameters give equal files.
    ///
    /// # Errors
    /// When a tensor cannot be read out.
    pub fn to_safetensors(&self, about: &serde_json::Value) -> Result<Vec<u8>> {
        let mut raw = Vec::with_capacity(self.tensors.len());
        for (name, tensor) in &self.tensors {
            raw.push((name, tensor, bytes_of(tensor)?));
        }
        let failed = |error| Error::failed(format!("could not serialise parameters: {error}"));
        let mut views = Vec::with_capacity(raw.len());
        for (name, tensor, bytes) in &raw {
            let dtype = if tensor.dtype() == DType::U8 { Dtype::U8 } else { Dtype::F32 };
            let dims = tensor.dims().to_vec();
            let view = TensorView::new(dtype, dims, bytes).map_err(failed)?;
            views.push((name.as_str(), view));
        }
        let mut about = about.clone();
        if let Some(about) = about.as_object_mut() {
            about.insert(HASH.to_string(), self.hash()?.into());
        }
        // One key: the order of several would change from run to run.
        let metadata = HashMap::from([(METADATA_KEY.to_string(), about.to_string())]);
        safetensors::serialize(views, Some(metadata)).map_err(failed)
    }

    /// Reads the `about` of a file that [`Self::to_safetensors`] made, from its header alone; `None` when there is no
    /// file, or no `about` in it.
    pub fn about(at: &Location) -> Option<serde_json::Value> {
        /// The longest header in bytes: far more than the names of all parameters take.
        const LONGEST: u64 = 1 << 24;
        let start = at.read_up_to(8).ok()?;
        let length = u64::from_le_bytes(start.try_into().ok()?);
        let length = Some(length).filter(|length| *length <= LONGEST)?;
        let header = at.read_up_to(8 + length).ok()?;
        let header: serde_json::Value = serde_json::from_slice(header.get(8..)?).ok()?;
        serde_json::from_str(header["__metadata__"][METADATA_KEY].as_str()?).ok()
    }

    /// Reads parameters and their `about` from the bytes of a file that [`Self::to_safetensors`] made; `path` is for
    /// messages.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when the bytes are not a file of parameters, or the values do not match their hash.
    pub fn from_safetensors(bytes: &[u8], path: &Path) -> Result<(Self, serde_json::Value)> {
        let damaged = |what: String| {
            Error::new(Kind::Damaged, format!("`{}` is damaged: {what}", path.display()))
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(e.to_string()))?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(e.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            let home = &candle_core::Device::Cpu;
            let tensor = match view.dtype() {
                Dtype::F32 => {
                    let (values, _) = view.data().as_chunks::<4>();
                    let values = values.iter().map(|raw| f32::from_le_bytes(*raw));
                    Tensor::from_vec(values.collect::<Vec<_>>(), view.shape(), home)?
                }
                Dtype::U8 => Tensor::from_slice(view.data(), view.shape(), home)?,
                _ => return Err(damaged(format!("tensor `{name}` is neither f32 nor u8"))),
            };
            tensors.insert(name, tensor);
        }
        let about = header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA_KEY));
        let about = about.ok_or_else(|| damaged(format!("no `{METADATA_KEY}` in its metadata")))?;
        let about: serde_json::Value =
            serde_json::from_str(about).map_err(|e| damaged(e.to_string()))?;
        let parameters = Self::from_tensors(tensors);
        if let Some(hash) = about.get(HASH)
            && *hash != parameters.hash()?
        {
            return Err(damaged("its values are not what was written".to_string()));
        }
        Ok((parameters, about))
    }

    /// BLAKE3 of names, shapes and values, in hex.
    ///
    /// # Errors
    /// When a tensor cannot be read out.
    pub fn hash(&self) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        for (name, tensor) in &self.tensors {
            hasher.update(format!("{name} {:?}\n", tensor.dims()).as_bytes());
            hasher.update(&bytes_of(tensor)?);
        }
        Ok(hasher.finalize().to_hex().to_string())
    }
}

/// The values of a tensor of f32 or u8 as they lie in a file.
fn bytes_of(tensor: &Tensor) -> Result<Vec<u8>> {
    let flat = tensor.flatten_all()?;
    if tensor.dtype() == DType::U8 {
        return Ok(flat.to_vec1::<u8>()?);
    }
    let values = flat.to_vec1::<f32>()?;
    Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect())
}
