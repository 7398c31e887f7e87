//! Training or inference, decided inside of a loss.

use burn::module::{Flag, Module, ModuleMapper, Param};

use crate::trace::{AnyMapper, map_module};

/// The module in inference mode: dropout passes everything, batch normalisation uses its running statistics.
///
/// For losses: the same tensors with the same derivatives, where `Module::valid` leaves autodiff and cannot be recorded,
/// and `Module::freeze` cuts derivatives in a way that leaves no trace. An upper level that judges a network on a
/// validation batch usually wants this.
///
/// A bias before a batch norm changes nothing in training mode, where the norm takes it away, but something in inference. So the Hessian
/// of a lower level is zero there, and an upper one that judges in inference asks for its inverse: leave the bias out of the layer
/// (`with_bias(false)`), or give the method of the lower level some damping.
pub fn inference<M: Module>(module: &M) -> M {
    map_module(module.clone(), Disable.erased())
}

struct Disable;

impl Disable {
    #[inline(never)]
    fn erased(&mut self) -> &mut dyn AnyMapper {
        self
    }
}

impl ModuleMapper for Disable {
    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        flag.with_value(false)
    }
}
