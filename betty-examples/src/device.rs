//! Choosing a device on the command line.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;

/// `cpu`, `cuda`, `wgpu` or `rocm`, and of the last three also `cuda:N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// Burn's flex backend on all cores.
    #[default]
    Cpu,
    /// The device of this number among those that an interface sees; without one the best, or of several processes on a machine
    /// each its own.
    Gpu(Interface, Option<usize>),
}

/// A way to devices that are no CPU. Each is a feature of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// NVIDIA's GPUs.
    Cuda,
    /// Whatever Vulkan or Metal reach, software included.
    Wgpu,
    /// AMD's GPUs.
    Rocm,
}

/// A device that does not exist, or not for this build.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Not a device's name.
    #[error("no device named `{0}`; choose `cpu`, `cuda`, `wgpu` or `rocm`, or `cuda:N` for device number N")]
    Name(String),
    /// The program was built without the interface.
    #[error("this program was built without `{0}`; build it with `--features {0}`, or choose `--device cpu`")]
    NotBuilt(Interface),
    /// The interface sees no device at all.
    #[error("`{0}` sees no device; is a driver installed?")]
    Nothing(Interface),
    /// No device has this number.
    #[error("there is no device number {number}: `{interface}` sees {available}")]
    Missing {
        /// Through what it was asked for.
        interface: Interface,
        /// Number asked for.
        number: usize,
        /// How many there are.
        available: usize,
    },
}

betty_runtime::debug_as_report!(DeviceError);

impl DeviceChoice {
    /// The device itself; for one of several processes of a machine, with that one's number.
    ///
    /// # Errors
    /// When this build or this machine does not have it.
    pub fn open(self, process: Option<usize>) -> Result<Device, DeviceError> {
        match self {
            DeviceChoice::Cpu => Ok(Device::flex()),
            DeviceChoice::Gpu(interface, number) => interface.device(number.or(process)),
        }
    }
}

impl Interface {
    const ALL: [Interface; 3] = [Interface::Cuda, Interface::Wgpu, Interface::Rocm];

    /// As it is written.
    const fn name(self) -> &'static str {
        match self {
            Interface::Cuda => "cuda",
            Interface::Wgpu => "wgpu",
            Interface::Rocm => "rocm",
        }
    }

    /// The device of this number, or the one that the interface prefers.
    fn device(self, number: Option<usize>) -> Result<Device, DeviceError> {
        let (mut devices, preferred) = self.seen().ok_or(DeviceError::NotBuilt(self))?;
        let available = devices.len();
        match number {
            _ if available == 0 => Err(DeviceError::Nothing(self)),
            None => Ok(preferred),
            Some(number) if number < available => Ok(devices.swap_remove(number)),
            Some(number) => Err(DeviceError::Missing { interface: self, number, available }),
        }
    }

    /// The devices that the interface sees, and the one that it prefers, if the program was built with it.
    fn seen(self) -> Option<(Vec<Device>, Device)> {
        match self {
            #[cfg(feature = "cuda")]
            Interface::Cuda => Some((Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec(), Device::cuda(0))),
            #[cfg(feature = "wgpu")]
            Interface::Wgpu => {
                let preferred = Device::wgpu(burn::tensor::DeviceKind::DefaultDevice);
                Some((Device::enumerate(burn::tensor::DeviceType::Wgpu).into_vec(), preferred))
            }
            #[cfg(feature = "rocm")]
            Interface::Rocm => Some((Device::enumerate(burn::tensor::DeviceType::Rocm).into_vec(), Device::rocm(0))),
            #[allow(unreachable_patterns, reason = "a build may have all of them")]
            _ => None,
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Name(name.into());
        if name == "cpu" {
            return Ok(DeviceChoice::Cpu);
        }
        let (interface, number) = match name.split_once(':') {
            None => (name, None),
            Some((interface, number)) => (interface, Some(number.parse().map_err(|_| unknown())?)),
        };
        let interface = Interface::ALL.into_iter().find(|known| known.name() == interface);
        interface.map(|interface| DeviceChoice::Gpu(interface, number)).ok_or_else(unknown)
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Gpu(interface, None) => interface.fmt(f),
            DeviceChoice::Gpu(interface, Some(number)) => write!(f, "{interface}:{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_printed() {
        let of = DeviceChoice::Gpu;
        let choices = [
            ("cpu", DeviceChoice::Cpu),
            ("cuda", of(Interface::Cuda, None)),
            ("cuda:3", of(Interface::Cuda, Some(3))),
            ("wgpu", of(Interface::Wgpu, None)),
            ("wgpu:0", of(Interface::Wgpu, Some(0))),
            ("rocm", of(Interface::Rocm, None)),
            ("rocm:1", of(Interface::Rocm, Some(1))),
        ];
        for (name, choice) in choices {
            assert_eq!(name.parse(), Ok(choice));
            assert_eq!(choice.to_string(), name);
        }
    }

    #[test]
    fn other_names_are_refused() {
        for name in ["", "gpu", "cuda:", "cuda:-1", "wgpu:x", "cpu:0", "vulkan", ":0"] {
            assert_eq!(name.parse::<DeviceChoice>(), Err(DeviceError::Name(name.into())));
        }
    }

    #[test]
    fn an_interface_that_is_not_built_names_its_feature() {
        for interface in Interface::ALL {
            if interface.seen().is_none() {
                let error = DeviceChoice::Gpu(interface, None).open(None).expect_err("not built");
                assert_eq!(error, DeviceError::NotBuilt(interface));
                assert!(error.to_string().contains(&format!("`--features {interface}`")));
            }
        }
    }

    /// A software adapter is a device like any other.
    #[cfg(feature = "wgpu")]
    #[test]
    fn devices_of_wgpu_have_numbers() {
        let available = Device::enumerate(burn::tensor::DeviceType::Wgpu).into_vec().len();
        let open = |number, process| DeviceChoice::Gpu(Interface::Wgpu, number).open(process);
        if available == 0 {
            assert_eq!(open(None, None).err(), Some(DeviceError::Nothing(Interface::Wgpu)));
            return;
        }
        assert!(open(None, None).is_ok());
        assert_eq!(open(Some(0), None), open(None, Some(0)));
        let number = available;
        let missing = DeviceError::Missing { interface: Interface::Wgpu, number, available };
        assert_eq!(open(Some(number), None), Err(missing.clone()));
        assert_eq!(open(None, Some(number)), Err(missing));
    }
}
