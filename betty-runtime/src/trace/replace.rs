//! Another value for a parameter of a module.

use burn::module::{Param, ParamId, Parameter};

/// Keeps a parameter's identity and settings while its value is replaced.
pub(super) fn replace<T: Parameter>(param: Param<T>, value: Option<T>) -> Param<T> {
    let (id, old, mapper): (ParamId, T, _) = param.consume();
    Param::from_mapped_value(id, value.unwrap_or(old), mapper)
}
