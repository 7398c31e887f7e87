//! Numbers of a gradient that are read later than the step that follows it is taken.

use std::rc::Rc;

use super::{Numbers, Parts, Told};
use crate::derivatives::{GradientProgram, loss_in, square_norm_in};
use crate::execute::Unread;

/// The numbers of one gradient, without what they were computed from, which a device has other uses for.
pub(crate) struct Late {
    status: Unread,
    total: Option<Unread>,
    parts: Option<Box<[Unread; 3]>>,
    program: Rc<GradientProgram>,
}

impl Late {
    /// What is to be read of them.
    pub(crate) fn unread(&self) -> impl Iterator<Item = Unread> + use<'_> {
        let parts = self.parts.iter().flat_map(|parts| parts.iter());
        std::iter::once(&self.status).chain(&self.total).chain(parts).cloned()
    }

    /// What was read of them, in the same order; nothing if one that has to be is not finite, or is beyond the range of its type.
    pub(crate) fn told(&self, read: &mut impl Iterator<Item = Vec<f64>>) -> Option<Told> {
        let status = read.next()?;
        let total = self.total.is_some().then(|| read.next()).flatten().and_then(|total| total.first().copied());
        let mut of_parts = || read.next().and_then(|read| read.first().copied());
        let parts = match self.parts {
            Some(_) => Some(Parts::of(of_parts()?, of_parts()?, of_parts()?)),
            None => None,
        };
        let (loss, direct) = (loss_in(&status), square_norm_in(&status));
        let is_finite = [Some(loss), Some(direct), total].into_iter().flatten().all(f64::is_finite);
        let norm = total.unwrap_or(direct).sqrt();
        is_finite.then(|| Told { loss, metrics: self.program.metrics(&status), norm, parts })
    }
}

impl From<Numbers> for Late {
    fn from(Numbers { status, total, parts, program, .. }: Numbers) -> Self {
        Late { status, total, parts, program }
    }
}
