//! The answers of `gradient` in the loss that a thread records.
//!
//! Burn's autodiff cannot look into them, so each is a leaf of its tape: Burn's gradient in an answer says what became of it, and is
//! zero where the loss detached it.

use std::cell::RefCell;

use burn::tensor::{DispatchTensor, Tensor};

use super::recorded::{Recorded, Taped, constant, taped};

thread_local! {
    static ANSWERS: RefCell<Vec<Taped>> = const { RefCell::new(Vec::new()) };
}

/// An answer as a tensor of the loss, to be [asked for](take) when the loss is known.
pub(super) fn answer<const D: usize>(recorded: Recorded) -> DispatchTensor {
    let answer = Tensor::<D>::from_dispatch(constant(recorded)).require_grad().into_dispatch();
    ANSWERS.with_borrow_mut(|answers| answers.extend(taped(&answer).cloned()));
    answer
}

/// All answers since it was asked last.
pub(super) fn take() -> Vec<Taped> {
    ANSWERS.take()
}
