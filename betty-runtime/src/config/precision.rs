//! The float type in which a level multiplies.

use burn::tensor::DType;
use serde::{Deserialize, Serialize};

/// The float type of a level's matrix products and convolutions, in its loss and in every derivative of it, while its
/// parameters, its gradients and everything between products keep theirs: mixed precision (Micikevicius et al., 2018).
///
/// f16 needs no scaling of the loss: each product is scaled by itself
/// ([`graph::products_in`](crate::graph::products_in)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits, of which 24 are significant. Of use where parameters have fewer, or twice as many.
    F32,
    /// 16 bits, of which 8 are significant; as large and as small as f32.
    Bf16,
    /// 16 bits, of which 11 are significant.
    F16,
}

impl Precision {
    /// Burn's name of the type.
    #[must_use]
    pub fn dtype(self) -> DType {
        match self {
            Precision::F32 => DType::F32,
            Precision::Bf16 => DType::BF16,
            Precision::F16 => DType::F16,
        }
    }
}
