//! Elementwise operations: the Jacobian is diagonal, so jvp and vjp are the same multiplication.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use super::answer::Derivative;
use super::masked::{beneath, may_overflow};
use super::{Graph, GraphError, NodeId, Op};
use crate::graph::{Binary, Comparison, Scalar, Unary, WithScalar, accumulator};

pub(super) fn covers(op: &Op) -> bool {
    matches!(op, Op::Unary(_) | Op::Binary(_) | Op::WithScalar(..) | Op::Where | Op::Cast(_))
}

pub(super) fn jvp(graph: &mut Graph, node: NodeId, i: usize, tangent: NodeId) -> Derivative {
    if let Op::Cast(dtype) = graph.node(node).op {
        return if dtype.is_float() { graph.cast(tangent, dtype).map(Some) } else { Ok(None) };
    }
    scale(graph, node, i, tangent)
}

pub(super) fn vjp(graph: &mut Graph, node: NodeId, i: usize, cotangent: NodeId) -> Derivative {
    if let Op::Cast(_) = graph.node(node).op {
        let from = graph.dtype(graph.node(node).inputs[0]);
        return if from.is_float() { graph.cast(cotangent, from).map(Some) } else { Ok(None) };
    }
    scale(graph, node, i, cotangent)
}

/// `v` times the derivative of `node` with respect to its `i`-th input.
fn scale(graph: &mut Graph, node: NodeId, i: usize, v: NodeId) -> Derivative {
    let inputs = graph.node(node).inputs.clone();
    match graph.node(node).op.clone() {
        // Nothing can overflow.
        Op::Unary(f @ (Unary::Neg | Unary::Relu)) => unary(graph, f, inputs[0], node, v),
        Op::Unary(f) => beneath(graph, v, true, &mut |graph, v| unary(graph, f, inputs[0], node, v)),
        Op::Binary(Binary::Mul) if !inputs.iter().any(|&factor| may_overflow(graph, factor)) => {
            binary(graph, Binary::Mul, &inputs, node, i, v)
        }
        Op::Binary(f @ (Binary::Mul | Binary::Div | Binary::Pow | Binary::Atan2)) => {
            beneath(graph, v, false, &mut |graph, v| binary(graph, f, &inputs, node, i, v))
        }
        Op::Binary(f) => binary(graph, f, &inputs, node, i, v),
        Op::WithScalar(f @ WithScalar::Pow, number) => {
            beneath(graph, v, true, &mut |graph, v| with_scalar(graph, f, number.as_f64(), inputs[0], v))
        }
        Op::WithScalar(f, number) => with_scalar(graph, f, number.as_f64(), inputs[0], v),
        Op::Where if i == 1 => {
            let zeros = graph.zeros_like(v);
            graph.select_where(inputs[0], v, zeros).map(Some)
        }
        Op::Where if i == 2 => {
            let zeros = graph.zeros_like(v);
            graph.select_where(inputs[0], zeros, v).map(Some)
        }
        _ => Ok(None),
    }
}

