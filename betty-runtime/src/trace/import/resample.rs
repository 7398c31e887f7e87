//! Resizing images: each result pixel is a weighted sum of a few pixels of its row, then of its column.
//!
//! The weights depend on nothing but the sizes, so every mode is linear, and its adjoint adds the same products back.

use burn::tensor::TensorData;
use burn_ir::{InterpolateBackwardOpIr, InterpolateModeIr, InterpolateOpIr, InterpolateOptionsIr};

use super::{Imported, Importer};
use crate::graph::NodeId;

/// Where one of the pixels of each weighted sum is read, and its weight.
struct Tap {
    positions: Vec<usize>,
    weights: Vec<f64>,
}

impl Importer<'_> {
    pub(super) fn interpolate(&mut self, o: &InterpolateOpIr) -> Imported {
        let x = self.node(&o.x)?;
        let node = self.resized(x, o.output_size, &o.options)?;
        self.set(&o.out, node)
    }

    pub(super) fn interpolate_backward(&mut self, o: &InterpolateBackwardOpIr) -> Imported {
        let (x, cotangent) = (self.node(&o.x)?, self.node(&o.grad)?);
        let resized = self.resized(x, o.output_size, &o.options)?;
        let products = crate::graph::vjp(self.graph, &[(resized, cotangent)], &[x])?;
        let node = products[0].unwrap_or_else(|| self.graph.zeros_like(x));
        self.set(&o.out, node)
    }

    /// Weights and sums of 16 bits are formed in 32, and rounded once.
    fn resized(&mut self, x: NodeId, to: [usize; 2], options: &InterpolateOptionsIr) -> Imported<NodeId> {
        let dtype = self.graph.dtype(x);
        let is_weighted = !matches!(options.mode, InterpolateModeIr::Nearest | InterpolateModeIr::NearestExact);
        let mut x = if is_weighted { self.wide(x)? } else { x };
        for (axis, size) in [2, 3].into_iter().zip(to) {
            let taps = taps(&options.mode, options.align_corners, self.graph.shape(x)[axis], size);
            x = self.weighted(x, axis, taps)?;
        }
        self.narrow(x, dtype)
    }

    /// The sum over taps of weight times what is read along one dimension.
    fn weighted(&mut self, x: NodeId, axis: usize, taps: Vec<Tap>) -> Imported<NodeId> {
        let mut sum: Option<NodeId> = None;
        for tap in taps {
            let read = self.at(x, axis, tap.positions)?;
            let part = if tap.weights.iter().all(|&weight| weight == 1.0) {
                read
            } else {
                let mut along = vec![1; self.graph.shape(x).len()];
                along[axis] = tap.weights.len();
                let weights = TensorData::new(tap.weights, along).convert_dtype(self.graph.dtype(x));
                let weights = self.graph.literal(weights);
                self.graph.mul(read, weights)?
            };
            sum = Some(match sum {
                Some(sum) => self.graph.add(sum, part)?,
                None => part,
            });
        }
        Ok(sum.unwrap_or(x))
    }
}

/// The weighted sums along a dimension that is resized.
fn taps(mode: &InterpolateModeIr, align_corners: bool, from: usize, to: usize) -> Vec<Tap> {
    let ratio = from as f64 / to as f64;
    let nearest = |shift: f64| {
        let positions = (0..to).map(|i| (((i as f64 + shift) * ratio).floor() as usize).min(from.saturating_sub(1)));
        vec![Tap { positions: positions.collect(), weights: vec![1.0; to] }]
    };
    let source = |i: usize| {
        if align_corners {
            i as f64 * (from as f64 - 1.0) / (to.max(2) - 1) as f64
        } else {
            (i as f64 + 0.5) * ratio - 0.5
        }
    };
    match mode {
        InterpolateModeIr::Nearest => nearest(0.0),
        InterpolateModeIr::NearestExact => nearest(0.5),
        InterpolateModeIr::Bilinear => kernel(from, to, 0..=1, |i| source(i).max(0.0), |t| (1.0 - t.abs()).max(0.0)),
        InterpolateModeIr::Bicubic => kernel(from, to, -1..=2, source, cubic),
        InterpolateModeIr::Lanczos3 => lanczos(from, to, source),
    }
}

/// Taps at whole distances from a source position; beyond the border the border is repeated.
fn kernel(
    from: usize,
    to: usize,
    offsets: std::ops::RangeInclusive<isize>,
    source: impl Fn(usize) -> f64,
    weight: impl Fn(f64) -> f64,
) -> Vec<Tap> {
    let tap = |offset: isize| {
        let at = |i: usize| {
            let base = source(i).floor();
            let position = (base as isize + offset).clamp(0, from as isize - 1) as usize;
            (position, weight(source(i) - base - offset as f64))
        };
        let (positions, weights) = (0..to).map(at).unzip();
        Tap { positions, weights }
    };
    offsets.map(tap).collect()
}

/// Cubic convolution with `a = −3/4` (Keys 1981).
fn cubic(t: f64) -> f64 {
    const A: f64 = -0.75;
    let t = t.abs();
    if t < 1.0 {
        ((A + 2.0) * t - (A + 3.0)) * t * t + 1.0
    } else if t < 2.0 {
        ((A * t - 5.0 * A) * t + 8.0 * A) * t - 4.0 * A
    } else {
        0.0
    }
}

/// The product of two cardinal sines (Duchon 1979); what lies beyond the border does not count.
fn lanczos(from: usize, to: usize, source: impl Fn(usize) -> f64) -> Vec<Tap> {
    let sinc = |t: f64| if t == 0.0 { 1.0 } else { (std::f64::consts::PI * t).sin() / (std::f64::consts::PI * t) };
    let mut taps = kernel(from, to, -2..=3, &source, |t| if t.abs() < 3.0 { sinc(t) * sinc(t / 3.0) } else { 0.0 });
    for i in 0..to {
        let base = source(i).floor() as isize;
        for (tap, offset) in taps.iter_mut().zip(-2..=3) {
            if base + offset < 0 || base + offset >= from as isize {
                tap.weights[i] = 0.0;
            }
        }
        let total: f64 = taps.iter().map(|tap| tap.weights[i]).sum();
        if total != 0.0 {
            taps.iter_mut().for_each(|tap| tap.weights[i] /= total);
        }
    }
    taps
}
