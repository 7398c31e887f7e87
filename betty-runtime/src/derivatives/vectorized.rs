//! Products with a second derivative for several tangents at once.

use super::curvature::{Curvature, Key, Point};
use super::lagrangian::Variable;
use crate::execute::{Program, Vector};
use crate::graph::{GraphError, for_each};

impl Curvature {
    /// As [`product`](Self::product), for `count` tangents at once, which each `tᵥ` has along a leading dimension; so has
    /// each answer.
    ///
    /// # Errors
    /// [`GraphError`] if the derivative cannot be built.
    pub fn products(
        &mut self,
        point: &mut Point,
        moving: &[(Variable, &Vector)],
        outputs: &[Variable],
        count: usize,
    ) -> Result<Vec<(Variable, Vector)>, GraphError> {
        let key: Key = (moving.iter().map(|&(variable, _)| variable).collect(), outputs.to_vec());
        self.prepare(&key.0, &key.1)?;
        let kept = self.evaluate(point, &key);
        let product = &self.products[&key];
        let key = (key, count);
        if !self.vectorized.contains_key(&key) {
            let reads = self.read_by(product);
            let many = for_each(&self.lagrangian.graph, &reads, &product.tangents, &product.nodes, count)?;
            let program = Program::new(&many.graph, &many.inputs, &many.outputs, &self.device);
            self.vectorized.insert(key.clone(), program);
        }
        Ok(self.products[&key.0].run(&self.vectorized[&key], kept, moving))
    }
}
