//! Running states of Burn's in a recording: what a forward pass puts into one is kept outside of the recording, and is to be seen.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Bool, Int, Tensor};

use super::erased::{AnyVisitor, visit_module};
use super::plain::hollow;
use super::recorded::tensor_id;
use crate::panic::caught;

/// The first place of a recorded module whose `RunningState` a forward pass has updated; what is recorded of the module is of no
/// use afterwards.
///
/// Burn keeps an update beside the state's value until a copy of the state leaves autodiff, among others. So if there is nothing of
/// the recording in the module before that, what there is afterwards has come from an update.
pub(super) fn first_update<M: Module>(placed: M) -> Option<usize> {
    let hollow = hollow(placed);
    // A tensor of a recording cannot leave autodiff, and need not: it is in its place by then.
    caught(|| drop(hollow.valid())).ok();
    let mut search = Search::default();
    visit_module(&hollow, search.erased());
    search.found
}

/// Looks for a tensor of a recording.
#[derive(Default)]
struct Search {
    places: usize,
    found: Option<usize>,
}

impl Search {
    #[inline(never)]
    fn erased(&mut self) -> &mut dyn AnyVisitor {
        self
    }
}

impl ModuleVisitor for Search {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.found.is_none() && tensor_id(&param.base().into_dispatch()).is_some() {
            self.found = Some(self.places);
        }
        self.places += 1;
    }

    fn visit_int<const D: usize>(&mut self, _param: &Param<Tensor<D, Int>>) {
        self.places += 1;
    }

    fn visit_bool<const D: usize>(&mut self, _param: &Param<Tensor<D, Bool>>) {
        self.places += 1;
    }
}
