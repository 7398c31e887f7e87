//! Vectors as Burn's gradients, and as parameters of modules that train: what goes to and comes from Burn's own autodiff.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use super::{DerivativesError, ParameterVector};
use crate::execute::Value;
use crate::linalg::InnerProductSpace;
use crate::trace::{AnyMapper, AnyVisitor, map_module, one_for_each_id, visit_module};

impl ParameterVector {
    /// The vector as Burn's gradients, which any optimizer of `burn::optim` takes.
    ///
    /// ```
    /// # use betty_runtime::{Derivatives, DerivativesError};
    /// # use burn::nn::{Linear, LinearConfig};
    /// # use burn::optim::SgdConfig;
    /// # use burn::tensor::{Device, Tensor};
    /// # fn main() -> Result<(), DerivativesError> {
    /// # let model = LinearConfig::new(3, 1).init(&Device::flex().autodiff());
    /// # let x = Tensor::<2>::ones([4, 3], &Device::flex());
    /// let mut derivatives = Derivatives::of(|model: &Linear, x: Tensor<2>| model.forward(x).square().mean(), &model, &x)?;
    /// let gradients = derivatives.gradient()?.to_gradients()?;
    /// let model = SgdConfig::new().init().step(0.1, model, gradients);
    /// # let _ = model;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`DerivativesError::Rank`] of a parameter with more than 8 dimensions.
    pub fn to_gradients(&self) -> Result<GradientsParams, DerivativesError> {
        let mut gradients = GradientsParams::new();
        for (parameter, value) in self.parameters.all.iter().zip(&self.vector.0) {
            if !register(&mut gradients, parameter.id, value.clone()) {
                let (path, shape) = (parameter.path.clone(), parameter.shape.clone());
                return Err(DerivativesError::Rank { path, shape, rank: RANKS });
            }
        }
        Ok(gradients)
    }

    /// Another vector of this space: Burn's gradients of the same module. What has none there is zero.
    ///
    /// # Errors
    /// [`DerivativesError::OtherParameters`] where a gradient has not its parameter's shape and type.
    pub fn with_gradients(&self, gradients: &GradientsParams) -> Result<Self, DerivativesError> {
        let mut vector = self.vector.zero();
        for (parameter, value) in self.parameters.all.iter().zip(&mut vector.0) {
            let Some(found) = get(gradients, parameter.id, parameter.shape.len()) else { continue };
            if (found.shape(), found.dtype()) != (parameter.shape.clone(), parameter.dtype) {
                let what = format!(
                    "the gradient of `{}` has shape {:?} and type {:?}",
                    parameter.path,
                    found.shape(),
                    found.dtype()
                );
                return Err(DerivativesError::OtherParameters { what });
            }
            *value = found;
        }
        Ok(self.with(vector))
    }
}

/// The most dimensions of a parameter that becomes one of Burn's gradients, whose ranks are types.
const RANKS: usize = 8;

macro_rules! by_rank {
    ($rank:expr, $D:ident => $of_rank:expr, $otherwise:expr) => {
        by_rank!(@ $rank, $D, $of_rank, $otherwise, 1 2 3 4 5 6 7 8)
    };
    (@ $rank:expr, $D:ident, $of_rank:expr, $otherwise:expr, $($number:literal)*) => {
        match $rank {
            $($number => {
                const $D: usize = $number;
                $of_rank
            })*
            _ => $otherwise,
        }
    };
}

/// Whether the rank is one of those that can be.
fn register(gradients: &mut GradientsParams, id: ParamId, value: Value) -> bool {
    by_rank!(value.shape().len(), D => { gradients.register::<D>(id, value.into_tensor()); true }, false)
}

fn get(gradients: &GradientsParams, id: ParamId, rank: usize) -> Option<Value> {
    by_rank!(rank, D => gradients.get::<D>(id).map(Value::from_tensor), None)
}

/// Which floats of a module require a gradient, on a device with autodiff.
#[derive(Default)]
pub(super) struct Active(Vec<bool>);

impl Active {
    #[inline(never)]
    fn erased(&mut self) -> &mut dyn AnyVisitor {
        self
    }

    /// Those of a module, if it is on a device with autodiff.
    pub(super) fn of<M: Module>(module: &M) -> Option<Self> {
        let mut active = Active::default();
        module.devices().iter().any(|device| device.is_autodiff()).then(|| visit_module(module, active.erased()))?;
        Some(active)
    }

    /// The module with its floats on autodiff, and as willing to be trained.
    pub(super) fn restore<M: Module>(self, module: M) -> M {
        one_for_each_id(|| map_module(module, Restore(self.0.into_iter()).erased()))
    }
}

impl ModuleVisitor for Active {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.base().is_require_grad());
    }
}

struct Restore(std::vec::IntoIter<bool>);

impl Restore {
    #[inline(never)]
    fn erased(&mut self) -> &mut dyn AnyMapper {
        self
    }
}

impl ModuleMapper for Restore {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let active = self.0.next().unwrap_or(false);
        param.map(|tensor| tensor.autodiff().set_require_grad(active))
    }
}
