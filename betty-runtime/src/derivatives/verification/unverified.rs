//! Why a gradient could not be compared with Burn's autodiff.

/// Why a gradient could not be compared with Burn's.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Unverified {
    /// No point was found at which both gradients can be computed and are finite.
    #[error("no point near the parameters as they are was found at which it can be computed and is finite")]
    NotFinite,
    /// Ours is finite, and Burn's is not, nor is it where all numbers of parameters and batch are moved: in a rule of Burn's zero meets
    /// infinity.
    #[error(
        "its gradient is finite, but Burn's autodiff, which it is compared with, answers numbers that are not, and does so wherever \
         parameters and batch are moved: in a rule of Burn's zero meets infinity, as in that of a power at zero"
    )]
    BurnNotFinite,
    /// There was not enough memory, not even for one example, or the loss cannot be computed on fewer.
    #[error(
        "comparing takes {needed} bytes in double precision, {allowed} are allowed, and {}; allow more with \
         `verification_memory`",
        on_a_part(*.least, .cut.as_deref())
    )]
    TooLarge {
        /// Bytes that comparing on the whole batch takes.
        needed: usize,
        /// Bytes that comparing on one example takes, if the batch can be cut.
        least: Option<usize>,
        /// Bytes that it may take.
        allowed: usize,
        /// Why a part of the batch will not do.
        cut: Option<String>,
    },
}

crate::report::debug_as_report!(Unverified);

fn on_a_part(least: Option<usize>, cut: Option<&str>) -> String {
    match (cut, least) {
        (Some(reason), _) => format!("on a part of its batch {reason}"),
        (None, Some(least)) => format!("even on one example it takes {least}"),
        (None, None) => "its batch cannot be cut".to_owned(),
    }
}
