//! Reading at positions that are known when the loss is recorded: padding, windows and rolled dimensions.

use burn::tensor::TensorData;
use burn_ir::{CrossOpIr, PadModeIr, PadOpIr, Unfold4dOpIr, UnfoldOpIr};

use super::{Imported, Importer, scalar};
use crate::graph::{NodeId, Op, Range};

impl Importer<'_> {
    /// The part of `x` at these positions along a dimension.
    pub(super) fn at(
        &mut self,
        x: NodeId,
        axis: usize,
        positions: impl IntoIterator<Item = usize>,
    ) -> Imported<NodeId> {
        let positions: Vec<i64> = positions.into_iter().map(|position| position as i64).collect();
        let count = positions.len();
        let positions = self.graph.literal(TensorData::new(positions, [count]));
        Ok(self.graph.push(Op::Select(axis), &[x, positions])?)
    }

    pub(super) fn pad(&mut self, o: &PadOpIr) -> Imported {
        let x = self.node(&o.input)?;
        let sizes = o.input.shape.to_vec();
        // Padding is listed for the last dimensions.
        let skipped = sizes.len() - o.padding.len();
        let around = |d: usize| if d < skipped { (0, 0) } else { o.padding[d - skipped] };
        let node = match o.mode {
            PadModeIr::Constant(value) => {
                let padding: Vec<(usize, usize)> = (0..sizes.len()).map(around).collect();
                self.framed(x, &padding, scalar(value).as_f64())?
            }
            mode => {
                let mut node = x;
                for (d, &size) in sizes.iter().enumerate() {
                    let (before, after) = around(d);
                    if (before, after) == (0, 0) {
                        continue;
                    }
                    let last = size as isize - 1;
                    let outside = -(before as isize)..size as isize + after as isize;
                    let inside = outside.map(|at| match mode {
                        PadModeIr::Reflect if at < 0 => -at,
                        PadModeIr::Reflect if at > last => 2 * last - at,
                        _ => at.clamp(0, last.max(0)),
                    });
                    let inside: Vec<usize> = inside.map(|at| at.max(0) as usize).collect();
                    node = self.at(node, d, inside)?;
                }
                node
            }
        };
        self.set(&o.out, node)
    }

    /// `x` inside a frame of one number.
    pub(super) fn framed(&mut self, x: NodeId, padding: &[(usize, usize)], value: f64) -> Imported<NodeId> {
        let sizes = self.graph.shape(x).to_vec();
        let inside: Vec<Range> = sizes
            .iter()
            .zip(padding)
            .map(|(&size, &(before, _))| Range { start: before, end: before + size, step: 1 })
            .collect();
        let outer: Vec<usize> =
            sizes.iter().zip(padding).map(|(&size, &(before, after))| before + size + after).collect();
        let frame = self.graph.full(&outer, self.graph.dtype(x), value);
        Ok(self.graph.push(Op::SliceAssign(inside), &[frame, x])?)
    }

    /// Windows of one dimension, each along a new last one.
    pub(super) fn unfold(&mut self, o: &UnfoldOpIr) -> Imported {
        let x = self.node(&o.input)?;
        let windows = o.out.shape[o.dim];
        let node = self.windows(x, o.dim, windows, o.size, o.step, 1)?;
        let rank = o.input.shape.num_dims();
        // [.., windows, size, ..] → [.., windows, .., size]
        let order: Vec<usize> = (0..=o.dim).chain(o.dim + 2..=rank).chain([o.dim + 1]).collect();
        let node = self.graph.permute(node, &order)?;
        self.set(&o.out, node)
    }

    /// `[.., n, ..]` → `[.., windows, size, ..]`
    fn windows(
        &mut self,
        x: NodeId,
        axis: usize,
        windows: usize,
        size: usize,
        step: usize,
        dilation: usize,
    ) -> Imported<NodeId> {
        let positions = (0..windows).flat_map(|window| (0..size).map(move |k| window * step + k * dilation));
        let read = self.at(x, axis, positions)?;
        let mut shape = self.graph.shape(x).to_vec();
        shape.splice(axis..=axis, [windows, size]);
        Ok(self.graph.reshape(read, &shape)?)
    }

    /// Windows of an image as columns: `[n, c, h, w]` → `[n, c·kh·kw, windows]`.
    pub(super) fn unfold_image(&mut self, o: &Unfold4dOpIr) -> Imported {
        let x = self.node(&o.x)?;
        let (kernel, [ph, pw]) = (o.kernel_size, o.options.padding);
        let padded = self.framed(x, &[(0, 0), (0, 0), (ph, ph), (pw, pw)], 0.0)?;
        let shape = self.graph.shape(padded).to_vec();
        let (step, dilation) = (o.options.stride, o.options.dilation);
        let count = |d: usize| {
            let reach = dilation[d] * kernel[d].saturating_sub(1) + 1;
            (shape[d + 2] + step[d]).saturating_sub(reach) / step[d]
        };
        // [n, c, h, w] → [n, c, h, ow, kw] → [n, c, oh, kh, ow, kw]
        let columns = self.windows(padded, 3, count(1), kernel[1], step[1], dilation[1])?;
        let blocks = self.windows(columns, 2, count(0), kernel[0], step[0], dilation[0])?;
        let blocks = self.graph.permute(blocks, &[0, 1, 3, 5, 2, 4])?;
        let node = self.graph.reshape(blocks, &o.out.shape.to_vec())?;
        self.set(&o.out, node)
    }

    /// `x × y = (x₂y₃ − x₃y₂, x₃y₁ − x₁y₃, x₁y₂ − x₂y₁)` along one dimension
    pub(super) fn cross(&mut self, o: &CrossOpIr) -> Imported {
        let (x, y) = self.operands(&o.lhs, &o.rhs)?;
        let (x2, y2) = (self.at(x, o.dim, [1, 2, 0])?, self.at(y, o.dim, [1, 2, 0])?);
        let (x3, y3) = (self.at(x, o.dim, [2, 0, 1])?, self.at(y, o.dim, [2, 0, 1])?);
        let (plus, minus) = (self.graph.mul(x2, y3)?, self.graph.mul(x3, y2)?);
        let node = self.graph.sub(plus, minus)?;
        self.set(&o.out, node)
    }
}
