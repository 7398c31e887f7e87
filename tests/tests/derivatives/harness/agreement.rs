//! That verification finds nothing wrong with a correct derivative, whatever type it was recorded in.

use betty_runtime::__private::derivatives::{Agreement, Verification};
use betty_runtime::execute::Value;
use betty_runtime::trace::{AnyBatch, Leaf, LossInput, Trace};
use burn::tensor::{DType, Device};

/// Checks that our gradient and Burn's agree in double precision, at the given parameters.
pub(crate) fn agree(name: &str, trace: &Trace, leaves: &[Leaf], batch: &AnyBatch) {
    let value = |source: &LossInput| match *source {
        LossInput::Leaf { index, .. } => leaves[index].value.clone(),
        LossInput::Constant { .. } => unreachable!("no module of these has plain tensors"),
        LossInput::Batch { index } => batch.values()[index].clone(),
    };
    let in_double = |value: Value| {
        let dtype = if value.dtype().is_float() { DType::F64 } else { value.dtype() };
        Value::from_data(value.to_data().unwrap().convert_dtype(dtype), &Device::flex())
    };
    let values: Vec<Value> = trace.inputs.iter().map(|(source, _)| in_double(value(source))).collect();
    let found = Verification::new(trace, |_| true).unwrap().at(&values, 3).unwrap();
    assert!(!matches!(found, Agreement::Different { .. }), "{name}: {found:?}");
}
