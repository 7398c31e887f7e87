//! The modules of a loss as they are at a point: all their tensors, and which of them are parameters.

use std::rc::Rc;

use burn::tensor::Device;

use super::DerivativesError;
use super::parameters::{Parameters, tensors};
use crate::execute::Value;
use crate::trace::LevelModule;

/// One module at a point.
pub(super) struct Held {
    pub(super) parameters: Rc<Parameters>,
    /// All tensors with an identifier.
    pub(super) tensors: Vec<Value>,
    /// Their paths, for messages.
    pub(super) paths: Vec<String>,
    /// The tensors that the module holds as plain fields.
    pub(super) constants: Vec<Value>,
}

impl Held {
    /// Reads a module whose tensors are on `device`, or, if none is given, where its first parameter is.
    pub(super) fn of(module: &dyn LevelModule, device: Option<&Device>) -> Result<Self, DerivativesError> {
        let leaves = tensors(module)?;
        let parameters = Parameters::among(&leaves);
        let device = device.unwrap_or(&parameters.device);
        let constants = module.constants(device)?;
        let (paths, tensors) = leaves.into_iter().map(|leaf| (leaf.path, leaf.value)).unzip();
        let device = device.clone();
        let held = Held { parameters: Rc::new(parameters), tensors, paths, constants };
        held.check_on(&device)?;
        Ok(held)
    }

    /// Checks that another module has tensors like these, so that it can take this one's place; plain fields may differ.
    pub(super) fn check_like(&self, other: &Held) -> Result<(), DerivativesError> {
        self.parameters.check_like(&other.parameters).map_err(|what| DerivativesError::OtherModule { what })?;
        for ((path, one), (other_path, other)) in
            self.paths.iter().zip(&self.tensors).zip(other.paths.iter().zip(&other.tensors))
        {
            if path != other_path || (one.shape(), one.dtype()) != (other.shape(), other.dtype()) {
                let what = format!(
                    "`{other_path}` of shape {:?} stands where `{path}` of {:?} was",
                    other.shape(),
                    one.shape()
                );
                return Err(DerivativesError::OtherModule { what });
            }
        }
        if self.tensors.len() != other.tensors.len() {
            let what = format!("it has {} tensors instead of {}", other.tensors.len(), self.tensors.len());
            return Err(DerivativesError::OtherModule { what });
        }
        Ok(())
    }

    /// Checks that its tensors are on a device.
    pub(super) fn check_on(&self, device: &Device) -> Result<(), DerivativesError> {
        self.paths
            .iter()
            .zip(&self.tensors)
            .try_for_each(|(path, value)| check_device(|| format!("`{path}`"), value, device))
    }

    /// Whether both hold as many plain tensors of the same shapes and types.
    pub(super) fn has_constants_like(&self, other: &Held) -> bool {
        let looks = |held: &Held| held.constants.iter().map(|value| (value.shape(), value.dtype())).collect::<Vec<_>>();
        looks(self) == looks(other)
    }
}

/// Checks that a tensor is on a device, which knows its type.
pub(super) fn check_device(
    what: impl FnOnce() -> String,
    value: &Value,
    expected: &Device,
) -> Result<(), DerivativesError> {
    let found = value.device();
    if found == *expected && value.is_held() {
        return Ok(());
    }
    if found == *expected {
        return Err(DerivativesError::unsupported(what(), value.dtype(), expected));
    }
    let (found, expected) = (format!("{found:?}"), format!("{expected:?}"));
    Err(DerivativesError::WrongDevice { what: what(), found, expected })
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;

    use super::*;

    #[test]
    fn a_tensor_elsewhere_is_named_with_both_places() {
        let here = Device::flex();
        let value = Value::scalar(1.0, DType::F32, &here);
        assert!(check_device(|| "`x`".into(), &value, &here).is_ok());
        // A recording is the one other device that every machine has.
        let error = check_device(|| "`x`".into(), &value, &Device::capture()).expect_err("another device");
        let text = error.to_string();
        assert!(matches!(error, DerivativesError::WrongDevice { .. }));
        assert!(text.starts_with("`x` is on ") && text.contains("to_device"), "{text}");
    }
}
