//! Why a gradient could not be compared with Burn's autodiff.

/// Why a gradient could not be compared with Burn's.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Unverified {
    /// No point was found at which both gradients can be computed and are finite.
    #[error("no point near the parameters as they are was found at which it can be computed and is finite")]
    NotFinite,
    /// There was not enough memory, and the loss cannot be computed on fewer examples.
    #[error(
        "comparing takes {needed} bytes in double precision, {allowed} are allowed, and {}; allow more with \
         `verification_memory`",
        .cut.as_ref().map_or_else(|| "its batch cannot be cut".to_owned(), |reason| format!("on a part of its batch {reason}"))
    )]
    TooLarge {
        /// Bytes that comparing on the whole batch takes.
        needed: usize,
        /// Bytes that it may take.
        allowed: usize,
        /// Why a part of the batch will not do.
        cut: Option<String>,
    },
}

crate::report::debug_as_report!(Unverified);
