//! Burn's table of the tensors that want a gradient.

use burn::tensor::{Device, Tensor};

/// Lets go of those that are gone: Burn clears its table on the way back from a loss and at no other time, so that tensors that
/// no loss is made of would stay in it for ever.
pub(super) fn forget() {
    let one = Tensor::<1>::ones([1], &Device::flex().autodiff()).require_grad();
    drop(one.backward());
}
