//! The ball of all that is no longer than a radius.

use burn::tensor::DType;

use super::bound;
use crate::graph::{Comparison, Graph, GraphError, NodeId, Op, Scalar, WithScalar, accumulator};
use crate::optimizer::spread_like;

/// The tensors scaled together to a norm of at most `radius`: `x · radius / √max(‖x‖², radius²)`. With `shares`, the square of
/// each tensor counts by a number of shape `[1]`.
///
/// The root is taken of no less than `radius²`, so that inside the ball the factor is 1, and its derivative 0.
///
/// A gradient that explodes is what a limit is there for, and a type has numbers whose square it has not. So the same is formed of
/// small multiples of the tensors beside, which counts where the square is no number, and nowhere else: all others keep their bits.
pub(crate) fn norm_ball(
    graph: &mut Graph,
    tensors: &[NodeId],
    shares: &[NodeId],
    radius: f64,
) -> Result<Vec<NodeId>, GraphError> {
    let Some(&first) = tensors.first() else { return Ok(Vec::new()) };
    let dtype = accumulator(graph.dtype(first));
    let Range { largest, unit } = Range::of(dtype);
    let square = square(graph, (tensors, shares), dtype, 1.0)?;
    let in_range = graph.push(Op::CompareScalar(Comparison::LowerEqual, Scalar::of(dtype, largest)), &[square])?;
    let square = bound(graph, square, WithScalar::ClampMax, largest)?;
    let factor = factor(graph, square, radius)?;
    // Where it counts it is far above this bound, below which its root would have no derivative.
    let of_multiples = self::square(graph, (tensors, shares), dtype, unit)?;
    let of_multiples = bound(graph, of_multiples, WithScalar::ClampMin, 0.25 * largest * unit * unit)?;
    let of_multiples = self::factor(graph, of_multiples, radius * unit)?;
    let factor = graph.select_where(in_range, factor, of_multiples)?;
    tensors
        .iter()
        .map(|&tensor| {
            let factor = spread_like(graph, factor, tensor)?;
            graph.mul(tensor, factor)
        })
        .collect()
}

/// What a type holds.
struct Range {
    /// Squares up to this are numbers.
    largest: f64,
    /// A power of two, so that nothing is rounded. Any number times it has a square, and so have many of them together.
    unit: f64,
}

impl Range {
    fn of(dtype: DType) -> Self {
        let power = |exponent| 2.0_f64.powi(exponent);
        match dtype {
            DType::F64 => Range { largest: power(1022), unit: power(-600) },
            _ => Range { largest: power(126), unit: power(-80) },
        }
    }
}

/// The sum of squares of `unit` times the tensors.
fn square(
    graph: &mut Graph,
    (tensors, shares): (&[NodeId], &[NodeId]),
    dtype: DType,
    unit: f64,
) -> Result<NodeId, GraphError> {
    let mut total = graph.full(&[1], dtype, 0.0);
    for (index, &tensor) in tensors.iter().enumerate() {
        let wide = graph.cast(tensor, accumulator(graph.dtype(tensor)))?;
        let multiple = graph.mul_scalar(wide, unit)?;
        let square = graph.dot(multiple, multiple)?;
        let mut square = graph.cast(square, dtype)?;
        if let Some(&share) = shares.get(index) {
            let share = graph.cast(share, dtype)?;
            square = graph.mul(square, share)?;
        }
        total = graph.add(total, square)?;
    }
    Ok(total)
}

/// `min(radius / √max(square, radius²), 1)`
fn factor(graph: &mut Graph, square: NodeId, radius: f64) -> Result<NodeId, GraphError> {
    let dtype = graph.dtype(square);
    let square = bound(graph, square, WithScalar::ClampMin, radius * radius)?;
    let length = graph.sqrt(square)?;
    let radius = graph.full(&[1], dtype, radius);
    let factor = graph.div(radius, length)?;
    bound(graph, factor, WithScalar::ClampMax, 1.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::execute::{Program, Value};
    use crate::graph::{jvp, vjp};

    /// Where the ball of radius 1 leads, how that moves along `t`, and what a cotangent `c` pulls back to.
    fn at(x: [f64; 2], t: [f64; 2], c: [f64; 2], dtype: DType) -> [Vec<f64>; 3] {
        let mut graph = Graph::new();
        let [from, along, of] = std::array::from_fn(|_| graph.input(&[2], dtype));
        let to = norm_ball(&mut graph, &[from], &[], 1.0).unwrap()[0];
        let pushed = jvp(&mut graph, &[to], &[(from, along)]).unwrap()[0].unwrap();
        let pulled = vjp(&mut graph, &[(to, of)], &[from]).unwrap()[0].unwrap();
        let program = Program::new(&graph, &[from, along, of], &[to, pushed, pulled], &Device::flex());
        let value =
            |x: [f64; 2]| Value::from_data(TensorData::new(x.to_vec(), [2]).convert_dtype(dtype), &Device::flex());
        let found = program.run([x, t, c].map(value), 0);
        std::array::from_fn(|output| found[output].to_vec().unwrap())
    }

    #[test]
    fn the_nearest_point_of_a_ball_and_its_derivative_are_right_at_every_length() {
        // Beyond 1.8e19 and 1.3e154 squares are no numbers.
        let single = [1e-30, 1e-3, 0.9, 1.1, 1e3, 1e15, 5e18, 9e18, 1.5e19, 2e19, 1e20, 1e25, 1e30];
        let double = [1e-200, 0.9, 1.1, 1e100, 5e153, 1e154, 2e154, 1e160, 1e200];
        for (dtype, lengths, digits) in [
            (DType::F32, &single[..], 1e-6),
            (DType::F64, &double[..], 1e-14),
            (DType::F16, &[0.9, 1.1, 200.0, 300.0][..], 2e-3),
        ] {
            for &length in lengths {
                let (unit, c) = ([0.6, -0.8], [0.5, 0.25]);
                let [to, pushed, pulled] = at(unit.map(|x| length * x), c.map(|x| length * x), c, dtype);
                let along = unit[0] * c[0] + unit[1] * c[1];
                for i in 0..2 {
                    let (point, moved) = match length < 1.0 {
                        true => (length * unit[i], c[i]),
                        false => (unit[i], (c[i] - unit[i] * along) / length),
                    };
                    let shrunk = length.max(1.0).recip();
                    let message = || format!("{dtype:?} {length:e}: {to:?} {pushed:?} {pulled:?}, {point:e} {moved:e}");
                    assert!((to[i] - point).abs() <= digits * length.min(1.0), "{}", message());
                    assert!((pushed[i] - length * moved).abs() <= digits * length.min(1.0), "{}", message());
                    assert!((pulled[i] - moved).abs() <= digits * shrunk, "{}", message());
                }
            }
        }
    }
}