fn unary(graph: &mut Graph, f: Unary, x: NodeId, y: NodeId, v: NodeId) -> Derivative {
    let factor = match f {
        Unary::Neg => return graph.neg(v).map(Some),
        Unary::Relu => return graph.gate(x, v).map(Some),
        Unary::Log => return graph.div(v, x).map(Some),
        Unary::Sqrt => {
            let half = graph.mul_scalar(v, 0.5)?;
            return graph.div(half, y).map(Some);
        }
        Unary::Log1p => {
            let shifted = graph.add_scalar(x, 1.0)?;
            return graph.div(v, shifted).map(Some);
        }
        // Piecewise constant, or not a float at all.
        Unary::Sign | Unary::Round | Unary::Floor | Unary::Ceil | Unary::Trunc => return Ok(None),
        Unary::Not | Unary::IsNan | Unary::IsInf => return Ok(None),
        Unary::Exp => y,
        Unary::Recip => {
            let square = graph.mul(y, y)?;
            graph.neg(square)?
        }
        Unary::Abs => graph.sign(x)?,
        Unary::Sin => graph.cos(x)?,
        Unary::Cos => {
            let sine = graph.sin(x)?;
            graph.neg(sine)?
        }
        Unary::Tan => {
            let square = graph.mul(y, y)?;
            graph.add_scalar(square, 1.0)?
        }
        Unary::Sinh => graph.push(Op::Unary(Unary::Cosh), &[x])?,
        Unary::Cosh => graph.push(Op::Unary(Unary::Sinh), &[x])?,
        Unary::Tanh => one_minus_square(graph, y)?,
        Unary::Asin => inverse_root(graph, x, -1.0, 1.0)?,
        Unary::Acos => {
            let asin = inverse_root(graph, x, -1.0, 1.0)?;
            graph.neg(asin)?
        }
        Unary::Asinh => inverse_root(graph, x, 1.0, 1.0)?,
        Unary::Acosh => inverse_root(graph, x, 1.0, -1.0)?,
        Unary::Atan => {
            let square = wide_square(graph, x)?;
            let shifted = graph.add_scalar(square, 1.0)?;
            let slope = graph.recip(shifted)?;
            graph.cast(slope, graph.dtype(x))?
        }
        Unary::Atanh => {
            let gap = one_minus_square(graph, x)?;
            graph.recip(gap)?
        }
        Unary::Erf => {
            let bell = bell(graph, x, -1.0)?;
            graph.mul_scalar(bell, 2.0 / PI.sqrt())?
        }
        Unary::Sigmoid => {
            let square = graph.mul(y, y)?;
            graph.sub(y, square)?
        }
        Unary::LogSigmoid => {
            let flipped = graph.neg(x)?;
            graph.sigmoid(flipped)?
        }
        Unary::Gelu => gelu_derivative(graph, x)?,
    };
    graph.mul(v, factor).map(Some)
}

fn binary(graph: &mut Graph, f: Binary, inputs: &[NodeId], out: NodeId, i: usize, v: NodeId) -> Derivative {
    let (x, y) = (inputs[0], inputs[1]);
    match (f, i) {
        (Binary::Add, _) | (Binary::Sub | Binary::Rem, 0) => Ok(Some(v)),
        (Binary::Sub, _) => graph.neg(v).map(Some),
        (Binary::Mul, 0) => graph.mul(v, y).map(Some),
        (Binary::Mul, _) => graph.mul(v, x).map(Some),
        (Binary::Div, 0) => graph.div(v, y).map(Some),
        (Binary::Div, _) => {
            // ∂(x/y)/∂y = −(x/y)/y
            let ratio = graph.div(out, y)?;
            let scaled = graph.mul(v, ratio)?;
            graph.neg(scaled).map(Some)
        }
        (Binary::Rem, _) => {
            // x mod y = x − y·⌊x/y⌋
            let ratio = graph.div(x, y)?;
            let floor = graph.push(Op::Unary(Unary::Floor), &[ratio])?;
            let scaled = graph.mul(v, floor)?;
            graph.neg(scaled).map(Some)
        }
        (Binary::Pow, 0) => {
            // x⁰ is constant also at 0, where the power below would be infinite.
            let (base, exponent) = (is_zero(graph, x)?, is_zero(graph, y)?);
            let is_constant = graph.push(Op::Binary(Binary::And), &[base, exponent])?;
            let ones = graph.full_like(x, 1.0);
            let base = graph.select_where(is_constant, ones, x)?;
            let lowered = graph.add_scalar(y, -1.0)?;
            let power = graph.push(Op::Binary(Binary::Pow), &[base, lowered])?;
            let slope = graph.mul(y, power)?;
            graph.mul(v, slope).map(Some)
        }
        (Binary::Pow, _) => {
            // 0ʸ is 0 whatever the exponent, and its logarithm infinite.
            let (base, ones) = (is_zero(graph, x)?, graph.full_like(x, 1.0));
            let base = graph.select_where(base, ones, x)?;
            let log = graph.log(base)?;
            let slope = graph.mul(out, log)?;
            graph.mul(v, slope).map(Some)
        }
        (Binary::Atan2, _) => {
            // atan2(x, y): ∂x = y/(x²+y²), ∂y = −x/(x²+y²)
            let (x2, y2) = (wide_square(graph, x)?, wide_square(graph, y)?);
            let square = graph.add(x2, y2)?;
            let top = if i == 0 { y } else { graph.neg(x)? };
            let top = graph.cast(top, graph.dtype(square))?;
            let slope = graph.div(top, square)?;
            let slope = graph.cast(slope, graph.dtype(v))?;
            graph.mul(v, slope).map(Some)
        }
        (Binary::Gate, 1) => graph.gate(x, v).map(Some),
        (Binary::Gate, _) => Ok(None),
        // No floats.
        (Binary::And | Binary::Or | Binary::Xor | Binary::ShiftLeft | Binary::ShiftRight, _) => Ok(None),
    }
}

