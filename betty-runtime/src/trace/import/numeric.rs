//! Arithmetic, reductions and elementary functions.

use burn::tensor::DType;
use burn_ir::{
    BinaryOpIr, BoolOperationIr, FloatOperationIr, IntOperationIr, MatmulOpIr, NumericOperationIr, OperationIr,
    RandomOpIr, ScalarOpIr, TensorIr,
};

use super::{Imported, Importer, scalar, unsupported};
use crate::graph::{Binary, Comparison, Distribution, NodeId, Op, Scalar, Unary, WithScalar};

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
                let factor = match scalar(o.rhs).to(o.lhs.dtype) {
                    Scalar::Float(factor) => Scalar::Float(self.exact_factor(&o.lhs, factor)),
                    whole => whole,
                };
                let node = self.graph.push(Op::WithScalar(WithScalar::Mul, factor), &[x])?;
                self.set(&o.out, node)
            }
            N::RemScalar(o) => self.with_scalar(WithScalar::Rem, o),
            N::PowiScalar(o) => self.with_scalar(WithScalar::Pow, o),
            N::ClampMin(o) => self.with_scalar(WithScalar::ClampMin, o),
            N::ClampMax(o) => self.with_scalar(WithScalar::ClampMax, o),
            N::SubScalar(o) => {
                let x = self.node(&o.lhs)?;
                let node = match scalar(o.rhs).to(o.lhs.dtype) {
                    Scalar::Float(number) => self.graph.add_scalar(x, -number)?,
                    // There may be no number with the other sign.
                    whole => {
                        let (shape, dtype) = (self.graph.shape(x).to_vec(), self.graph.dtype(x));
                        let number = self.graph.filled(&shape, dtype, whole);
                        self.graph.sub(x, number)?
                    }
                };
                self.set(&o.out, node)
            }
            N::DivScalar(o) => {
                if let Scalar::Float(divisor) = scalar(o.rhs).to(o.lhs.dtype) {
                    self.divisors.push(divisor);
                    if let Some(node) = self.share_of_sum(&o.lhs, divisor)? {
                        return self.set(&o.out, node);
                    }
                }
                self.with_scalar(WithScalar::Div, o)
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
            N::Full(o) => self.fill(&o.out, scalar(o.value)),
            N::Sum(o) => {
                let x = self.node(&o.input)?;
                let node = self.graph.sum_all(x)?;
                self.set_shaped(&o.out, node)
            }
            N::Mean(o) => {
                let axes: Vec<usize> = (0..o.input.shape.num_dims()).collect();
                let node = self.mean_along(&axes, &o.input)?;
                self.set_shaped(&o.out, node)
            }
            N::SumDim(o) => self.unary_op(Op::Sum(vec![o.axis]), &o.input, &o.out),
            N::SumDims(o) => {
                let x = self.node(&o.input)?;
                let node = self.graph.sum(x, &o.axes)?;
                self.set_shaped(&o.out, node)
            }
            N::MeanDim(o) => {
                let node = self.mean_along(&[o.axis], &o.input)?;
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
            N::Pad(o) => self.pad(o),
            N::CumSum(o) => self.unary_op(Op::CumSum(o.axis), &o.input, &o.out),
            N::CumProd(o) => self.cumulative_product(o.axis, &o.input, &o.out),
            N::CumMax(o) => self.extreme(Op::CumArgMax(o.axis), o.axis, &o.input, &o.out, None),
            N::CumMin(o) => self.extreme(Op::CumArgMin(o.axis), o.axis, &o.input, &o.out, None),
            N::Prod(o) => self.product(&o.input, &o.out),
            N::ProdDim(o) => self.product_along(o.axis, &o.input, &o.out),
            N::MaxAbs(o) => self.max_abs(&o.input, &o.out),
            N::MaxAbsDim(o) => self.max_abs_along(o.axis, &o.input, &o.out),
            N::Sort(o) => self.sorted(o.dim, o.descending, &o.input, Some(&o.out), None),
            N::SortWithIndices(o) => self.sorted(o.dim, o.descending, &o.input, Some(&o.out), Some(&o.out_indices)),
            N::ArgSort(o) => self.sorted(o.dim, o.descending, &o.input, None, Some(&o.out)),
            N::TopK(o) => self.largest(o.axis, &o.input, Some(&o.out), None),
            N::TopKWithIndices(o) => self.largest(o.dim, &o.tensor, Some(&o.out), Some(&o.out_indices)),
            N::ArgTopK(o) => self.largest(o.axis, &o.input, None, Some(&o.out)),
            N::Powi(o) => self.integer_power(o),
            N::IntRandom(o) => self.random(o),
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
                let node = self.hypotenuse(x, y)?;
                self.set(&o.out, node)
            }
            F::Cross(o) => self.cross(o),
            F::GridSample2d(o) => self.grid_sample(op, o),
            F::Quantize(_) | F::Dequantize(_) => unsupported(op),
        }
    }

    pub(super) fn int(&mut self, op: &IntOperationIr) -> Imported {
        use IntOperationIr as I;
        match op {
            I::IntoFloat(o) => self.unary_op(Op::Cast(o.out.dtype), &o.input, &o.out),
            I::Matmul(o) => self.matmul(o),
            I::BitwiseNot(o) => self.unary(Unary::Not, &o.input, &o.out),
            I::BitwiseAnd(o) => self.binary(Binary::And, o),
            I::BitwiseOr(o) => self.binary(Binary::Or, o),
            I::BitwiseXor(o) => self.binary(Binary::Xor, o),
            I::BitwiseLeftShift(o) => self.binary(Binary::ShiftLeft, o),
            I::BitwiseRightShift(o) => self.binary(Binary::ShiftRight, o),
            I::BitwiseAndScalar(o) => self.with_filled(Binary::And, o),
            I::BitwiseOrScalar(o) => self.with_filled(Binary::Or, o),
            I::BitwiseXorScalar(o) => self.with_filled(Binary::Xor, o),
            I::BitwiseLeftShiftScalar(o) => self.with_filled(Binary::ShiftLeft, o),
            I::BitwiseRightShiftScalar(o) => self.with_filled(Binary::ShiftRight, o),
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
        let node = match self.as_softmax(f, x, y).or_else(|| self.as_normalization(f, x, y)) {
            Some((op, source)) => self.graph.push(op, &[source])?,
            None => match self.as_quiet_softmax(f, x, y)? {
                Some(node) => node,
                None => self.graph.push(Op::Binary(f), &[x, y])?,
            },
        };
        self.set(&o.out, node)
    }

    fn with_scalar(&mut self, f: WithScalar, o: &ScalarOpIr) -> Imported {
        let value = scalar(o.rhs).to(o.lhs.dtype);
        self.unary_op(Op::WithScalar(f, value), &o.lhs, &o.out)
    }

    /// An operation on a tensor and one number, the number written out as a tensor.
    fn with_filled(&mut self, f: Binary, o: &ScalarOpIr) -> Imported {
        let x = self.node(&o.lhs)?;
        let (shape, dtype) = (self.graph.shape(x).to_vec(), self.graph.dtype(x));
        let y = self.graph.filled(&shape, dtype, scalar(o.rhs));
        let node = self.graph.push(Op::Binary(f), &[x, y])?;
        self.set(&o.out, node)
    }

    /// A power with an integer tensor as its exponent.
    fn integer_power(&mut self, o: &BinaryOpIr) -> Imported {
        let (x, y) = self.operands(&o.lhs, &o.rhs)?;
        let y = self.graph.cast(y, self.graph.dtype(x))?;
        let node = self.graph.push(Op::Binary(Binary::Pow), &[x, y])?;
        self.set(&o.out, node)
    }

    /// `m·√((x/m)² + (y/m)²)` with the larger magnitude for `m`, so that no square is too large or too small. The whole does not
    /// depend on `m`, which is stopped. Of 16 bits it is rounded once.
    fn hypotenuse(&mut self, x: NodeId, y: NodeId) -> Imported<NodeId> {
        let dtype = self.graph.dtype(x);
        let (x, y) = (self.wide(x)?, self.wide(y)?);
        let magnitudes = [x, y].map(|side| self.graph.push(Op::Unary(Unary::Abs), &[side]));
        let [left, right] = magnitudes;
        let (left, right) = (left?, right?);
        let is_larger = self.graph.push(Op::Compare(Comparison::Greater), &[left, right])?;
        let larger = self.graph.select_where(is_larger, left, right)?;
        let ones = self.graph.full_like(larger, 1.0);
        let scale = [0.0, f64::INFINITY].into_iter().try_fold(larger, |scale, number| {
            let number = Scalar::of(self.graph.dtype(scale), number);
            let is_useless = self.graph.push(Op::CompareScalar(Comparison::Equal, number), &[scale])?;
            self.graph.select_where(is_useless, ones, scale)
        })?;
        let scale = self.graph.push(Op::StopGradient, &[scale])?;
        let (x, y) = (self.graph.div(x, scale)?, self.graph.div(y, scale)?);
        let (x2, y2) = (self.graph.mul(x, x)?, self.graph.mul(y, y)?);
        let square = self.graph.add(x2, y2)?;
        let root = self.graph.sqrt(square)?;
        let node = self.graph.mul(scale, root)?;
        self.narrow(node, dtype)
    }

    /// Burn's backward pass of `x / number` rounds `1 / number` to single precision, whatever is divided; this is what it
    /// stands for. In double precision, in which gradients are compared, the difference would show. Where the loss multiplies by
    /// the rounded number as well, nothing tells which of both it is; that of a power multiplies another power by its exponent.
    fn exact_factor(&mut self, multiplied: &TensorIr, factor: f64) -> f64 {
        if !self.is_backward() {
            self.factors.push(factor);
            return factor;
        }
        let rounded = |divisor: f64| f64::from(1.0 / divisor as f32);
        let divisor = self.divisors.iter().find(|&&divisor| rounded(divisor) == factor && divisor.recip() != factor);
        match divisor {
            Some(_) if self.is_power(multiplied, factor - 1.0) => factor,
            Some(_) if self.factors.contains(&factor) => {
                self.is_coarse = true;
                factor
            }
            Some(divisor) => divisor.recip(),
            None => factor,
        }
    }

    /// Whether a tensor was computed as a power with this exponent.
    fn is_power(&self, tensor: &TensorIr, exponent: f64) -> bool {
        let before = self.operations[..self.position].iter().rev();
        let mut makes = before.filter(|operation| operation.outputs().any(|output| output.id == tensor.id));
        let Some(OperationIr::Float(_, FloatOperationIr::PowfScalar(power))) = makes.next() else { return false };
        scalar(power.rhs).to(tensor.dtype) == Scalar::Float(exponent)
    }

    /// A result whose recorded shape may drop or keep dimensions of size 1.
    pub(super) fn set_shaped(&mut self, out: &TensorIr, node: NodeId) -> Imported {
        let node = self.graph.reshape(node, &out.shape.to_vec())?;
        self.set(out, node)
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
            // Burn's backends differ here: all numbers of the type on the CPU, those below 255 on a GPU.
            burn::tensor::Distribution::Default if o.out.dtype == DType::I8 => Distribution::Uniform(0.0, 127.0),
            burn::tensor::Distribution::Default if !o.out.dtype.is_float() => Distribution::Uniform(0.0, 255.0),
            burn::tensor::Distribution::Default => Distribution::Uniform(0.0, 1.0),
            burn::tensor::Distribution::Bernoulli(p) => Distribution::Bernoulli(p),
            burn::tensor::Distribution::Uniform(low, high) => Distribution::Uniform(low, high),
            burn::tensor::Distribution::Normal(mean, deviation) => Distribution::Normal(mean, deviation),
        };
        let node = self.graph.random(&o.out.shape.to_vec(), o.out.dtype, distribution);
        self.set(&o.out, node)
    }
}
