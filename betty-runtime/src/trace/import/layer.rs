//! Layers that Burn records whole: linear, embedding, norms and attention.

use burn::tensor::TensorData;
use burn_ir::{AttentionOpIr, BatchNormOpIr, LayerNormOpIr, TensorIr};

use super::{Imported, Importer, scalar};
use crate::graph::{Comparison, NodeId, Op, Scalar, Unary, WithScalar};

impl Importer<'_> {
    pub(super) fn linear(
        &mut self,
        x: &TensorIr,
        weight: &TensorIr,
        bias: Option<&TensorIr>,
        out: &TensorIr,
    ) -> Imported {
        let (input, weight) = (self.node(x)?, self.node(weight)?);
        let rows = self.rows_of(input)?;
        let product = self.graph.matmul(rows, weight)?;
        let product = self.graph.reshape(product, &out.shape.to_vec())?;
        let node = self.with_bias(product, bias, out.shape.num_dims() - 1)?;
        self.set(out, node)
    }

    /// `x̄ = c·Wᵀ`
    pub(super) fn linear_x_backward(&mut self, weight: &TensorIr, cotangent: &TensorIr, out: &TensorIr) -> Imported {
        let weight = self.node(weight)?;
        let transposed = self.graph.transpose(weight)?;
        let cotangent = self.as_rows(cotangent)?;
        let product = self.graph.matmul(cotangent, transposed)?;
        self.set_shaped(out, product)
    }

    /// `W̄ = xᵀ·c`
    pub(super) fn linear_weight_backward(&mut self, x: &TensorIr, cotangent: &TensorIr, out: &TensorIr) -> Imported {
        let (x, cotangent) = (self.as_rows(x)?, self.as_rows(cotangent)?);
        let transposed = self.graph.transpose(x)?;
        let product = self.graph.matmul(transposed, cotangent)?;
        self.set_shaped(out, product)
    }

    /// A tensor as the matrix whose rows lie along its last dimension.
    fn as_rows(&mut self, tensor: &TensorIr) -> Imported<NodeId> {
        let node = self.node(tensor)?;
        self.rows_of(node)
    }

    fn rows_of(&mut self, node: NodeId) -> Imported<NodeId> {
        let shape = self.graph.shape(node).to_vec();
        let (features, before) = shape.split_last().unwrap_or((&1, &[]));
        Ok(self.graph.reshape(node, &[before.iter().product(), *features])?)
    }

    pub(super) fn embedding(&mut self, weights: &TensorIr, indices: &TensorIr, out: &TensorIr) -> Imported {
        let (weights, indices_node) = (self.node(weights)?, self.node(indices)?);
        let flat = self.graph.reshape(indices_node, &[indices.shape.num_elements()])?;
        let rows = self.graph.push(Op::Select(0), &[weights, flat])?;
        let node = self.graph.reshape(rows, &out.shape.to_vec())?;
        self.set(out, node)
    }

    pub(super) fn embedding_backward(
        &mut self,
        weights: &TensorIr,
        indices: &TensorIr,
        cotangent: &TensorIr,
        out: &TensorIr,
    ) -> Imported {
        let (indices_node, cotangent) = (self.node(indices)?, self.node(cotangent)?);
        let count = indices.shape.num_elements();
        let flat = self.graph.reshape(indices_node, &[count])?;
        let rows = self.graph.reshape(cotangent, &[count, weights.shape[1]])?;
        let node = self.graph.push(Op::SelectAdd { axis: 0, size: weights.shape[0] }, &[flat, rows])?;
        self.set(out, node)
    }

    /// `γ·(x − mean)/√(variance + ε) + β`, each channel with its own given statistics.
    pub(super) fn batch_norm(&mut self, o: &BatchNormOpIr) -> Imported {
        let x = self.node(&o.x)?;
        let mean = self.along(&o.mean, x, 1)?;
        let variance = self.along(&o.variance, x, 1)?;
        let centred = self.graph.sub(x, mean)?;
        let node = self.normalised(centred, variance, scalar(o.epsilon).as_f64())?;
        let gamma = self.along(&o.gamma, x, 1)?;
        let scaled = self.graph.mul(node, gamma)?;
        let beta = self.along(&o.beta, x, 1)?;
        let node = self.graph.add(scaled, beta)?;
        self.set(&o.out, node)
    }

    /// `γ·(x − E x)/√(E (x − E x)² + ε) + β` along the last dimension.
    pub(super) fn layer_norm(&mut self, o: &LayerNormOpIr) -> Imported {
        let x = self.node(&o.input)?;
        let last = o.input.shape.num_dims() - 1;
        let epsilon = scalar(o.epsilon).to(o.input.dtype);
        let node = self.graph.push(Op::Normalize { epsilon }, &[x])?;
        let gamma = self.along(&o.gamma, x, last)?;
        let mut node = self.graph.mul(node, gamma)?;
        if let Some(beta) = &o.beta {
            let beta = self.along(beta, x, last)?;
            node = self.graph.add(node, beta)?;
        }
        self.set(&o.out, node)
    }

    /// `centred / √(variance + ε)`
    fn normalised(&mut self, centred: NodeId, variance: NodeId, epsilon: f64) -> Imported<NodeId> {
        let shifted = self.graph.add_scalar(variance, epsilon)?;
        let deviation = self.graph.sqrt(shifted)?;
        Ok(self.graph.div(centred, deviation)?)
    }

    /// A list that belongs to one dimension of `x`.
    fn along(&mut self, list: &TensorIr, x: NodeId, axis: usize) -> Imported<NodeId> {
        let list = self.node(list)?;
        let mut shape = vec![1; self.graph.shape(x).len()];
        shape[axis] = self.graph.node(list).elements();
        Ok(self.graph.reshape(list, &shape)?)
    }

    /// `softmax(q·kᵀ·scale + bias)·v`, where rows without anything to attend to are 0.
    pub(super) fn attention(&mut self, o: &AttentionOpIr) -> Imported {
        let (query, key, value) = (self.node(&o.query)?, self.node(&o.key)?, self.node(&o.value)?);
        let features = o.query.shape[o.query.shape.num_dims() - 1];
        let scale = o.options.scale.map_or((features as f64).sqrt().recip(), |value| scalar(value).as_f64());
        let transposed = self.graph.transpose(key)?;
        let products = self.graph.matmul(query, transposed)?;
        let mut scores = self.graph.mul_scalar(products, scale)?;
        if let Some(cap) = o.options.softcap {
            let cap = scalar(cap).as_f64();
            let scaled = self.graph.mul_scalar(scores, cap.recip())?;
            let bounded = self.graph.push(Op::Unary(Unary::Tanh), &[scaled])?;
            scores = self.graph.mul_scalar(bounded, cap)?;
        }
        if let Some(mask) = &o.mask {
            let mask = self.node(mask)?;
            scores = self.hidden(scores, mask)?;
        }
        if o.options.is_causal {
            let mask = self.causal_mask(scores)?;
            scores = self.hidden(scores, mask)?;
        }
        if let Some(bias) = &o.attn_bias {
            let bias = self.node(bias)?;
            scores = self.graph.add(scores, bias)?;
        }
        let weights = self.attention_weights(scores)?;
        let node = self.graph.matmul(weights, value)?;
        self.set(&o.out, node)
    }

    /// `−∞` where the mask holds.
    fn hidden(&mut self, scores: NodeId, mask: NodeId) -> Imported<NodeId> {
        let (mask, scores) = self.graph.broadcast(mask, scores)?;
        let infinity = self.graph.full_like(scores, f64::NEG_INFINITY);
        Ok(self.graph.select_where(mask, infinity, scores)?)
    }

    /// True above the diagonal that ends in the lower right corner.
    fn causal_mask(&mut self, scores: NodeId) -> Imported<NodeId> {
        let shape = self.graph.shape(scores).to_vec();
        let (rows, columns) = (shape[shape.len() - 2], shape[shape.len() - 1]);
        let future = |at: usize| at % columns + rows > at / columns + columns;
        let mask = (0..rows * columns).map(|at| i64::from(future(at))).collect();
        let mask = self.graph.literal(TensorData::new::<i64, _>(mask, [rows, columns]));
        let mask = self.graph.push(Op::CompareScalar(Comparison::Greater, Scalar::Int(0)), &[mask])?;
        Ok(self.graph.expand(mask, &shape)?)
    }

    /// Softmax along the last dimension that answers 0, not `NaN`, where every score is `−∞`.
    fn attention_weights(&mut self, scores: NodeId) -> Imported<NodeId> {
        let last = self.graph.shape(scores).len() - 1;
        let bounds = self.graph.dtype(scores).finfo();
        let (lowest, smallest) = bounds.map_or((f64::MIN, f64::MIN_POSITIVE), |info| (info.min, info.min_positive));
        let indices = self.graph.push(Op::ArgMax(last), &[scores])?;
        let max = self.graph.push(Op::Gather(last), &[scores, indices])?;
        // The shift cancels, so no derivative needs to pass through it.
        let max = self.graph.push(Op::StopGradient, &[max])?;
        let max = self.graph.push(Op::WithScalar(WithScalar::ClampMin, Scalar::Float(lowest)), &[max])?;
        let shifted = self.graph.sub(scores, max)?;
        let exponentials = self.graph.exp(shifted)?;
        let sum = self.graph.sum(exponentials, &[last])?;
        let sum = self.graph.push(Op::WithScalar(WithScalar::ClampMin, Scalar::Float(smallest)), &[sum])?;
        Ok(self.graph.div(exponentials, sum)?)
    }
}
