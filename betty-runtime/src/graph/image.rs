//! What stands for a node when one computation runs for many inputs.

use super::NodeId;

/// What stands for a node when one computation runs for many inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// One value of the node's shape, the same for every input.
    Shared(NodeId),
    /// Values of the node's shape along a leading dimension, one for each input.
    Each(NodeId),
}

impl Image {
    /// The node of the graph that holds the value or the values.
    pub fn node(self) -> NodeId {
        match self {
            Image::Shared(node) | Image::Each(node) => node,
        }
    }

    /// The node, if every input shares it.
    pub fn shared(self) -> Option<NodeId> {
        match self {
            Image::Shared(node) => Some(node),
            Image::Each(_) => None,
        }
    }
}