fn with_scalar(graph: &mut Graph, f: WithScalar, c: f64, x: NodeId, v: NodeId) -> Derivative {
    match f {
        WithScalar::Add | WithScalar::Rem => Ok(Some(v)),
        WithScalar::Mul => graph.mul_scalar(v, c).map(Some),
        WithScalar::Div => graph.div_scalar(v, c).map(Some),
        // A constant; the general form would be 0·∞ at 0.
        WithScalar::Pow if c == 0.0 => Ok(None),
        WithScalar::Pow => {
            let power = graph.pow_scalar(x, c - 1.0)?;
            // Behind a sum all cotangents are one number, and one factor with the exponent: `½·x²` has the slope `x`.
            let factor = match graph.node(v).op {
                Op::Full(number) => c * number.as_f64(),
                _ => 0.0,
            };
            if graph.dtype(x).finfo().is_some_and(|of| (of.min_positive..=of.max).contains(&factor.abs())) {
                return graph.mul_scalar(power, factor).map(Some);
            }
            let slope = graph.mul_scalar(power, c)?;
            graph.mul(v, slope).map(Some)
        }
        // At the bound itself the derivative is 1, as in Burn.
        WithScalar::ClampMin => zero_where(graph, Comparison::Lower, x, c, v),
        WithScalar::ClampMax => zero_where(graph, Comparison::Greater, x, c, v),
    }
}

fn is_zero(graph: &mut Graph, x: NodeId) -> Result<NodeId, GraphError> {
    let zero = Scalar::of(graph.dtype(x), 0.0);
    graph.push(Op::CompareScalar(Comparison::Equal, zero), &[x])
}

fn zero_where(graph: &mut Graph, relation: Comparison, x: NodeId, c: f64, v: NodeId) -> Derivative {
    let clamped = graph.push(Op::CompareScalar(relation, Scalar::of(graph.dtype(x), c)), &[x])?;
    let zeros = graph.zeros_like(v);
    graph.select_where(clamped, zeros, v).map(Some)
}

/// `1 − x²`
fn one_minus_square(graph: &mut Graph, x: NodeId) -> Result<NodeId, GraphError> {
    let square = graph.mul(x, x)?;
    let negative = graph.neg(square)?;
    graph.add_scalar(negative, 1.0)
}

/// `(a·x² + b)^(−1/2)`
fn inverse_root(graph: &mut Graph, x: NodeId, a: f64, b: f64) -> Result<NodeId, GraphError> {
    let square = wide_square(graph, x)?;
    let scaled = graph.mul_scalar(square, a)?;
    let shifted = graph.add_scalar(scaled, b)?;
    let root = graph.sqrt(shifted)?;
    let slope = graph.recip(root)?;
    graph.cast(slope, graph.dtype(x))
}

/// `x²`, which in f16 would end at 65504, where what is divided by it is still a number.
fn wide_square(graph: &mut Graph, x: NodeId) -> Result<NodeId, GraphError> {
    let wide = graph.cast(x, accumulator(graph.dtype(x)))?;
    graph.mul(wide, wide)
}

/// `exp(c·x²)`
fn bell(graph: &mut Graph, x: NodeId, c: f64) -> Result<NodeId, GraphError> {
    let square = graph.mul(x, x)?;
    let scaled = graph.mul_scalar(square, c)?;
    graph.exp(scaled)
}

/// `gelu(x) = x·Φ(x)`, so its derivative is `Φ(x) + x·φ(x)`, with the normal distribution's Φ and φ.
fn gelu_derivative(graph: &mut Graph, x: NodeId) -> Result<NodeId, GraphError> {
    let scaled = graph.mul_scalar(x, FRAC_1_SQRT_2)?;
    let erf = graph.push(Op::Unary(Unary::Erf), &[scaled])?;
    let shifted = graph.add_scalar(erf, 1.0)?;
    let cumulative = graph.mul_scalar(shifted, 0.5)?;
    let bell = bell(graph, x, -0.5)?;
    let density = graph.mul_scalar(bell, 1.0 / (2.0 * PI).sqrt())?;
    let weighted = graph.mul(x, density)?;
    graph.add(cumulative, weighted)
}
