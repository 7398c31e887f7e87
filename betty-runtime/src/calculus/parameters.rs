//! The parameters of a module as one space: what vectors of it have an entry for.

use burn::module::ParamId;
use burn::tensor::{DType, Device};

use super::DerivativesError;
use crate::execute::{Value, Vector};
use crate::trace::{Apart, Leaf, LevelModule, apart, leaves};

/// One parameter of a module.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    /// Where it is inside the module, the first of its places.
    pub(super) path: String,
    pub(super) id: ParamId,
    pub(super) shape: Vec<usize>,
    pub(super) dtype: DType,
    /// Its number among all tensors of the module.
    pub(super) leaf: usize,
}

/// All parameters of a module that are trained, in its order.
#[derive(Clone, Debug)]
pub(super) struct Parameters {
    pub(super) all: Vec<Parameter>,
    pub(super) device: Device,
}

impl Parameters {
    /// What is trained of these tensors, on the device of the first.
    pub(super) fn among(leaves: &[Leaf]) -> Self {
        let trained = leaves.iter().enumerate().filter(|(_, leaf)| leaf.trainable);
        let parameter = |(number, leaf): (usize, &Leaf)| Parameter {
            path: leaf.path.clone(),
            id: leaf.id,
            shape: leaf.value.shape(),
            dtype: leaf.value.dtype(),
            leaf: number,
        };
        let first = leaves.iter().find(|leaf| leaf.trainable);
        Parameters {
            device: first.map_or_else(Device::flex, |leaf| leaf.value.device()),
            all: trained.map(parameter).collect(),
        }
    }

    /// Total number of entries.
    pub(super) fn len(&self) -> usize {
        self.all.iter().map(|parameter| parameter.shape.iter().product::<usize>()).sum()
    }

    /// Checks that both have the same parameters, whatever Burn calls them.
    pub(super) fn check_like(&self, other: &Parameters) -> Result<(), String> {
        for (one, other) in self.all.iter().zip(&other.all) {
            if one.path != other.path {
                return Err(format!("it has `{}` in the place of `{}`", other.path, one.path));
            }
            if (&one.shape, one.dtype) != (&other.shape, other.dtype) {
                return Err(format!(
                    "`{}` has shape {:?} and type {:?} instead of {:?} and {:?}",
                    one.path, other.shape, other.dtype, one.shape, one.dtype
                ));
            }
        }
        if self.all.len() != other.all.len() {
            return Err(format!("it has {} parameters instead of {}", other.all.len(), self.all.len()));
        }
        Ok(())
    }
}

/// The tensors of a module; places with one identifier hold one.
///
/// # Errors
/// [`DerivativesError::TiedApart`] where they do not.
pub(super) fn tensors(module: &dyn LevelModule) -> Result<Vec<Leaf>, DerivativesError> {
    let places = module.places();
    match apart(&places)? {
        Some(Apart { one, other, differ }) => Err(DerivativesError::TiedApart { one, other, differ }),
        None => Ok(leaves(places)),
    }
}

/// The parameters among these tensors as one vector.
pub(super) fn vector(parameters: &Parameters, tensors: &[Value]) -> Vector {
    Vector(parameters.all.iter().map(|parameter| tensors[parameter.leaf].clone()).collect())
}
