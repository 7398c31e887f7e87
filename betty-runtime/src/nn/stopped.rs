//! A module that is held constant, inside of a loss.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use crate::trace::{AnyMapper, map_module, stop_gradient};

/// The module with all its floats held constant by every derivative: [`stop_gradient`] of each.
///
/// For teachers, targets that follow slowly, and critics that a loss only asks: a derivative goes through what is given to the
/// module and not through its parameters. `Module::freeze` and `Module::no_grad` cut derivatives in a way that leaves no trace
/// in a recording. Combined with [`inference`](super::inference), dropout is off, too.
///
/// ```
/// use betty_runtime::nn::{inference, stopped};
/// use burn::nn::Linear;
/// use burn::tensor::Tensor;
///
/// /// The student follows the teacher, who does not learn from that.
/// fn distilled(student: &Linear, teacher: &Linear, x: Tensor<2>) -> Tensor<1> {
///     let target = stopped(&inference(teacher)).forward(x.clone());
///     (student.forward(x) - target).square().mean()
/// }
/// ```
pub fn stopped<M: Module>(module: &M) -> M {
    map_module(module.clone(), Stop.erased())
}

struct Stop;

impl Stop {
    #[inline(never)]
    fn erased(&mut self) -> &mut dyn AnyMapper {
        self
    }
}

impl ModuleMapper for Stop {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(stop_gradient)
    }
}
