//! What of the work each rank takes.

/// What of the work each rank takes: a share of the examples, some of the tasks, or some of the directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Split {
    /// Every rank has a share of the examples of each batch, and gradients and products are summed. Any program can be split so.
    #[default]
    Examples,
    /// Every rank takes whole tasks, with `tasks = T` and `R` ranks one of every `R` of each step, and the gradients of all tasks are summed
    /// once a step. All ranks have the same batches, and each computes with those of its tasks, as if it were alone.
    Tasks,
    /// All ranks have the same batches, and follow some each of the directions of `forward_gradient` or `forward`, or of the pairs of
    /// `evolution`. Directions are functions of a seed, so that ranks exchange one number for each, and nothing else that grows with the
    /// program; all other work each of them does for itself.
    Directions,
}

impl Split {
    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Split::Examples => "examples",
            Split::Tasks => "tasks",
            Split::Directions => "directions",
        }
    }
}
