//! Inputs that are seen along other dimensions than they lie in.

use crate::Number;

/// An input that does not lie in the order of the result, read from one entry on.
pub(super) struct Gathered<'a, T> {
    entries: &'a [T],
    /// Size, stride and index in each dimension; those that are one run of memory are one.
    outer: Vec<[usize; 3]>,
    /// The same of the last one.
    run: [usize; 3],
    /// Where the run begins.
    place: usize,
}

impl<'a, T: Number> Gathered<'a, T> {
    pub(super) fn new(entries: &'a [T], shape: &[usize], strides: &[usize], first: usize) -> Self {
        let mut outer: Vec<[usize; 3]> = Vec::new();
        for (&size, &stride) in shape.iter().zip(strides).filter(|(size, _)| **size != 1) {
            match outer.last_mut() {
                Some([length, step, _]) if *step == size * stride => (*length, *step) = (*length * size, stride),
                _ => outer.push([size, stride, 0]),
            }
        }
        let (mut rest, mut place) = (first, 0);
        for [size, stride, index] in outer.iter_mut().rev() {
            (rest, *index) = (rest / *size, rest % *size);
            place += *index * *stride;
        }
        let run = outer.pop().unwrap_or([1, 0, 0]);
        Gathered { entries, outer, run, place: place - run[1] * run[2] }
    }

    /// Writes the next entries.
    #[inline(always)]
    pub(super) fn next(&mut self, mut out: &mut [T]) {
        let [length, stride, _] = self.run;
        while !out.is_empty() {
            let within = self.run[2];
            // As many whole runs as there are in the dimension around them.
            let around = self.outer.last().map_or([1, 0, 0], |&around| around);
            let runs = (out.len() / length).min(around[0] - around[2]);
            if within == 0 && runs > 0 {
                let (now, later) = out.split_at_mut(runs * length);
                for (number, run) in now.chunks_exact_mut(length).enumerate() {
                    self.copy(self.place + number * around[1], stride, run);
                }
                self.step(runs);
                out = later;
                continue;
            }
            let (now, later) = out.split_at_mut(out.len().min(length - within));
            self.copy(self.place + within * stride, stride, now);
            self.run[2] += now.len();
            if self.run[2] == length {
                self.run[2] = 0;
                self.step(1);
            }
            out = later;
        }
    }

    /// Writes a run, or a part of one.
    #[inline(always)]
    fn copy(&self, start: usize, stride: usize, out: &mut [T]) {
        if stride == 0 {
            let entry = self.entries[start];
            for out in out {
                *out = entry;
            }
        } else if stride == 1 {
            for (out, &entry) in out.iter_mut().zip(&self.entries[start..]) {
                *out = entry;
            }
        } else {
            for (out, &entry) in out.iter_mut().zip(self.entries[start..].iter().step_by(stride)) {
                *out = entry;
            }
        }
    }

    /// Goes so many runs on, not beyond the dimension around them.
    #[inline(always)]
    fn step(&mut self, runs: usize) {
        let mut by = runs;
        for [size, stride, index] in self.outer.iter_mut().rev() {
            *index += by;
            self.place += by * *stride;
            if *index < *size {
                break;
            }
            self.place -= *size * *stride;
            (*index, by) = (0, 1);
        }
    }
}
