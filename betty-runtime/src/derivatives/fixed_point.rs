//! Levels whose answer is a fixed point `θ = T(θ, λ)`: the condition `F = θ − T` in the place of a gradient.
//!
//! `F` is the derivative of `⟨μ, F⟩` in a multiplier `μ`, so that the second derivatives of that hold all that a hypergradient needs:
//! moving `μ` along `m` changes the derivative in `θ` by `(∂F/∂θ)ᵀm` and that in `λ` by `(∂F/∂λ)ᵀm`, and moving `θ` changes the one in
//! `μ` by `∂F/∂θ` times how. Nothing of it is symmetric, and nothing depends on the value of `μ`.
//!
//! Blondel et al., *Efficient and Modular Implicit Differentiation* (2022, arXiv:2105.15183), where a solution of a projected or
//! proximal step is such a point.

use super::lagrangian::{Input, Lagrangian, Variable};
use super::loss::Loss;
use crate::execute::{Program, Value, Vector};
use crate::graph::{Graph, GraphError, NodeId, products_as_given};

impl Lagrangian {
    /// `⟨μ, θ − T(θ, λ)⟩` for the recording of a level's map `T`, which has been [planned](Loss::plan_gap).
    ///
    /// # Errors
    /// [`GraphError`] if it cannot be built.
    pub fn fixed_point(level: usize, map: &Loss) -> Result<Self, GraphError> {
        let Lagrangian { mut graph, mut inputs, mut variables, .. } = Self::without_conditions(level, map);
        let own = Variable::Multiplier { of: level, index: 0 };
        let mut multipliers = Vec::new();
        let mut value = None;
        for (part, gap) in gap(&mut graph, level, map)?.into_iter().enumerate() {
            let (shape, dtype) = (graph.shape(gap).to_vec(), graph.dtype(gap));
            let multiplier = graph.input(&shape, dtype);
            inputs.push((Input::Multiplier { of: level, index: 0, part }, multiplier));
            multipliers.push(multiplier);
            let product = graph.dot(gap, multiplier)?;
            value = Some(match value {
                None => product,
                Some(sum) => {
                    let product = graph.cast(product, graph.dtype(sum))?;
                    graph.add(sum, product)?
                }
            });
        }
        variables.insert(own, multipliers);
        let mut value = value.unwrap_or(map.trace().loss);
        if let Some(group) = map.group() {
            // Derivatives are summed over ranks, which all have the same map.
            value = graph.mul_scalar(value, 1.0 / group.0.count() as f64)?;
        }
        Ok(Lagrangian { graph, value, inputs, variables, own: vec![own] })
    }

    /// What the level's conditions are derivatives in, by what they change with: for a fixed point these are not the same.
    pub fn rows(&self) -> Vec<Variable> {
        let row = |(index, &variable): (usize, &Variable)| match variable {
            Variable::Multiplier { of, .. } if index == 0 => Variable::Level(of),
            other => other,
        };
        self.own().iter().enumerate().map(row).collect()
    }
}

/// `θ − T(θ, λ)`, tensor by tensor.
fn gap(graph: &mut Graph, level: usize, map: &Loss) -> Result<Vec<NodeId>, GraphError> {
    let pairs = map.parameters(level).iter().zip(&map.trace().outputs);
    pairs.map(|(&parameter, &next)| graph.sub(parameter, next)).collect()
}

impl Loss {
    /// Plans `θ − T(θ, λ)` for the recording of a level's map; answers what is wrong with what that returns, if anything is.
    ///
    /// # Errors
    /// [`GraphError`] if it cannot be built.
    pub(crate) fn plan_gap(&mut self, level: usize) -> Result<Option<String>, GraphError> {
        let trace = self.trace();
        let look = |&node: &NodeId| format!("{:?} of shape {:?}", trace.graph.dtype(node), trace.graph.shape(node));
        let expected: Vec<String> = self.parameters(level).iter().map(look).collect();
        let found: Vec<String> = trace.outputs.iter().map(look).collect();
        if found.len() != expected.len() {
            let tensors = |count: usize| if count == 1 { "1 tensor".to_owned() } else { format!("{count} tensors") };
            return Ok(Some(format!("{} in the place of {}", tensors(found.len()), expected.len())));
        }
        if let Some(index) = (0..found.len()).find(|&index| found[index] != expected[index]) {
            return Ok(Some(format!("{} in the place of {} as number {index}", found[index], expected[index])));
        }
        if self.gap.is_none() {
            let mut graph = self.trace().graph.clone();
            let gap = gap(&mut graph, level, self)?;
            // What is asked of an answer does not depend on how products are rounded where it is differentiated.
            let gap = products_as_given(&mut graph, &gap)?;
            self.gap = Some(Program::new(&graph, &self.input_nodes(), &gap, &self.device));
        }
        Ok(None)
    }

    /// `θ − T(θ, λ)` at these inputs, which has been planned.
    pub(crate) fn gap(&self, inputs: impl IntoIterator<Item = Value>, seed: u64) -> Vector {
        Vector(self.gap.as_ref().map(|program| program.run(inputs, seed)).unwrap_or_default())
    }
}
