//! Short names for building graphs: one method an operation, with broadcasting made explicit.

use burn::tensor::DType;

use super::{Binary, Graph, GraphError, NodeId, Op, Range, Scalar, Unary, WithScalar};

type Built = Result<NodeId, GraphError>;

macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident => $op:ident),* $(,)?) => {
        $($(#[$doc])* pub fn $name(&mut self, x: NodeId) -> Built { self.push(Op::Unary(Unary::$op), &[x]) })*
    };
}

macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident => $op:ident),* $(,)?) => {
        $($(#[$doc])* pub fn $name(&mut self, x: NodeId, y: NodeId) -> Built {
            let (x, y) = self.broadcast(x, y)?;
            self.push(Op::Binary(Binary::$op), &[x, y])
        })*
    };
}

#[allow(clippy::should_implement_trait, reason = "these build nodes and can fail")]
impl Graph {
    unary! {
        /// Adds `−x`.
        neg => Neg,
        /// Adds `eˣ`.
        exp => Exp,
        /// Adds the natural logarithm of `x`.
        log => Log,
        /// Adds `√x`.
        sqrt => Sqrt,
        /// Adds `1 / x`.
        recip => Recip,
        /// Adds the sign of `x`.
        sign => Sign,
        /// Adds the sine of `x`.
        sin => Sin,
        /// Adds the cosine of `x`.
        cos => Cos,
        /// Adds the logistic function of `x`.
        sigmoid => Sigmoid,
    }

    binary! {
        /// Adds `x + y`, broadcasting dimensions of size 1.
        add => Add,
        /// Adds `x − y`, broadcasting dimensions of size 1.
        sub => Sub,
        /// Adds the elementwise product, broadcasting dimensions of size 1.
        mul => Mul,
        /// Adds the elementwise quotient, broadcasting dimensions of size 1.
        div => Div,
        /// Adds `y` where `x > 0`, else 0.
        gate => Gate,
    }

    /// Adds `x + number`.
    pub fn add_scalar(&mut self, x: NodeId, number: f64) -> Built {
        let number = Scalar::of(self.dtype(x), number);
        self.push(Op::WithScalar(WithScalar::Add, number), &[x])
    }

    /// Adds `x · number`.
    pub fn mul_scalar(&mut self, x: NodeId, number: f64) -> Built {
        let number = Scalar::of(self.dtype(x), number);
        self.push(Op::WithScalar(WithScalar::Mul, number), &[x])
    }

    /// Adds `x / number`.
    pub fn div_scalar(&mut self, x: NodeId, number: f64) -> Built {
        let number = Scalar::of(self.dtype(x), number);
        self.push(Op::WithScalar(WithScalar::Div, number), &[x])
    }

    /// Adds `x` to the power of `number`.
    pub fn pow_scalar(&mut self, x: NodeId, number: f64) -> Built {
        self.push(Op::WithScalar(WithScalar::Pow, Scalar::Float(number)), &[x])
    }

    /// Adds the sum over `axes`, each kept with size 1.
    pub fn sum(&mut self, x: NodeId, axes: &[usize]) -> Built {
        let mut axes = axes.to_vec();
        axes.sort_unstable();
        axes.dedup();
        self.push(Op::Sum(axes), &[x])
    }

    /// Adds the sum of all elements, of shape `[1]`.
    pub fn sum_all(&mut self, x: NodeId) -> Built {
        let axes: Vec<usize> = (0..self.shape(x).len()).collect();
        let sum = self.sum(x, &axes)?;
        self.reshape(sum, &[1])
    }

    /// Adds the inner product of two tensors of one shape, of shape `[1]`.
    pub fn dot(&mut self, x: NodeId, y: NodeId) -> Built {
        let product = self.mul(x, y)?;
        self.sum_all(product)
    }

    /// Adds `x` in another shape of as many elements.
    pub fn reshape(&mut self, x: NodeId, shape: &[usize]) -> Built {
        self.push(Op::Reshape(shape.to_vec()), &[x])
    }

    /// Adds `x` with its dimensions reordered.
    pub fn permute(&mut self, x: NodeId, axes: &[usize]) -> Built {
        self.push(Op::Permute(axes.to_vec()), &[x])
    }

    /// Adds `x` with its last two dimensions swapped.
    pub fn transpose(&mut self, x: NodeId) -> Built {
        let rank = self.shape(x).len();
        let mut axes: Vec<usize> = (0..rank).collect();
        if rank >= 2 {
            axes.swap(rank - 2, rank - 1);
        }
        self.permute(x, &axes)
    }

    /// Adds `x` repeated along dimensions of size 1; missing leading dimensions are added first.
    pub fn expand(&mut self, x: NodeId, shape: &[usize]) -> Built {
        let from = self.shape(x).to_vec();
        let x = if from.len() < shape.len() {
            let mut padded = vec![1; shape.len() - from.len()];
            padded.extend(&from);
            self.reshape(x, &padded)?
        } else {
            x
        };
        self.push(Op::Expand(shape.to_vec()), &[x])
    }

    /// Adds a tensor of shape `[1]` spread over `shape`.
    pub fn spread(&mut self, x: NodeId, shape: &[usize]) -> Built {
        let ones = self.reshape(x, &vec![1; shape.len()])?;
        self.expand(ones, shape)
    }

    /// Adds the part of `x` inside the ranges.
    pub fn slice(&mut self, x: NodeId, ranges: &[Range]) -> Built {
        self.push(Op::Slice(ranges.to_vec()), &[x])
    }

    /// Adds the part of `x` from `start` up to `end` along one dimension.
    pub fn narrow(&mut self, x: NodeId, axis: usize, start: usize, end: usize) -> Built {
        let mut ranges: Vec<Range> = self.shape(x).iter().map(|&size| Range::full(size)).collect();
        if let Some(range) = ranges.get_mut(axis) {
            *range = Range { start, end, step: 1 };
        }
        self.slice(x, &ranges)
    }

    /// Adds the matrix product over the last two dimensions.
    pub fn matmul(&mut self, x: NodeId, y: NodeId) -> Built {
        self.push(Op::MatMul, &[x, y])
    }

    /// Adds `x` where `mask`, else `y`.
    pub fn select_where(&mut self, mask: NodeId, x: NodeId, y: NodeId) -> Built {
        self.push(Op::Where, &[mask, x, y])
    }

    /// Adds `x` in another element type.
    pub fn cast(&mut self, x: NodeId, dtype: DType) -> Built {
        self.push(Op::Cast(dtype), &[x])
    }

    /// Adds zeros of the shape and type of `x`.
    pub fn zeros_like(&mut self, x: NodeId) -> NodeId {
        self.full_like(x, 0.0)
    }

    /// Adds a tensor of the shape and type of `x` filled with `value`.
    pub fn full_like(&mut self, x: NodeId, value: f64) -> NodeId {
        let (shape, dtype) = (self.shape(x).to_vec(), self.dtype(x));
        self.full(&shape, dtype, value)
    }

    /// Expands both nodes to their common shape; ranks must agree.
    pub(crate) fn broadcast(&mut self, x: NodeId, y: NodeId) -> Result<(NodeId, NodeId), GraphError> {
        let (left, right) = (self.shape(x).to_vec(), self.shape(y).to_vec());
        if left == right {
            return Ok((x, y));
        }
        if left.len() != right.len() {
            return Err(GraphError::ShapeMismatch { op: "broadcast".into(), left, right });
        }
        let common: Vec<usize> = left.iter().zip(&right).map(|(&l, &r)| if l == 1 { r } else { l }).collect();
        Ok((self.expand(x, &common)?, self.expand(y, &common)?))
    }
}
