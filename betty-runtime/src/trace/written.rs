//! A loss in the place where a program names it, so that one which takes more than the program lists can be told by name.

/// A loss as it is written. What `multilevel!` writes around it answers to `loss` first where the loss takes the module of a
/// level that is not listed; where not, this is the loss.
pub struct AsWritten<F>(pub F);

/// The loss itself.
pub trait Written {
    /// Its type.
    type Loss;

    /// The loss.
    fn loss(&self) -> Self::Loss;
}

impl<F: Copy> Written for AsWritten<F> {
    type Loss = F;

    fn loss(&self) -> F {
        self.0
    }
}
