//! What a rule answers.

use crate::graph::{GraphError, NodeId, Op};

/// The derivative with respect to one input, applied to a vector; `None` where it vanishes identically.
pub(super) type Derivative = Result<Option<NodeId>, GraphError>;

/// A product and its operands.
pub(super) type Product = (Op, [NodeId; 2]);
