//! Choosing a device on the command line.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;

/// `cpu`, `cuda` or `cuda:N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// Burn's flex backend on all cores.
    #[default]
    Cpu,
    /// The NVIDIA GPU of this number; without one the first, or of several processes on a machine each its own.
    Cuda(Option<usize>),
}

/// A device that does not exist, or not for this build.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Not a device's name.
    #[error("no device named `{0}`; choose `cpu`, `cuda`, or `cuda:N` for GPU number N")]
    Name(String),
    /// The program was built without CUDA.
    #[error("this program was built without CUDA; build it with `--features cuda`, or choose `--device cpu`")]
    NotBuilt,
    /// No GPU has this number.
    #[error("there is no GPU number {number}: CUDA sees {available}")]
    Missing {
        /// Number asked for.
        number: usize,
        /// How many there are.
        available: usize,
    },
}

betty_runtime::debug_as_report!(DeviceError);

impl DeviceChoice {
    /// The device itself, for process number `process` of its machine.
    ///
    /// # Errors
    /// When this build or this machine does not have it.
    pub fn open(self, process: usize) -> Result<Device, DeviceError> {
        match self {
            DeviceChoice::Cpu => Ok(Device::flex()),
            DeviceChoice::Cuda(number) => cuda(number.unwrap_or(process)),
        }
    }
}

#[cfg(feature = "cuda")]
fn cuda(number: usize) -> Result<Device, DeviceError> {
    let available = Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec().len();
    if number < available { Ok(Device::cuda(number)) } else { Err(DeviceError::Missing { number, available }) }
}

#[cfg(not(feature = "cuda"))]
fn cuda(_number: usize) -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt)
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        match name.split_once(':') {
            None if name == "cpu" => Some(DeviceChoice::Cpu),
            None if name == "cuda" => Some(DeviceChoice::Cuda(None)),
            Some(("cuda", number)) => number.parse().ok().map(Some).map(DeviceChoice::Cuda),
            _ => None,
        }
        .ok_or_else(|| DeviceError::Name(name.into()))
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Cuda(None) => f.write_str("cuda"),
            DeviceChoice::Cuda(Some(number)) => write!(f, "cuda:{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_printed() {
        let choices = [DeviceChoice::Cpu, DeviceChoice::Cuda(None), DeviceChoice::Cuda(Some(3))];
        for (name, choice) in ["cpu", "cuda", "cuda:3"].into_iter().zip(choices) {
            assert_eq!(name.parse(), Ok(choice));
            assert_eq!(choice.to_string(), name);
        }
    }

    #[test]
    fn other_names_are_refused() {
        for name in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0"] {
            assert_eq!(name.parse::<DeviceChoice>(), Err(DeviceError::Name(name.into())));
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn cuda_needs_its_feature() {
        assert_eq!(DeviceChoice::Cuda(None).open(0).err(), Some(DeviceError::NotBuilt));
    }
}
