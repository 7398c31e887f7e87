//! The device on which tests and benchmarks run.

use burn::tensor::Device;
#[cfg(feature = "wgpu")]
use burn::tensor::DeviceKind;

/// The variable that names a device.
pub const VARIABLE: &str = "BETTY_DEVICE";

/// What this build has, by the names of the features; the CPU first.
pub fn built() -> Vec<(&'static str, Device)> {
    Vec::from([
        ("cpu", Device::flex()),
        #[cfg(feature = "cuda")]
        ("cuda", Device::cuda(0)),
        #[cfg(feature = "wgpu")]
        ("wgpu", Device::wgpu(DeviceKind::DefaultDevice)),
        #[cfg(feature = "rocm")]
        ("rocm", Device::rocm(0)),
    ])
}

/// The device that the environment names, if it names one.
///
/// # Panics
/// When the build has none of that name.
pub fn chosen() -> Option<Device> {
    let name = std::env::var(VARIABLE).ok()?;
    let built = built();
    let found = built.iter().find(|(of, _)| *of == name).map(|(_, device)| device.clone());
    Some(found.unwrap_or_else(|| {
        let names: Vec<&str> = built.iter().map(|(name, _)| *name).collect();
        panic!("`{VARIABLE}={name}`: this build has {}", names.join(", "))
    }))
}

/// The device that the environment names, or the CPU.
pub fn chosen_or_cpu() -> Device {
    chosen().unwrap_or_else(Device::flex)
}

/// The device that the environment names, or the first of this build that is not the CPU.
pub fn other() -> Device {
    chosen().unwrap_or_else(|| built().into_iter().nth(1).map_or_else(Device::flex, |(_, device)| device))
}
