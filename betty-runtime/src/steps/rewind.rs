//! What steps were taken from, the last one first, where only some of it was kept.
//!
//! The steps between are taken again from those that are kept whole, and give the same bits (Griewank and Walther,
//! *Evaluating Derivatives*, 2008, chapter 12).

use super::kept::KeptSteps;
use super::step::Step;
use super::update::Before;
use crate::distributed::DistributedError;
use crate::execute::Vector;

/// Goes back over the steps of a level, with memory for so many that are taken again.
pub(crate) struct Rewind<'a> {
    steps: &'a KeptSteps,
    /// The first steps of each are known; the last segment is the next one.
    segments: Vec<Segment>,
}

/// Neighbours, of which the first is known.
struct Segment {
    start: usize,
    end: usize,
    before: Before,
    memory: usize,
}

impl<'a> Rewind<'a> {
    pub(crate) fn new(steps: &'a KeptSteps) -> Self {
        Rewind { steps, segments: Vec::new() }
    }

    /// What step number `index` was taken from; those after it are not asked for any more. None if it has been let go.
    ///
    /// # Errors
    /// [`DistributedError`] if a step cannot be taken again, because other ranks do not give their share.
    pub(crate) fn before(&mut self, index: usize) -> Result<Option<Before>, DistributedError> {
        while self.segments.last().is_some_and(|segment| segment.start > index) {
            self.segments.pop();
        }
        if self.segments.is_empty() {
            let all = &self.steps.steps;
            let start = all.iter().take(index + 1).rposition(|step| step.before.is_some());
            let Some((start, before)) = start.and_then(|start| Some((start, all[start].before.clone()?))) else {
                return Ok(None);
            };
            self.segments.push(Segment { start, end: index + 1, before, memory: self.steps.memory / 2 });
        }
        loop {
            let Some(Segment { start, end, before, memory }) = self.segments.pop() else { return Ok(None) };
            let end = end.min(index + 1);
            if end - start == 1 {
                return Ok(Some(before));
            }
            self.split(Segment { start, end, before, memory })?;
        }
    }

    /// Takes the steps of a segment again, and keeps as many of them as there is memory for.
    fn split(&mut self, Segment { start, end, before, memory }: Segment) -> Result<(), DistributedError> {
        let length = end - start;
        let stride = if length <= memory { 1 } else { length.div_ceil((memory / 2).max(2)) };
        let rest = memory - memory / 2;
        let steps: Vec<&Step> = self.steps.steps.range(start..end).collect();
        let last = (length - 1) / stride * stride;
        let mut current = before.clone();
        self.segments.push(Segment { start, end: start + stride, before, memory: rest });
        for index in 1..=last {
            current = steps[index - 1].next(&self.steps.update, current, steps[index])?;
            if index.is_multiple_of(stride) {
                let (start, end) = (start + index, end.min(start + index + stride));
                self.segments.push(Segment { start, end, before: current.clone(), memory: rest });
            }
        }
        Ok(())
    }
}

impl KeptSteps {
    /// The parameters before the first step that was taken at this time or later; none if there is no such step.
    ///
    /// # Errors
    /// [`DistributedError`] as [`Rewind::before`].
    pub(crate) fn parameters_at(&self, time: u64) -> Result<Option<Vector>, DistributedError> {
        let Some(index) = self.steps.iter().position(|step| step.time >= time) else { return Ok(None) };
        Ok(Rewind::new(self).before(index)?.map(|before| before.parameters))
    }
}
