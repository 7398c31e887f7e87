//! What stands in the place of an optimizer where a solver finds the best response: a step that moves nothing.

use super::{Optimizer, UpdateInputs, Updated};
use crate::graph::{Graph, GraphError};

/// No optimizer, under the name of what takes its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replaced(pub(crate) &'static str);

impl Optimizer for Replaced {
    fn name(&self) -> &'static str {
        self.0
    }

    fn states(&self) -> usize {
        0
    }

    fn scalars(&self, _step: u64) -> Vec<f64> {
        Vec::new()
    }

    fn update(&self, graph: &mut Graph, inputs: &UpdateInputs<'_>) -> Result<Updated, GraphError> {
        inputs.check(graph, self)?;
        Ok(Updated { parameter: inputs.parameter, states: Vec::new() })
    }
}
