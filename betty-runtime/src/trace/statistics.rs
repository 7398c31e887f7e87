//! Running statistics among a module's placeholders: tensors that no derivative is asked for.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;

use burn::module::{Flag, Module, ModuleMapper, Param, ParamId};
use burn::tensor::Tensor;
use burn_dispatch::{BackendTensor, DispatchAutodiffContext, DispatchTensorKind};

use super::erased::{AnyMapper, map_module};
use super::recorded::recorded;

/// Makes the running statistics of a module of placeholders constants of Burn's tape.
///
/// A module whose `training` flag is disabled reads its statistics through a transfer to the device of its input (Burn's
/// `BatchNorm`). Autodiff refuses that transfer in a recording, so there the statistics go without autodiff; Burn counts
/// such a tensor as a constant. While a module trains they keep autodiff, and Burn's `BatchNorm` fails: what it writes
/// into its statistics could not be recorded.
pub(super) fn place_statistics<M: Module>(module: M) -> M {
    one_for_each_id(|| map_module(module, Plain { flags: vec![None] }.erased()))
}

/// A module's state refuses to require a gradient; parameters, frozen ones too, keep what the placeholder asked for.
fn is_statistic<const D: usize>(param: &Param<Tensor<D>>) -> bool {
    !param.base().is_require_grad()
}

thread_local! {
    /// The statistics of the mapping that is under way, if places with one identifier share one.
    static MAPPED: RefCell<Option<HashMap<ParamId, Box<dyn Any>>>> = const { RefCell::new(None) };
}

/// Maps a module so that a layer in several places still has one running statistic: a copy of it at each place would see
/// the batches of that place only.
pub(crate) fn one_for_each_id<T>(map: impl FnOnce() -> T) -> T {
    struct Leave(Option<HashMap<ParamId, Box<dyn Any>>>);
    impl Drop for Leave {
        fn drop(&mut self) {
            MAPPED.set(self.0.take());
        }
    }
    let _leave = Leave(MAPPED.replace(Some(HashMap::new())));
    map()
}

/// `mapped`, or what the mapping that is under way has made of the statistic with this identifier before.
pub(crate) fn mapped_once<T: Clone + 'static>(id: ParamId, mapped: T) -> T {
    MAPPED.with_borrow_mut(|known| match known {
        Some(known) => {
            let first = known.entry(id).or_insert_with(|| Box::new(mapped.clone()));
            first.downcast_ref::<T>().cloned().unwrap_or(mapped)
        }
        None => mapped,
    })
}

/// Takes the statistics of modules that do not train out of autodiff.
struct Plain {
    /// For the module that is being mapped and those around it: what its flag says, if it has one.
    flags: Vec<Option<bool>>,
}

impl Plain {
    #[inline(never)]
    fn erased(&mut self) -> &mut dyn AnyMapper {
        self
    }

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
