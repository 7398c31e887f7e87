//! What a trace was recorded from: all that a comparison at other points, or on fewer examples, needs of it.

use crate::execute::Value;
use crate::graph::GraphError;
use crate::trace::{AnyBatch, LossInput, Part, Trace, TraceError};

/// What a trace was recorded from.
pub(crate) trait Source {
    /// The batch.
    fn batch(&self) -> &AnyBatch;

    /// The value of an input of the trace, wherever it is.
    fn value(&self, input: LossInput) -> &Value;

    /// Whether anybody needs the derivative with respect to this input.
    fn is_parameter(&self, input: LossInput) -> bool;

    /// Records the loss once more, on a part of the batch.
    ///
    /// # Errors
    /// [`TraceError`] where it cannot be.
    fn record(&self, part: Option<Part>) -> Result<Trace, TraceError>;

    /// Moves values back to where parameters may be, if they are confined.
    ///
    /// # Errors
    /// [`GraphError`] if that cannot be computed.
    fn confine(&self, _inputs: &[LossInput], _values: &mut [Value]) -> Result<(), GraphError> {
        Ok(())
    }
}
