//! The types of truth values and of positions, the same on every device.

use burn::tensor::{BoolStore, IntDType};

/// Type of masks.
pub(super) const BOOL: BoolStore = BoolStore::Native;
/// Type of indices.
pub(super) const INDEX: IntDType = IntDType::I64;
