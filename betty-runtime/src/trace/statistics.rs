//! Running statistics among a module's placeholders: tensors that no derivative is asked for.

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, Int, Tensor};
use burn_dispatch::{BackendTensor, DispatchAutodiffContext, DispatchTensorKind};

use super::mark::recorded;
use super::tracer::Placeholder;

/// Finds the running statistics among the placeholders of a module, `placeholders`, and makes them constants of Burn's
/// tape.
///
/// A module whose `training` flag is disabled reads its statistics through a transfer to the device of its input (Burn's
/// `BatchNorm`). Autodiff refuses that transfer in a recording, so there the statistics go without autodiff; Burn counts
/// such a tensor as a constant. While a module trains they keep autodiff, and Burn's `BatchNorm` fails: what it writes
/// into its statistics could not be recorded.
pub(super) fn place_statistics<M: Module>(module: M, placeholders: &mut [Placeholder]) -> M {
    let mut find = Find { placeholders: placeholders.iter_mut(), found: false };
    module.visit(&mut find);
    if find.found { module.map(&mut Plain { flags: vec![None] }) } else { module }
}

/// A module's state refuses to require a gradient; parameters, frozen ones too, keep what the placeholder asked for.
fn is_statistic<const D: usize>(param: &Param<Tensor<D>>) -> bool {
    !param.base().is_require_grad()
}

struct Find<I> {
    placeholders: I,
    found: bool,
}

impl<'p, I: Iterator<Item = &'p mut Placeholder>> ModuleVisitor for Find<I> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let placeholder = self.placeholders.next();
        if is_statistic(param) {
            self.found = true;
            // Burn has no gradient of it that ours could be compared with.
            placeholder.into_iter().for_each(|placeholder| placeholder.taped = None);
        }
    }

    fn visit_int<const D: usize>(&mut self, _param: &Param<Tensor<D, Int>>) {
        self.placeholders.next();
    }

    fn visit_bool<const D: usize>(&mut self, _param: &Param<Tensor<D, Bool>>) {
        self.placeholders.next();
    }
}

/// Takes the statistics of modules that do not train out of autodiff.
struct Plain {
    /// For the module that is being mapped and those around it: what its flag says, if it has one.
    flags: Vec<Option<bool>>,
}

impl Plain {
    /// What the flag beside this field says. The last entry is the field's own.
    fn beside(&mut self) -> Option<&mut Option<bool>> {
        let parent = self.flags.len().checked_sub(2)?;
        self.flags.get_mut(parent)
    }
}

impl ModuleMapper for Plain {
    fn enter_module(&mut self, _name: &str, _container_type: &str) {
        self.flags.push(None);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.flags.pop();
    }

    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        if let Some(beside) = self.beside() {
            *beside = Some(flag.is_enabled());
        }
        flag
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !is_statistic(&param) || self.beside().is_none_or(|flag| *flag != Some(false)) {
            return param;
        }
        let (id, tensor, mapper) = param.consume();
        let mut dispatch = tensor.into_dispatch();
        if let Some(float) = recorded(&dispatch) {
            dispatch.kind = DispatchTensorKind::Capture(BackendTensor::Float(float));
            dispatch.autodiff = DispatchAutodiffContext::Disabled;
        }
        Param::from_mapped_value(id, Tensor::from_dispatch(dispatch), mapper)
    }
}
