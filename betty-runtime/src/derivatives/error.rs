//! Why a loss or its gradient could not be computed.

use crate::distributed::DistributedError;
use crate::execute::ReadError;

/// A loss or its gradient could not be computed.
#[derive(thiserror::Error)]
pub enum LossError {
    /// A number could not be read from the device.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The ranks that share its examples could not go on together.
    #[error(transparent)]
    Distributed(#[from] DistributedError),
}

crate::report::debug_as_report!(LossError);
