//! Arithmetic, reductions and elementary functions.

use burn::tensor::{DType, TensorData};
use burn_ir::{
    BinaryOpIr, BoolOperationIr, FloatOperationIr, IntOperationIr, MatmulOpIr, NumericOperationIr, PadModeIr, PadOpIr,
    RandomOpIr, ScalarOpIr, TensorIr,
};

use super::{Imported, Importer, scalar, unsupported};
use crate::graph::{Binary, Comparison, Distribution, NodeId, Op, Range, Scalar, Unary, WithScalar};

impl Importer<'_> {
    pub(super) fn numeric(&mut self, op: &NumericOperationIr) -> Imported {
        use NumericOperationIr as N;
        match op {
            N::Add(o) => self.binary(Binary::Add, o),
            N::Sub(o) => self.binary(Binary::Sub, o),
            N::Mul(o) => self.binary(Binary::Mul, o),
            N::Div(o) => self.binary(Binary::Div, o),
            N::Rem(o) => self.binary(Binary::Rem, o),
            N::AddScalar(o) => self.with_scalar(WithScalar::Add, o),
            N::MulScalar(o) => {
                let x = self.node(&o.lhs)?;
                let factor = self.exact_factor(scalar(o.rhs).as_f64(), o.out.dtype);
                let node = self.graph.mul_scalar(x, factor)?;
                self.set(&o.out, node)
            }
            N::RemScalar(o) => self.with_scalar(WithScalar::Rem, o),
            N::PowiScalar(o) => self.with_scalar(WithScalar::Pow, o),
            N::ClampMin(o) => self.with_scalar(WithScalar::ClampMin, o),
            N::ClampMax(o) => self.with_scalar(WithScalar::ClampMax, o),
            N::SubScalar(o) => {
                let x = self.node(&o.lhs)?;
                let node = self.graph.add_scalar(x, -scalar(o.rhs).as_f64())?;
                self.set(&o.out, node)
            }
            N::DivScalar(o) => {
                let x = self.node(&o.lhs)?;
                let divisor = scalar(o.rhs).as_f64();
                let node = if o.out.dtype.is_float() {
                    self.divisors.push(divisor);
                    self.graph.mul_scalar(x, divisor.recip())?
                } else {
                    let divisor = self.graph.full_like(x, divisor);
                    self.graph.div(x, divisor)?
                };
                self.set(&o.out, node)
            }
            N::Clamp(o) => {
                let x = self.node(&o.tensor)?;
                let raised = self.graph.push(Op::WithScalar(WithScalar::ClampMin, scalar(o.min)), &[x])?;
                let node = self.graph.push(Op::WithScalar(WithScalar::ClampMax, scalar(o.max)), &[raised])?;
                self.set(&o.out, node)
            }
            N::Neg(o) => self.unary(Unary::Neg, &o.input, &o.out),
            N::Abs(o) => self.unary(Unary::Abs, &o.input, &o.out),
            N::Sign(o) => self.unary(Unary::Sign, &o.input, &o.out),
            N::Full(o) => self.fill(&o.out, scalar(o.value).as_f64()),
            N::Sum(o) => {
                let x = self.node(&o.input)?;
                let node = self.graph.sum_all(x)?;
                self.set_shaped(&o.out, node)
            }
            N::Mean(o) => {
                let x = self.node(&o.input)?;
                let sum = self.graph.sum_all(x)?;
                let node = self.mean_of(sum, o.input.shape.num_elements())?;
                self.set_shaped(&o.out, node)
            }
            N::SumDim(o) => self.unary_op(Op::Sum(vec![o.axis]), &o.input, &o.out),
            N::SumDims(o) => {
                let x = self.node(&o.input)?;
                let node = self.graph.sum(x, &o.axes)?;
                self.set_shaped(&o.out, node)
            }
            N::MeanDim(o) => {
                let x = self.node(&o.input)?;
                let sum = self.graph.sum(x, &[o.axis])?;
                let node = self.mean_of(sum, o.input.shape[o.axis])?;
                self.set(&o.out, node)
            }
            N::Greater(o) => self.compare(Comparison::Greater, o),
            N::GreaterEqual(o) => self.compare(Comparison::GreaterEqual, o),
            N::Lower(o) => self.compare(Comparison::Lower, o),
            N::LowerEqual(o) => self.compare(Comparison::LowerEqual, o),
            N::GreaterElem(o) => self.compare_scalar(Comparison::Greater, o),
            N::GreaterEqualElem(o) => self.compare_scalar(Comparison::GreaterEqual, o),
            N::LowerElem(o) => self.compare_scalar(Comparison::Lower, o),
            N::LowerEqualElem(o) => self.compare_scalar(Comparison::LowerEqual, o),
            N::ArgMax(o) => self.index_of(Op::ArgMax(o.axis), &o.input, &o.out),
            N::ArgMin(o) => self.index_of(Op::ArgMin(o.axis), &o.input, &o.out),
            N::MaxDim(o) => self.extreme(Op::ArgMax(o.axis), o.axis, &o.input, &o.out, None),
            N::MinDim(o) => self.extreme(Op::ArgMin(o.axis), o.axis, &o.input, &o.out, None),
            N::MaxDimWithIndices(o) => self.extreme(Op::ArgMax(o.dim), o.dim, &o.tensor, &o.out, Some(&o.out_indices)),
            N::MinDimWithIndices(o) => self.extreme(Op::ArgMin(o.dim), o.dim, &o.tensor, &o.out, Some(&o.out_indices)),
            N::Max(o) => self.extreme_of_all(Op::ArgMax(0), &o.input, &o.out),
            N::Min(o) => self.extreme_of_all(Op::ArgMin(0), &o.input, &o.out),
            N::Pad(o) => self.pad(op, o),
            N::CumSum(o) if o.out.dtype.is_float() => self.cumulative_sum(o.axis, &o.input, &o.out),
            N::CumSum(_)
            | N::Powi(_)
            | N::Prod(_)
            | N::ProdDim(_)
            | N::ArgTopK(_)
            | N::TopK(_)
            | N::TopKWithIndices(_)
            | N::MaxAbs(_)
            | N::MaxAbsDim(_)
            | N::IntRandom(_)
            | N::CumProd(_)
            | N::CumMin(_)
            | N::CumMax(_)
            | N::Sort(_)
            | N::SortWithIndices(_)
            | N::ArgSort(_) => unsupported(op),
        }
    }

    pub(super) fn float(&mut self, op: &FloatOperationIr) -> Imported {
        use FloatOperationIr as F;
        match op {
            F::Exp(o) => self.unary(Unary::Exp, &o.input, &o.out),
            F::Log(o) => self.unary(Unary::Log, &o.input, &o.out),
            F::Log1p(o) => self.unary(Unary::Log1p, &o.input, &o.out),
            F::Erf(o) => self.unary(Unary::Erf, &o.input, &o.out),
            F::Sqrt(o) => self.unary(Unary::Sqrt, &o.input, &o.out),
            F::Recip(o) => self.unary(Unary::Recip, &o.input, &o.out),
            F::Sin(o) => self.unary(Unary::Sin, &o.input, &o.out),
            F::Cos(o) => self.unary(Unary::Cos, &o.input, &o.out),
            F::Tan(o) => self.unary(Unary::Tan, &o.input, &o.out),
            F::Sinh(o) => self.unary(Unary::Sinh, &o.input, &o.out),
            F::Cosh(o) => self.unary(Unary::Cosh, &o.input, &o.out),
            F::Tanh(o) => self.unary(Unary::Tanh, &o.input, &o.out),
            F::ArcSin(o) => self.unary(Unary::Asin, &o.input, &o.out),
            F::ArcCos(o) => self.unary(Unary::Acos, &o.input, &o.out),
            F::ArcTan(o) => self.unary(Unary::Atan, &o.input, &o.out),
            F::ArcSinh(o) => self.unary(Unary::Asinh, &o.input, &o.out),
            F::ArcCosh(o) => self.unary(Unary::Acosh, &o.input, &o.out),
            F::ArcTanh(o) => self.unary(Unary::Atanh, &o.input, &o.out),
            F::Round(o) => self.unary(Unary::Round, &o.input, &o.out),
            F::Floor(o) => self.unary(Unary::Floor, &o.input, &o.out),
            F::Ceil(o) => self.unary(Unary::Ceil, &o.input, &o.out),
            F::Trunc(o) => self.unary(Unary::Trunc, &o.input, &o.out),
            F::IsNan(o) => self.unary(Unary::IsNan, &o.input, &o.out),
            F::IsInf(o) => self.unary(Unary::IsInf, &o.input, &o.out),
            F::PowfScalar(o) => self.with_scalar(WithScalar::Pow, o),
            F::Powf(o) => self.binary(Binary::Pow, o),
            F::ArcTan2(o) => self.binary(Binary::Atan2, o),
            F::IntoInt(o) => self.unary_op(Op::Cast(o.out.dtype), &o.input, &o.out),
            F::Matmul(o) => self.matmul(o),
            F::Random(o) => self.random(o),
            F::Hypot(o) => {
                let (x, y) = self.operands(&o.lhs, &o.rhs)?;
                let (x2, y2) = (self.graph.mul(x, x)?, self.graph.mul(y, y)?);
                let square = self.graph.add(x2, y2)?;
                let node = self.graph.sqrt(square)?;
                self.set(&o.out, node)
            }
            F::Cross(_) | F::Quantize(_) | F::Dequantize(_) | F::GridSample2d(_) => unsupported(op),
        }
    }

    pub(super) fn int(&mut self, op: &IntOperationIr) -> Imported {
        match op {
            IntOperationIr::IntoFloat(o) => self.unary_op(Op::Cast(o.out.dtype), &o.input, &o.out),
            IntOperationIr::Matmul(o) => self.matmul(o),
            _ => unsupported(op),
        }
    }

    pub(super) fn bool(&mut self, op: &BoolOperationIr) -> Imported {
        match op {
            BoolOperationIr::IntoFloat(o) | BoolOperationIr::IntoInt(o) => {
                self.unary_op(Op::Cast(o.out.dtype), &o.input, &o.out)
            }
            BoolOperationIr::Not(o) => self.unary(Unary::Not, &o.input, &o.out),
            BoolOperationIr::And(o) => self.binary(Binary::And, o),
            BoolOperationIr::Or(o) => self.binary(Binary::Or, o),
            BoolOperationIr::Xor(o) => self.binary(Binary::Xor, o),
        }
    }

    pub(super) fn unary(&mut self, f: Unary, input: &TensorIr, out: &TensorIr) -> Imported {
        self.unary_op(Op::Unary(f), input, out)
    }

    fn binary(&mut self, f: Binary, o: &BinaryOpIr) -> Imported {
        let (x, y) = self.operands(&o.lhs, &o.rhs)?;
        let node = match self.as_softmax(f, x, y) {
            Some((op, source)) => self.graph.push(op, &[source])?,
            None => self.graph.push(Op::Binary(f), &[x, y])?,
        };
        self.set(&o.out, node)
    }

    fn with_scalar(&mut self, f: WithScalar, o: &ScalarOpIr) -> Imported {
        let value = Scalar::of(o.lhs.dtype, scalar(o.rhs).as_f64());
        self.unary_op(Op::WithScalar(f, value), &o.lhs, &o.out)
    }

    /// Burn's backward pass of `x / number` rounds `1 / number` to single precision, also for doubles; this is what it
    /// stands for.
    fn exact_factor(&self, factor: f64, dtype: DType) -> f64 {
        let rounded = |divisor: f64| f64::from(1.0 / divisor as f32);
        match self.divisors.iter().find(|&&divisor| rounded(divisor) == factor) {
            Some(divisor) if self.is_backward() && dtype == DType::F64 => divisor.recip(),
            _ => factor,
        }
    }

    /// A result whose recorded shape may drop or keep dimensions of size 1.
    fn set_shaped(&mut self, out: &TensorIr, node: NodeId) -> Imported {
        let node = self.graph.reshape(node, &out.shape.to_vec())?;
        self.set(out, node)
    }

    fn mean_of(&mut self, sum: NodeId, count: usize) -> Imported<NodeId> {
        if self.graph.dtype(sum).is_float() {
            return Ok(self.graph.mul_scalar(sum, 1.0 / count as f64)?);
        }
        let count = self.graph.full_like(sum, count as f64);
        Ok(self.graph.div(sum, count)?)
    }

    fn index_of(&mut self, op: Op, input: &TensorIr, out: &TensorIr) -> Imported {
        let x = self.node(input)?;
        let indices = self.graph.push(op, &[x])?;
        let node = self.graph.cast(indices, out.dtype)?;
        self.set(out, node)
    }

    /// The extreme value along a dimension is the one at its index: all derivatives follow from gather's.
    fn extreme(
        &mut self,
        op: Op,
        axis: usize,
        input: &TensorIr,
        out: &TensorIr,
        out_indices: Option<&TensorIr>,
    ) -> Imported {
        let x = self.node(input)?;
        let indices = self.graph.push(op, &[x])?;
        let node = self.graph.push(Op::Gather(axis), &[x, indices])?;
        self.set(out, node)?;
        if let Some(tensor) = out_indices {
            let indices = self.graph.cast(indices, tensor.dtype)?;
            self.set(tensor, indices)?;
        }
        Ok(())
    }

    fn extreme_of_all(&mut self, op: Op, input: &TensorIr, out: &TensorIr) -> Imported {
        let x = self.node(input)?;
        let flat = self.graph.reshape(x, &[input.shape.num_elements()])?;
        let index = self.graph.push(op, &[flat])?;
        let node = self.graph.push(Op::Gather(0), &[flat, index])?;
        self.set_shaped(out, node)
    }

    /// A cumulative sum is a product with a triangle of ones.
    fn cumulative_sum(&mut self, axis: usize, input: &TensorIr, out: &TensorIr) -> Imported {
        let x = self.node(input)?;
        let shape = self.graph.shape(x).to_vec();
        let (rank, size) = (shape.len(), shape[axis]);
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(axis, rank - 1);
        let last = self.graph.permute(x, &order)?;
        let moved = self.graph.shape(last).to_vec();
        let rows = self.graph.reshape(last, &[input.shape.num_elements() / size.max(1), size])?;
        let ones = (0..size * size).map(|at| if at / size <= at % size { 1.0 } else { 0.0 }).collect();
        let triangle = TensorData::new::<f64, _>(ones, [size, size]).convert_dtype(out.dtype);
        let triangle = self.graph.literal(triangle);
        let sums = self.graph.matmul(rows, triangle)?;
        let sums = self.graph.reshape(sums, &moved)?;
        let node = self.graph.permute(sums, &order)?;
        self.set(out, node)
    }

    fn pad(&mut self, op: &NumericOperationIr, o: &PadOpIr) -> Imported {
        let PadModeIr::Constant(value) = o.mode else { return unsupported(op) };
        let x = self.node(&o.input)?;
        let sizes = o.input.shape.to_vec();
        // Padding is listed for the last dimensions.
        let skipped = sizes.len() - o.padding.len();
        let before = |d: usize| if d < skipped { 0 } else { o.padding[d - skipped].0 };
        let inside: Vec<Range> =
            sizes.iter().enumerate().map(|(d, &n)| Range { start: before(d), end: before(d) + n, step: 1 }).collect();
        let frame = self.graph.full(&o.out.shape.to_vec(), o.out.dtype, scalar(value).as_f64());
        let node = self.graph.push(Op::SliceAssign(inside), &[frame, x])?;
        self.set(&o.out, node)
    }

    fn matmul(&mut self, o: &MatmulOpIr) -> Imported {
        let (x, y) = (self.node(&o.lhs)?, self.node(&o.rhs)?);
        let shape = o.out.shape.to_vec();
        let batch = &shape[..shape.len().saturating_sub(2)];
        let x = self.batched(x, batch)?;
        let y = self.batched(y, batch)?;
        let node = self.graph.matmul(x, y)?;
        self.set(&o.out, node)
    }

    /// A matrix repeated over the leading dimensions of a product.
    fn batched(&mut self, x: NodeId, batch: &[usize]) -> Imported<NodeId> {
        let shape = self.graph.shape(x).to_vec();
        let matrix = &shape[shape.len().saturating_sub(2)..];
        let to: Vec<usize> = batch.iter().chain(matrix).copied().collect();
        Ok(self.graph.expand(x, &to)?)
    }

    fn random(&mut self, o: &RandomOpIr) -> Imported {
        let distribution = match o.distribution {
            burn::tensor::Distribution::Default => Distribution::Uniform(0.0, 1.0),
            burn::tensor::Distribution::Bernoulli(p) => Distribution::Bernoulli(p),
            burn::tensor::Distribution::Uniform(low, high) => Distribution::Uniform(low, high),
            burn::tensor::Distribution::Normal(mean, deviation) => Distribution::Normal(mean, deviation),
        };
        let node = self.graph.random(&o.out.shape.to_vec(), o.out.dtype, distribution);
        self.set(&o.out, node)
    }

    /// Burn records softmax and its logarithm in pieces; the whole has a shorter derivative and a fused kernel.
    ///
    /// With `s = x − max x`: `s − log Σ exp s` is the logarithm, `exp s / Σ exp s` the softmax.
    fn as_softmax(&self, f: Binary, x: NodeId, y: NodeId) -> Option<(Op, NodeId)> {
        let (exponential, shifted, sum) = match f {
            Binary::Sub => {
                let log = self.through(y, |op| matches!(op, Op::Expand(_)))?;
                let sum = self.through(log, |op| *op == Op::Unary(Unary::Log))?;
                (None, x, sum)
            }
            Binary::Div => {
                let shifted = self.through(x, |op| *op == Op::Unary(Unary::Exp))?;
                let sum = self.through(y, |op| matches!(op, Op::Expand(_)))?;
                (Some(x), shifted, sum)
            }
            _ => return None,
        };
        let Op::Sum(axes) = &self.graph.node(sum).op else { return None };
        let [axis] = axes[..] else { return None };
        let summed = self.graph.node(sum).inputs[0];
        let of_shifted = self.through(summed, |op| *op == Op::Unary(Unary::Exp))? == shifted;
        if !of_shifted || exponential.is_some_and(|exponential| exponential != summed) {
            return None;
        }
        let node = self.graph.node(shifted);
        let (Op::Binary(Binary::Sub), [source, max]) = (&node.op, node.inputs.as_slice()) else { return None };
        let gathered = self.graph.node(self.through(*max, |op| matches!(op, Op::Expand(_)))?);
        let indices = gathered.inputs.get(1)?;
        let is_max = gathered.op == Op::Gather(axis)
            && gathered.inputs[0] == *source
            && self.graph.node(*indices).op == Op::ArgMax(axis)
            && self.graph.node(*indices).inputs == [*source];
        let op = if exponential.is_some() { Op::Softmax(axis) } else { Op::LogSoftmax(axis) };
        is_max.then_some((op, *source))
    }

    /// The input of a node whose operation satisfies the predicate.
    fn through(&self, node: NodeId, is: impl Fn(&Op) -> bool) -> Option<NodeId> {
        let node = self.graph.node(node);
        if is(&node.op) { node.inputs.first().copied() } else { None }
    }
}
