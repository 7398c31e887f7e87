//! What it means that Burn refuses to record a loss.

use burn::tensor::DType;
use burn_capture::CapturedGraph;

use super::constants::Names;
use super::error::{TraceError, Unsupported};
use super::loss::LossInput;
use super::tracer::Placeholder;
use crate::panic::Panic;

/// What Burn says when a value is asked for that there is none of.
const READS: [&str; 2] = ["no concrete value", "no initialized value"];

/// Calls of Burn's that read values without saying so, and what to do in their place.
pub(super) const READERS: [(&[&str], &str); 2] = [
    (
        &["one_hot", "one_hot_fill"],
        "compare the labels with all classes, as in `labels.unsqueeze_dim::<2>(1).equal(classes).float()` with `classes` made by \
         `Tensor::arange`, of shape `[1, count]`, or put the encoded labels into the batch",
    ),
    (
        &["mask_select", "nonzero", "argwhere"],
        "its answer has a size that depends on values: keep all elements and hide some with `mask_fill` or `mask_where`, or put \
         the indices into the batch",
    ),
];

/// What a refusal of Burn's capture means.
pub(super) fn explain_capture(level: &str, message: String) -> TraceError {
    let level = level.to_owned();
    if message.contains("undeclared input") {
        // A placeholder kept from another recording, for instance.
        TraceError::ForeignTensor { level, place: String::new() }
    } else {
        TraceError::Capture { level, message }
    }
}

/// What a panic during recording means; `types` are those that the loss has.
pub(super) fn explain(level: &str, panic: Panic, types: impl FnOnce() -> String) -> TraceError {
    let (level, message) = (level.to_owned(), &panic.message);
    if READS.iter().any(|reads| message.contains(reads)) {
        let remedy = instead_of(panic.operation.as_deref());
        TraceError::ReadsValue { level, place: place(&panic, " (`into_scalar`, `into_data`, …)"), remedy }
    } else if message.contains("Cannot move a tensor to a capture device")
        || message.contains("Cannot move this autodiff tensor")
    {
        TraceError::MovesDevice { level, place: place(&panic, "") }
    } else if message.contains("do not support autodiff") || message.contains("already associated with autodiff") {
        TraceError::UsesAutodiff {
            level,
            place: place(&panic, " (`inner`, `from_inner`, `valid`, `backward`, `grad`)"),
        }
    } else if message.contains("Can't convert a non leaf tensor into a tracked tensor") {
        TraceError::ComputedParameter { level, place: place(&panic, " (`Param::from_tensor`, `require_grad`)") }
    } else if message.contains("not on the same device") || message.contains("on the wrong backend") {
        TraceError::ForeignTensor { level, place: place(&panic, "") }
    } else if message.contains("Default implementation for grid_sample_2d") {
        let operation = "grid_sample_2d (not bilinear)".to_owned();
        let remedy = "Burn's autodiff has none; for the nearest pixel round the positions, turn them into integers and read with `gather`";
        TraceError::Unsupported { level, source: Unsupported { operation, remedy } }
    } else if message.contains("DTypeMismatch") {
        let operation = panic.operation.unwrap_or_else(|| "an operation".into());
        let place = panic.line.map_or_else(String::new, |line| format!(" {line}"));
        TraceError::MixedTypes { level, operation, place, types: types() }
    } else {
        TraceError::Panicked { level, message: panic.to_string() }
    }
}

/// ` in `one_hot` (at src/loss.rs:41:9)`; `otherwise` where it is not known which call of Burn's the panic ended.
fn place(panic: &Panic, otherwise: &str) -> String {
    let call = panic.operation.as_ref().map_or_else(|| otherwise.to_owned(), |call| format!(" in {call}"));
    panic.line.iter().fold(call, |call, line| format!("{call} ({line})"))
}

/// What to do in the place of a call that reads values.
fn instead_of(call: Option<&str>) -> &'static str {
    let is_among = |calls: &[&str]| call.is_some_and(|call| calls.contains(&call.trim_matches('`')));
    let known = READERS.iter().find(|(calls, _)| is_among(calls));
    known.map_or("compute with tensors instead, or put the number into the batch", |(_, instead)| instead)
}

/// The types of a module's constants, with what they are.
pub(super) fn held<'c>(
    level: usize,
    names: &Names,
    captured: &'c CapturedGraph,
) -> impl Iterator<Item = (DType, Option<LossInput>)> + use<'c> {
    let of = names.of(captured).enumerate();
    of.map(move |(index, (_, data))| (data.dtype(), Some(LossInput::Constant { level, index })))
}

/// `f64 (a tensor of a module) and f32 (tensor 0 of the batch)`: each float type, and where the loss has it from; each integer type
/// where there are no two of floats.
pub(super) fn types(placeholders: &[Placeholder], others: impl Iterator<Item = (DType, Option<LossInput>)>) -> String {
    let given = placeholders.iter().map(|placeholder| (placeholder.dtype, Some(placeholder.input)));
    let mut seen: Vec<(DType, Option<LossInput>)> = Vec::new();
    for (dtype, source) in given.chain(others) {
        if seen.iter().all(|(known, _)| *known != dtype) {
            seen.push((dtype, source));
        }
    }
    let (floats, others): (Vec<_>, Vec<_>) = seen.into_iter().partition(|(dtype, _)| dtype.is_float());
    let integers: Vec<_> = others.into_iter().filter(|(dtype, _)| !dtype.is_bool()).collect();
    let mixed = if floats.len() < 2 && integers.len() > 1 { integers } else { floats };
    let mut parts = Vec::new();
    for (dtype, source) in mixed {
        let from = match source {
            Some(LossInput::Leaf { .. } | LossInput::Constant { .. }) => "a tensor of a module".to_owned(),
            Some(LossInput::Batch { index }) => format!("tensor {index} of the batch"),
            None => "made in the loss".to_owned(),
        };
        parts.push(format!("{} ({from})", format!("{dtype:?}").to_lowercase()));
    }
    parts.join(" and ")
}
