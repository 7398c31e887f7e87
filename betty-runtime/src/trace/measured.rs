//! What a loss function returns: the loss, and if it wants, numbers that are reported beside it.

use burn::tensor::Tensor;

/// A loss and named numbers beside it, an accuracy say. They are computed in the same pass and reported with every step;
/// nothing is differentiated through them.
///
/// ```
/// use betty_runtime::Measured;
/// use burn::tensor::Tensor;
///
/// fn errors(predicted: Tensor<1>, targets: Tensor<1>) -> Measured {
///     let gap = predicted - targets;
///     let worst = gap.clone().abs().max();
///     Measured::new(gap.square().mean()).with("worst", worst)
/// }
/// # let device = burn::tensor::Device::flex();
/// # let (x, y) = (Tensor::from_floats([1.0, 2.0], &device), Tensor::from_floats([1.0, 4.0], &device));
/// # assert_eq!(errors(x, y).loss.into_scalar::<f32>(), 2.0);
/// ```
#[derive(Clone, Debug)]
pub struct Measured {
    /// The loss, of one element.
    pub loss: Tensor<1>,
    /// Metrics, each a name and one element.
    pub metrics: Vec<(String, Tensor<1>)>,
}

impl Measured {
    /// A loss without metrics.
    #[must_use]
    pub fn new(loss: Tensor<1>) -> Self {
        Measured { loss, metrics: Vec::new() }
    }

    /// The same with a metric more, of one element.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: Tensor<1>) -> Self {
        self.metrics.push((name.into(), value));
        self
    }
}

/// What a loss function may return: a tensor of one element, [`Measured`], or a type of your own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what a loss returns",
    note = "a loss returns `Tensor<1>` of one element, or `betty_runtime::Measured` to report metrics beside it"
)]
pub trait LossValue {
    /// The loss and its metrics.
    fn into_measured(self) -> Measured;
}

impl LossValue for Tensor<1> {
    fn into_measured(self) -> Measured {
        Measured::new(self)
    }
}

impl LossValue for Measured {
    fn into_measured(self) -> Measured {
        self
    }
}
