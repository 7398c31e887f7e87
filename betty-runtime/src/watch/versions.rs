//! What numbers of a run depend on beside its program: said in every record.

/// The version of this library.
pub(super) const BETTY: &str = env!("CARGO_PKG_VERSION");

/// The version of Burn that it is made for and tested with. A test holds it against the lock file.
pub(super) const BURN: &str = "0.22.1";

/// How it was built: numbers are the same, but not times.
pub(super) const BUILD: &str = if cfg!(debug_assertions) { "debug" } else { "release" };
