//! The device on which losses are recorded.

use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::{BoolDType, Device, DeviceConfig, FloatDType, IntDType};

/// The types that tensors have on a device unless a loss asks for others.
#[derive(Clone, Copy, Debug, PartialEq)]
struct DefaultTypes {
    float: FloatDType,
    int: IntDType,
    bool: BoolDType,
}

thread_local! {
    /// No two threads record on one device at once, so each keeps one for each choice of types.
    static CAPTURES: RefCell<Captures> = const { RefCell::new(Captures(Vec::new())) };
}

/// Those of threads that have ended. Burn numbers capture devices with 16 bits and never reuses a number.
static GIVEN_BACK: Mutex<Vec<(DefaultTypes, Device)>> = Mutex::new(Vec::new());

fn given_back() -> MutexGuard<'static, Vec<(DefaultTypes, Device)>> {
    GIVEN_BACK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The capture devices of one thread.
struct Captures(Vec<(DefaultTypes, Device)>);

impl Captures {
    fn of(&mut self, types: DefaultTypes) -> Device {
        if let Some((_, capture)) = self.0.iter().find(|(of, _)| *of == types) {
            return capture.clone();
        }
        let of_ended = {
            let mut given_back = given_back();
            let found = given_back.iter().position(|(of, _)| *of == types);
            found.map(|found| given_back.swap_remove(found).1)
        };
        let capture = of_ended.unwrap_or_else(|| configured(types));
        self.0.push((types, capture.clone()));
        capture
    }
}

impl Drop for Captures {
    fn drop(&mut self) {
        given_back().append(&mut self.0);
    }
}

/// A capture device with the default types of `device`: what a loss computes of its own accord, the index of the largest
/// entry say, must have the type that it has there, or it could not be compared with what comes from there.
pub(super) fn capture_device(device: &Device) -> Device {
    let settings = device.settings();
    let types = DefaultTypes { float: settings.float_dtype, int: settings.int_dtype, bool: settings.bool_dtype };
    CAPTURES.with_borrow_mut(|captures| captures.of(types))
}

/// A new capture device.
fn configured(types: DefaultTypes) -> Device {
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
    capture
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn threads_one_after_the_other_share_their_devices() {
        let of_thread = || std::thread::spawn(|| capture_device(&Device::flex())).join().unwrap();
        let mut seen: Vec<Device> = Vec::new();
        for _ in 0..400 {
            let device = of_thread();
            if !seen.contains(&device) {
                seen.push(device);
            }
        }
        // Other tests run beside this one, and take some and give them back.
        assert!(seen.len() <= 64, "{} devices", seen.len());
    }

    #[test]
    fn threads_side_by_side_have_devices_of_their_own() {
        let barrier = std::sync::Arc::new(std::sync::Barrier::new(8));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let barrier = barrier.clone();
                std::thread::spawn(move || {
                    let device = capture_device(&Device::flex());
                    barrier.wait();
                    assert_eq!(capture_device(&Device::flex()), device);
                    device
                })
            })
            .collect();
        let devices: Vec<Device> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        for (i, device) in devices.iter().enumerate() {
            assert!(!devices[..i].contains(device), "{devices:?}");
        }
    }
}
