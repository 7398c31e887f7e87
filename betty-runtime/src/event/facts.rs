//! What a run is a run of, for records that begin with that.

use crate::schedule::Schedule;

/// What a run is a run of.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The program: its name, its levels, and in which order everything happens.
    pub schedule: Schedule,
    /// Its numbers, as JSON.
    pub config: &'a str,
    /// What decides every random draw.
    pub seed: u64,
}
