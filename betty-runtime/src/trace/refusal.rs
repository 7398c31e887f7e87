//! What it means that Burn refuses to record a loss.

use burn::tensor::DType;
use burn_capture::CapturedGraph;

use super::constants::Names;
use super::error::TraceError;
use super::loss::LossInput;
use super::tracer::Placeholder;
use crate::panic::Panic;

/// What a refusal of Burn's capture means.
pub(super) fn explain_capture(level: &str, message: String) -> TraceError {
    let level = level.to_owned();
    if message.contains("undeclared input") {
        // A placeholder kept from another recording, for instance.
        TraceError::ForeignTensor { level }
    } else {
        TraceError::Capture { level, message }
    }
}

/// What a panic during recording means; `types` are those of the floats that the loss has.
pub(super) fn explain(level: &str, panic: Panic, types: impl FnOnce() -> String) -> TraceError {
    let (level, message) = (level.to_owned(), &panic.message);
    if message.contains("no concrete value") || message.contains("no initialized value") {
        TraceError::ReadsValue { level }
    } else if message.contains("Cannot move a tensor to a capture device")
        || message.contains("Cannot move this autodiff tensor")
    {
        TraceError::MovesDevice { level }
    } else if message.contains("do not support autodiff") || message.contains("already associated with autodiff") {
        TraceError::UsesAutodiff { level }
    } else if message.contains("not on the same device") || message.contains("on the wrong backend") {
        TraceError::ForeignTensor { level }
    } else if message.contains("DTypeMismatch") {
        let operation = panic.operation.unwrap_or_else(|| "an operation".into());
        let place = panic.line.map_or_else(String::new, |line| format!(" {line}"));
        TraceError::MixedTypes { level, operation, place, types: types() }
    } else {
        TraceError::Panicked { level, message: panic.to_string() }
    }
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

/// `f64 (a tensor of a module) and f32 (tensor 0 of the batch)`: each float type, and where the loss has it from.
pub(super) fn types(placeholders: &[Placeholder], others: impl Iterator<Item = (DType, Option<LossInput>)>) -> String {
    let given = placeholders.iter().map(|placeholder| (placeholder.dtype, Some(placeholder.input)));
    let mut seen: Vec<DType> = Vec::new();
    let mut parts = Vec::new();
    for (dtype, source) in given.chain(others) {
        if !dtype.is_float() || seen.contains(&dtype) {
            continue;
        }
        seen.push(dtype);
        let from = match source {
            Some(LossInput::Leaf { .. } | LossInput::Constant { .. }) => "a tensor of a module".to_owned(),
            Some(LossInput::Batch { index }) => format!("tensor {index} of the batch"),
            None => "made in the loss".to_owned(),
        };
        parts.push(format!("{} ({from})", format!("{dtype:?}").to_lowercase()));
    }
    parts.join(" and ")
}
