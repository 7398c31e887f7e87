//! What is given to somebody else's module: gradients of its parameters, and what has become of its running statistics.

use std::vec::IntoIter;

use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Bool, Int, Tensor};

use super::erased::{AnyMapper, AnyVisitor};
use super::replace::replace;
use crate::execute::Value;

/// Takes the value out whose number this is.
fn take(values: &mut Vec<(usize, Value)>, number: Option<usize>) -> Option<Value> {
    let place = values.iter().position(|(of, _)| Some(*of) == number)?;
    Some(values.swap_remove(place).1)
}

/// Collects gradients under the identifiers of a module's parameters.
pub(super) struct Register {
    /// The tensor of every place that is still to come.
    pub(super) numbers: IntoIter<usize>,
    pub(super) values: Vec<(usize, Value)>,
    pub(super) gradients: GradientsParams,
}

impl Register {
    #[inline(never)]
    pub(super) fn erased(&mut self) -> &mut dyn AnyVisitor {
        self
    }
}

impl ModuleVisitor for Register {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(value) = take(&mut self.values, self.numbers.next()) {
            self.gradients.register::<D>(param.id, value.into_tensor());
        }
    }

    fn visit_int<const D: usize>(&mut self, _param: &Param<Tensor<D, Int>>) {
        self.numbers.next();
    }

    fn visit_bool<const D: usize>(&mut self, _param: &Param<Tensor<D, Bool>>) {
        self.numbers.next();
    }
}

/// Replaces running statistics, where they are: on an autodiff device, or not.
pub(super) struct Advance {
    /// The tensor of every place that is still to come.
    pub(super) numbers: IntoIter<usize>,
    pub(super) statistics: Vec<(usize, Value)>,
}

impl Advance {
    #[inline(never)]
    pub(super) fn erased(&mut self) -> &mut dyn AnyMapper {
        self
    }
}

impl ModuleMapper for Advance {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let number = self.numbers.next();
        // The same statistic may stand in several places.
        let value = self.statistics.iter().find(|(of, _)| Some(*of) == number).map(|(_, value)| value.clone());
        let on_autodiff = param.base().device().is_autodiff();
        let value = value.map(Value::into_tensor).map(|value| if on_autodiff { value.autodiff() } else { value });
        replace(param, value)
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        self.numbers.next();
        param
    }

    fn map_bool<const D: usize>(&mut self, param: Param<Tensor<D, Bool>>) -> Param<Tensor<D, Bool>> {
        self.numbers.next();
        param
    }
}
