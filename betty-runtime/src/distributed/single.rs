//! One rank alone.

use super::{Collective, CollectiveError};

/// A group of one rank: nothing is sent, and everything is as without a group.
#[derive(Clone, Copy, Debug, Default)]
pub struct SingleProcess;

impl Collective for SingleProcess {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn gather(&self, mine: &[u8]) -> Result<Vec<u8>, CollectiveError> {
        Ok(mine.to_vec())
    }

    fn broadcast(&self, _buffer: &mut [u8], _root: usize) -> Result<(), CollectiveError> {
        Ok(())
    }

    fn sum_f32(&self, _numbers: &mut [f32]) -> Result<(), CollectiveError> {
        Ok(())
    }

    fn sum_f64(&self, _numbers: &mut [f64]) -> Result<(), CollectiveError> {
        Ok(())
    }
}
