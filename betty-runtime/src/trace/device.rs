//! The device on which losses are recorded.

use std::cell::RefCell;

use burn::tensor::{BoolDType, Device, DeviceConfig, FloatDType, IntDType};

/// The types that tensors have on a device unless a loss asks for others.
#[derive(Clone, Copy, Debug, PartialEq)]
struct DefaultTypes {
    float: FloatDType,
    int: IntDType,
    bool: BoolDType,
}

thread_local! {
    /// Burn numbers capture devices and never reuses a number, so each thread keeps one for each choice of types.
    static CAPTURES: RefCell<Vec<(DefaultTypes, Device)>> = const { RefCell::new(Vec::new()) };
}

/// A capture device with the default types of `device`: what a loss computes of its own accord, the index of the largest
/// entry say, must have the type that it has there, or it could not be compared with what comes from there.
pub(super) fn capture_device(device: &Device) -> Device {
    let settings = device.settings();
    let types = DefaultTypes { float: settings.float_dtype, int: settings.int_dtype, bool: settings.bool_dtype };
    CAPTURES.with_borrow_mut(|captures| match captures.iter().find(|(of, _)| *of == types) {
        Some((_, capture)) => capture.clone(),
        None => {
            let capture = Device::capture();
            let config = DeviceConfig::new(Some(types.float), Some(types.int), Some(types.bool));
            let mut configured = Ok(());
            // Burn asks a capture device for its types only while it records; nothing is recorded here.
            let empty = capture.capture_scope(|scope| {
                configured = capture.clone().configure(config);
                scope.complete(Vec::new(), Vec::new())
            });
            let configured = configured.map_err(|error| error.to_string());
            if let Err(error) = empty.map_err(|error| error.to_string()).and(configured) {
                // Capture's own types serve every loss that does not mix them with those of the device.
                tracing::warn!(%error, ?types, "the default types of the device cannot be recorded");
            }
            captures.push((types, capture.clone()));
            capture
        }
    })
}
