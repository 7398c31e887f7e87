//! What is known of a level's recordings: how many there were, why, and which were compared with Burn's autodiff.

use super::news::News;
use crate::derivatives::Verified;
use crate::trace::{AnyBatch, BatchLeaf, Changes};

/// After how many recordings it is said that there are many.
const MANY: u64 = 4;

/// The recordings of one level's loss.
#[derive(Clone, Default)]
pub(crate) struct Recordings {
    count: u64,
    /// The parts of the last batch that was recorded on.
    last: Vec<BatchLeaf>,
    /// Those that were compared.
    pub(super) verified: Verified,
}

impl Recordings {
    /// Takes note of one more recording; news if it is not the first.
    pub(crate) fn add(&mut self, level: usize, name: &str, batch: &AnyBatch, verified: bool) -> Option<News> {
        let leaves = batch.leaves();
        self.count += 1;
        let advice = (self.count == MANY).then(|| advice(name, self.count, &Changes::between(&self.last, &leaves)));
        self.last = leaves;
        (self.count > 1).then_some(News::Retraced { level, count: self.count, verified, advice })
    }
}

fn advice(name: &str, count: u64, changes: &Changes) -> String {
    let mut text = format!("the loss of level `{name}` has been recorded {count} times");
    if !changes.plain.is_empty() {
        text += &format!(
            ", because another value of plain data, now of {}, asks for another recording; what a loss computes with can be a \
             `betty_runtime::Number`, which is an input like a tensor",
            changes.plain.join(", ")
        );
    }
    if !changes.tensors.is_empty() {
        text += &format!(
            ", because batches of other shapes ask for other recordings, now {}; let batches have few shapes, by padding or by \
             leaving an odd one out, or see that `Engine::traces` and `Engine::trace_memory` keep as many as there are",
            changes.tensors.join(", ")
        );
    }
    text
}
