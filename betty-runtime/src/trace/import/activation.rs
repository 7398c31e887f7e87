//! Activations that Burn records whole, and their recorded backward passes.

use burn_ir::{ActivationOperationIr, ScalarOpIr, TensorIr};

use super::{Imported, Importer, scalar};
use crate::graph::{Binary, Comparison, NodeId, Op, Scalar, Unary, WithScalar};

impl Importer<'_> {
    pub(super) fn activation(&mut self, op: &ActivationOperationIr) -> Imported {
        use ActivationOperationIr as A;
        match op {
            A::Relu(o) => self.unary(Unary::Relu, &o.input, &o.out),
            A::Gelu(o) => self.unary(Unary::Gelu, &o.input, &o.out),
            A::Sigmoid(o) => self.unary(Unary::Sigmoid, &o.input, &o.out),
            A::LogSigmoid(o) => self.unary(Unary::LogSigmoid, &o.input, &o.out),
            A::Softmax(o) => self.unary_op(Op::Softmax(o.axis), &o.input, &o.out),
            A::LogSoftmax(o) => self.unary_op(Op::LogSoftmax(o.axis), &o.input, &o.out),
            A::Softmin(o) => {
                let x = self.node(&o.input)?;
                let negative = self.graph.neg(x)?;
                let node = self.graph.push(Op::Softmax(o.axis), &[negative])?;
                self.set(&o.out, node)
            }
            A::LeakyRelu(ScalarOpIr { lhs, rhs, out }) => {
                let x = self.node(lhs)?;
                let scaled = self.graph.mul_scalar(x, scalar(*rhs).as_f64())?;
                self.where_negative(x, scaled, out)
            }
            A::PRelu(o) => {
                let (x, slope) = self.operands(&o.lhs, &o.rhs)?;
                let scaled = self.graph.mul(x, slope)?;
                self.where_negative(x, scaled, &o.out)
            }
            A::HardSigmoid(o) => {
                let x = self.node(&o.tensor)?;
                let scaled = self.graph.mul_scalar(x, scalar(o.alpha).as_f64())?;
                let shifted = self.graph.add_scalar(scaled, scalar(o.beta).as_f64())?;
                let raised = self.graph.push(Op::WithScalar(WithScalar::ClampMin, Scalar::Float(0.0)), &[shifted])?;
                let node = self.graph.push(Op::WithScalar(WithScalar::ClampMax, Scalar::Float(1.0)), &[raised])?;
                self.set(&o.out, node)
            }
            A::ReluBackward(o) => self.binary_op(Op::Binary(Binary::Gate), &o.lhs, &o.rhs, &o.out),
            A::SigmoidBackward(o) => {
                // given the sigmoid y itself: y·(1 − y)
                let (y, v) = self.operands(&o.lhs, &o.rhs)?;
                let square = self.graph.mul(y, y)?;
                let slope = self.graph.sub(y, square)?;
                let node = self.graph.mul(v, slope)?;
                self.set(&o.out, node)
            }
            A::LogSigmoidBackward(o) => self.slope_times(Unary::LogSigmoid, &o.lhs, &o.rhs, &o.out),
            // Some of Burn's backends use the tanh approximation here; ours is the derivative of the forward function.
            A::GeluBackward(o) => self.slope_times(Unary::Gelu, &o.lhs, &o.rhs, &o.out),
        }
    }

    /// `scaled` where `x < 0`, else `x`
    fn where_negative(&mut self, x: NodeId, scaled: NodeId, out: &TensorIr) -> Imported {
        let zero = Scalar::of(self.graph.dtype(x), 0.0);
        let negative = self.graph.push(Op::CompareScalar(Comparison::Lower, zero), &[x])?;
        let node = self.graph.select_where(negative, scaled, x)?;
        self.set(out, node)
    }

    /// `v` times the derivative of `f` at `x`.
    fn slope_times(&mut self, f: Unary, x: &TensorIr, v: &TensorIr, out: &TensorIr) -> Imported {
        let (x, v) = self.operands(x, v)?;
        let y = self.graph.push(Op::Unary(f), &[x])?;
        let products = crate::graph::vjp(self.graph, &[(y, v)], &[x])?;
        let node = products[0].unwrap_or_else(|| self.graph.zeros_like(x));
        self.set(out, node)
    }
}
