//! Where modules compute: by our kernels on the CPU, or by candle's operations on any of its devices.

use std::fmt;
use std::str::FromStr;

use candle_core::{Device as Candle, DeviceLocation, Tensor};
use serde::{Deserialize, Serialize};

use crate::{Error, Kind, Result};

/// The name of a device; the machine need not have the device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceName {
    /// `cpu`: our kernels.
    #[default]
    Cpu,
    /// `candle`: candle's own operations on the CPU.
    Candle,
    /// `cuda` for the first one, or `cuda:N`.
    Cuda(usize),
    /// `metal`, or `metal:N`.
    Metal(usize),
}

/// A device that modules compute on. Parameters, activations and gradients lie on it.
#[derive(Debug, Clone, Default)]
pub enum Device {
    /// The CPU, by our kernels.
    #[default]
    Cpu,
    /// A device of candle, by candle's own operations.
    Candle(Candle),
    /// A device that other processes compute on: those of modules in PyTorch. Here it is the CPU.
    Elsewhere(DeviceName),
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let (kind, number) = name.split_once(':').unwrap_or((name, "0"));
        let numbered = number.parse::<usize>();
        match (kind, numbered) {
            ("cpu", Ok(0)) => Ok(Self::Cpu),
            ("candle", Ok(0)) => Ok(Self::Candle),
            ("cuda", Ok(number)) => Ok(Self::Cuda(number)),
            ("metal", Ok(number)) => Ok(Self::Metal(number)),
            _ => Err("one of `cpu`, `cuda`, `cuda:N`, `metal`, `candle`".to_string()),
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Candle => f.write_str("candle"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::Metal(number) => write!(f, "metal:{number}"),
        }
    }
}

impl TryFrom<String> for DeviceName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<DeviceName> for String {
    fn from(name: DeviceName) -> Self {
        name.to_string()
    }
}

impl DeviceName {
    /// The device of this name, for a stack whose modules all compute in other processes. This program need not have
    /// been built with it.
    pub fn elsewhere(self) -> Device {
        match self {
            Self::Cpu => Device::Cpu,
            named => Device::Elsewhere(named),
        }
    }

    /// Opens the device of this name.
    ///
    /// # Errors
    /// [`Kind::Usage`] when this gimlet was built without it, [`Kind::Failed`] when the machine does not have it.
    pub fn open(self) -> Result<Device> {
        let (built, feature, device) = match self {
            Self::Cpu => return Ok(Device::Cpu),
            Self::Candle => return Ok(Device::Candle(Candle::Cpu)),
            Self::Cuda(number) => (cfg!(feature = "cuda"), "cuda", Candle::new_cuda(number)),
            Self::Metal(number) => (cfg!(feature = "metal"), "metal", Candle::new_metal(number)),
        };
        if !built {
            let message = format!("this gimlet was built without `{feature}`");
            let hint = format!(
                "build it with `cargo build --release --features {feature}`, or leave `--device` out"
            );
            return Err(Error::new(Kind::Usage, message).hint(hint));
        }
        let device = device.map_err(|error| {
            Error::failed(format!("could not open the device `{self}`: {error}"))
                .hint("see that the driver is there and the number is right")
        })?;
        Ok(Device::Candle(device))
    }
}

impl Device {
    /// The name that opens this device.
    pub fn name(&self) -> DeviceName {
        match self {
            Self::Cpu => DeviceName::Cpu,
            Self::Elsewhere(named) => *named,
            Self::Candle(device) => match device.location() {
                DeviceLocation::Cpu => DeviceName::Candle,
                DeviceLocation::Cuda { gpu_id } => DeviceName::Cuda(gpu_id),
                DeviceLocation::Metal { gpu_id } => DeviceName::Metal(gpu_id),
            },
        }
    }

    /// The candle device on which tensors of this device lie.
    pub fn tensors(&self) -> &Candle {
        match self {
            Self::Cpu | Self::Elsewhere(_) => &Candle::Cpu,
            Self::Candle(device) => device,
        }
    }

    /// Whether our kernels compute on this device.
    pub fn has_kernels(&self) -> bool {
        matches!(self, Self::Cpu | Self::Elsewhere(_))
    }

    /// Copies the tensor to this device, unless it lies there already.
    ///
    /// # Errors
    /// When it cannot be copied there.
    pub fn take(&self, tensor: &Tensor) -> Result<Tensor> {
        Ok(tensor.to_device(self.tensors())?)
    }
}

/// Copies the tensor to the machine's own memory, unless it lies there already.
///
/// # Errors
/// When it cannot be copied there.
pub fn home(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.to_device(&Candle::Cpu)?)
}
