//! Reading images between their pixels, at positions that tensors hold: grids and deformable convolutions.

use burn::tensor::{DType, TensorData};
use burn_ir::{
    DeformConv2dBackwardOpIr, DeformConv2dOpIr, DeformableConv2dOptionsIr, FloatOperationIr, GridSample2dOpIr,
    GridSamplePaddingModeIr, InterpolateModeIr, TensorIr,
};

use super::{Imported, Importer, unsupported};
use crate::graph::{Binary, Comparison, NodeId, Op, Scalar, Unary, WithScalar, accumulator};

/// Positions in images: for each image a list of rows and a list of columns.
#[derive(Clone, Copy)]
struct Positions {
    y: NodeId,
    x: NodeId,
}

/// The tensors of a deformable convolution.
#[derive(Clone, Copy)]
struct Deformable {
    x: NodeId,
    offset: NodeId,
    weight: NodeId,
    mask: Option<NodeId>,
    bias: Option<NodeId>,
}

/// What there is outside of an image.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outside {
    Zero,
    /// The pixel at the border.
    Border,
}

impl Importer<'_> {
    pub(super) fn grid_sample(&mut self, op: &FloatOperationIr, o: &GridSample2dOpIr) -> Imported {
        let nearest = match o.options.mode {
            InterpolateModeIr::Nearest => true,
            InterpolateModeIr::Bilinear => false,
            _ => return unsupported(op),
        };
        let (image, grid) = (self.node(&o.tensor)?, self.node(&o.grid)?);
        let (dtype, image, grid) = (self.graph.dtype(image), self.wide(image)?, self.wide(grid)?);
        let size = |axis: usize| o.tensor.shape[axis];
        let positions =
            Positions { y: self.grid_position(grid, 1, size(2), o)?, x: self.grid_position(grid, 0, size(3), o)? };
        let outside = match o.options.padding_mode {
            GridSamplePaddingModeIr::Zeros => Outside::Zero,
            _ => Outside::Border,
        };
        let node = if nearest {
            let y = self.graph.push(Op::Unary(Unary::Round), &[positions.y])?;
            let x = self.graph.push(Op::Unary(Unary::Round), &[positions.x])?;
            self.pixels(image, Positions { y, x }, outside)?
        } else {
            self.bilinear(image, positions, outside)?
        };
        let node = self.narrow(node, dtype)?;
        self.set_shaped(&o.out, node)
    }

    /// A tensor in the type that positions, weights and their sums are formed in: 16 bits do not tell one pixel of a large image
    /// from the next.
    pub(super) fn wide(&mut self, x: NodeId) -> Imported<NodeId> {
        let dtype = accumulator(self.graph.dtype(x));
        self.narrow(x, dtype)
    }

    pub(super) fn narrow(&mut self, x: NodeId, dtype: DType) -> Imported<NodeId> {
        if self.graph.dtype(x) == dtype { Ok(x) } else { Ok(self.graph.cast(x, dtype)?) }
    }

    /// A coordinate of the grid, between −1 and 1, in pixels.
    fn grid_position(&mut self, grid: NodeId, which: usize, size: usize, o: &GridSample2dOpIr) -> Imported<NodeId> {
        let shape = self.graph.shape(grid).to_vec();
        let coordinate = self.graph.narrow(grid, 3, which, which + 1)?;
        let coordinate = self.graph.reshape(coordinate, &[shape[0], shape[1] * shape[2]])?;
        let shifted = self.graph.add_scalar(coordinate, 1.0)?;
        let (size, aligned) = (size as f64, o.options.align_corners);
        let mut position = self.graph.mul_scalar(shifted, if aligned { (size - 1.0) / 2.0 } else { size / 2.0 })?;
        if !aligned {
            position = self.graph.add_scalar(position, -0.5)?;
        }
        match o.options.padding_mode {
            GridSamplePaddingModeIr::Zeros => Ok(position),
            GridSamplePaddingModeIr::Border => self.clamped(position, size - 1.0),
            GridSamplePaddingModeIr::Reflection => {
                let (low, span) = if aligned { (0.0, size - 1.0) } else { (-0.5, size) };
                self.reflected(position, low, span)
            }
        }
    }

    fn clamped(&mut self, position: NodeId, high: f64) -> Imported<NodeId> {
        let raised = self.graph.push(Op::WithScalar(WithScalar::ClampMin, Scalar::Float(0.0)), &[position])?;
        Ok(self.graph.push(Op::WithScalar(WithScalar::ClampMax, Scalar::Float(high)), &[raised])?)
    }

    /// A position thrown back at `low` and at `low + span`: `low + span − ||x − low| mod 2·span − span|`.
    fn reflected(&mut self, position: NodeId, low: f64, span: f64) -> Imported<NodeId> {
        if span <= 0.0 {
            return Ok(self.graph.full_like(position, low));
        }
        let distance = self.graph.add_scalar(position, -low)?;
        let distance = self.graph.push(Op::Unary(Unary::Abs), &[distance])?;
        let within = self.graph.push(Op::WithScalar(WithScalar::Rem, Scalar::Float(2.0 * span)), &[distance])?;
        let centred = self.graph.add_scalar(within, -span)?;
        let folded = self.graph.push(Op::Unary(Unary::Abs), &[centred])?;
        let folded = self.graph.neg(folded)?;
        Ok(self.graph.add_scalar(folded, low + span)?)
    }

    /// `[n, c, h, w]` at `p` positions of each image: the four pixels around each, weighted by the cell's other parts.
    fn bilinear(&mut self, image: NodeId, at: Positions, outside: Outside) -> Imported<NodeId> {
        let rows = self.neighbours(at.y)?;
        let columns = self.neighbours(at.x)?;
        let mut sum: Option<NodeId> = None;
        for (y, height) in rows {
            for (x, width) in columns {
                let pixels = self.pixels(image, Positions { y, x }, outside)?;
                let weight = self.graph.mul(height, width)?;
                let weight = self.over_channels(weight)?;
                let part = self.graph.mul(pixels, weight)?;
                sum = Some(match sum {
                    Some(sum) => self.graph.add(sum, part)?,
                    None => part,
                });
            }
        }
        Ok(sum.unwrap_or(image))
    }

    /// The whole positions around each position, and their weights.
    fn neighbours(&mut self, position: NodeId) -> Imported<[(NodeId, NodeId); 2]> {
        let before = self.graph.push(Op::Unary(Unary::Floor), &[position])?;
        let after = self.graph.add_scalar(before, 1.0)?;
        let fraction = self.graph.sub(position, before)?;
        let rest = self.graph.neg(fraction)?;
        let rest = self.graph.add_scalar(rest, 1.0)?;
        Ok([(before, rest), (after, fraction)])
    }

    /// `[n, c, h, w]` at whole positions: `[n, c, p]`.
    fn pixels(&mut self, image: NodeId, at: Positions, outside: Outside) -> Imported<NodeId> {
        let shape = self.graph.shape(image).to_vec();
        let (height, width) = (shape[2], shape[3]);
        let flat = self.graph.reshape(image, &[shape[0], shape[1], height * width])?;
        let (row, column) = (self.index(at.y, height)?, self.index(at.x, width)?);
        let start = self.graph.mul_scalar(row, width as f64)?;
        let index = self.graph.add(start, column)?;
        let index = self.over_channels(index)?;
        let count = self.graph.shape(index)[2];
        let index = self.graph.expand(index, &[shape[0], shape[1], count])?;
        let pixels = self.graph.push(Op::Gather(2), &[flat, index])?;
        if outside == Outside::Border {
            return Ok(pixels);
        }
        let (rows, columns) = (self.inside(at.y, height)?, self.inside(at.x, width)?);
        let inside = self.graph.push(Op::Binary(Binary::And), &[rows, columns])?;
        let inside = self.over_channels(inside)?;
        let (inside, pixels) = self.graph.broadcast(inside, pixels)?;
        let zeros = self.graph.zeros_like(pixels);
        Ok(self.graph.select_where(inside, pixels, zeros)?)
    }

    fn index(&mut self, position: NodeId, size: usize) -> Imported<NodeId> {
        let clamped = self.clamped(position, size as f64 - 1.0)?;
        Ok(self.graph.cast(clamped, DType::I64)?)
    }

    fn inside(&mut self, position: NodeId, size: usize) -> Imported<NodeId> {
        let dtype = self.graph.dtype(position);
        let low = self.graph.push(Op::CompareScalar(Comparison::GreaterEqual, Scalar::of(dtype, 0.0)), &[position])?;
        let high =
            self.graph.push(Op::CompareScalar(Comparison::Lower, Scalar::of(dtype, size as f64)), &[position])?;
        Ok(self.graph.push(Op::Binary(Binary::And), &[low, high])?)
    }

    /// `[n, p]` → `[n, 1, p]`
    fn over_channels(&mut self, list: NodeId) -> Imported<NodeId> {
        let shape = self.graph.shape(list).to_vec();
        Ok(self.graph.reshape(list, &[shape[0], 1, shape[1]])?)
    }

    pub(super) fn deformable(&mut self, o: &DeformConv2dOpIr) -> Imported {
        let parts = Deformable {
            x: self.node(&o.x)?,
            offset: self.node(&o.offset)?,
            weight: self.node(&o.weight)?,
            mask: self.optional(o.mask.as_ref())?,
            bias: self.optional(o.bias.as_ref())?,
        };
        let node = self.deformed(parts, &o.options)?;
        self.set(&o.out, node)
    }

    /// The adjoint by each tensor with the others held fixed, though one may be computed from another.
    pub(super) fn deformable_backward(&mut self, o: &DeformConv2dBackwardOpIr) -> Imported {
        let cotangent = self.node(&o.out_grad)?;
        let parts = Deformable {
            x: self.apart(&o.x)?,
            offset: self.apart(&o.offset)?,
            weight: self.apart(&o.weight)?,
            mask: o.mask.as_ref().map(|mask| self.apart(mask)).transpose()?,
            bias: o.bias.as_ref().map(|bias| self.apart(bias)).transpose()?,
        };
        let out = self.deformed(parts, &o.options)?;
        let results = [
            (Some(parts.x), Some(&o.input_grad)),
            (Some(parts.offset), Some(&o.offset_grad)),
            (Some(parts.weight), Some(&o.weight_grad)),
            (parts.mask, o.mask_grad.as_ref()),
            (parts.bias, o.bias_grad.as_ref()),
        ];
        for (source, tensor) in results {
            let (Some(source), Some(tensor)) = (source, tensor) else { continue };
            let products = crate::graph::vjp(self.graph, &[(out, cotangent)], &[source])?;
            let node = products[0].unwrap_or_else(|| self.graph.zeros_like(source));
            self.set(tensor, node)?;
        }
        Ok(())
    }

    fn optional(&mut self, tensor: Option<&TensorIr>) -> Imported<Option<NodeId>> {
        tensor.map(|tensor| self.node(tensor)).transpose()
    }

    /// A tensor that no other is computed from.
    fn apart(&mut self, tensor: &TensorIr) -> Imported<NodeId> {
        let node = self.node(tensor)?;
        Ok(self.graph.push(Op::StopGradient, &[node])?)
    }

    /// A convolution whose taps are read where the offsets point, as one matrix product of weights and samples.
    fn deformed(&mut self, parts: Deformable, o: &DeformableConv2dOptionsIr) -> Imported<NodeId> {
        let dtype = self.graph.dtype(parts.x);
        let parts = Deformable {
            x: self.wide(parts.x)?,
            offset: self.wide(parts.offset)?,
            weight: self.wide(parts.weight)?,
            mask: parts.mask.map(|mask| self.wide(mask)).transpose()?,
            bias: parts.bias.map(|bias| self.wide(bias)).transpose()?,
        };
        let (x, weight) = (self.graph.shape(parts.x).to_vec(), self.graph.shape(parts.weight).to_vec());
        let offset = self.graph.shape(parts.offset).to_vec();
        let (batch, channels, out, taps) = (x[0], x[1], weight[0], weight[2] * weight[3]);
        let (sides, count) = ([offset[2], offset[3]], offset[2] * offset[3]);
        // Images of one offset group share their positions.
        let images = batch * o.offset_groups;
        let image = self.graph.reshape(parts.x, &[images, channels / o.offset_groups, x[2], x[3]])?;
        let offsets = self.graph.reshape(parts.offset, &[images, taps, 2, count])?;
        let position = |importer: &mut Self, d: usize| -> Imported<NodeId> {
            let offset = importer.graph.narrow(offsets, 2, d, d + 1)?;
            let offset = importer.graph.reshape(offset, &[images, taps, count])?;
            let start = |tap: usize, at: usize| {
                let (tap, at) =
                    if d == 0 { (tap / weight[3], at / sides[1]) } else { (tap % weight[3], at % sides[1]) };
                (at * o.stride[d] + tap * o.dilation[d]) as f64 - o.padding[d] as f64
            };
            let starts = (0..taps).flat_map(|tap| (0..count).map(move |at| start(tap, at))).collect();
            let dtype = importer.graph.dtype(offset);
            let starts = TensorData::new::<f64, _>(starts, [1, taps, count]).convert_dtype(dtype);
            let starts = importer.graph.literal(starts);
            let position = importer.graph.add(offset, starts)?;
            Ok(importer.graph.reshape(position, &[images, taps * count])?)
        };
        let positions = Positions { y: position(self, 0)?, x: position(self, 1)? };
        let mut samples = self.bilinear(image, positions, Outside::Zero)?;
        if let Some(mask) = parts.mask {
            let mask = self.graph.reshape(mask, &[images, 1, taps * count])?;
            samples = self.graph.mul(samples, mask)?;
        }
        let groups = o.weight_groups;
        let columns = self.graph.reshape(samples, &[batch, groups, channels / groups * taps, count])?;
        let rows = self.graph.reshape(parts.weight, &[1, groups, out / groups, channels / groups * taps])?;
        let rows = self.graph.expand(rows, &[batch, groups, out / groups, channels / groups * taps])?;
        let product = self.graph.matmul(rows, columns)?;
        let node = self.graph.reshape(product, &[batch, out, sides[0], sides[1]])?;
        let node = match parts.bias {
            Some(bias) => {
                let bias = self.graph.reshape(bias, &[1, out, 1, 1])?;
                self.graph.add(node, bias)?
            }
            None => node,
        };
        self.narrow(node, dtype)
    }
}
