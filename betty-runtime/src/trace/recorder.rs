//! The device that a loss is recorded on: a stand-in for the device that it will run on.

use std::cell::RefCell;

use burn::tensor::{Device, DeviceConfig};

thread_local! {
    /// Burn numbers capture devices and never reuses a number, so each thread keeps one for each set of default types.
    static RECORDERS: RefCell<Vec<Device>> = const { RefCell::new(Vec::new()) };
}

/// A capture device with the default types of `device`: what `Tensor::zeros` makes inside of a loss must have the type
/// that it has outside.
pub(super) fn recorder(device: &Device) -> Device {
    let like = device.settings();
    let config = DeviceConfig::default().float_dtype(like.float_dtype).int_dtype(like.int_dtype);
    let config = config.bool_dtype(like.bool_dtype);
    RECORDERS.with_borrow_mut(|recorders| {
        let known = recorders.iter().find(|recorder| {
            let settings = recorder.settings();
            (settings.float_dtype, settings.int_dtype, settings.bool_dtype)
                == (like.float_dtype, like.int_dtype, like.bool_dtype)
        });
        known.cloned().unwrap_or_else(|| {
            let recorder = Device::capture();
            // Which types it supports can only be asked while it records.
            let configured = recorder.capture_scope(|scope| {
                let configured = recorder.clone().configure(config);
                debug_assert!(configured.is_ok(), "a recording has no kernels and takes every type: {configured:?}");
                scope.complete([], [])
            });
            debug_assert!(configured.is_ok(), "a new device is not recording yet");
            recorders.push(recorder.clone());
            recorder
        })
    })
}
