//! What a function that follows each step answers, recorded so that its derivatives can be compared with Burn's.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

use super::batch::BatchMapper;
use super::erased::{AnyVisitor, visit_module};
use super::fixed_point::Marked;
use super::measured::Measured;

/// The floats of a module as outputs of a recording, under one number that depends on all of them: what
/// [`Multilevel::after_step`](crate::Multilevel::after_step) answers with the module that a function has returned.
///
/// # Panics
/// If the module has no float parameter; a level without any is refused before.
pub fn next_module<M: Module>(module: &M) -> Measured {
    let mut outputs = Outputs::default();
    visit_module(module, outputs.erased());
    Measured::new(outputs.0.0.expect("the module of a level has at least one float"))
}

/// Marks every float of a module, in the module's order.
#[derive(Default)]
struct Outputs(Marked);

impl Outputs {
    #[inline(never)]
    fn erased(&mut self) -> &mut dyn AnyVisitor {
        self
    }
}

impl ModuleVisitor for Outputs {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.float(param.base());
    }
}
