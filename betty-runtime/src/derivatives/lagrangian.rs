//! The Lagrangian of a level: its loss with the conditions of the levels below as constraints, as one graph.
//!
//! Let `Y` be everything that is solved below a level with loss `C(θ, Y)`, and `F(Y, θ) = 0` the conditions that determine
//! it. With one multiplier `μᵢ` for each condition,
//!
//! ```text
//! ℓ(θ, Y, μ) = C(θ, Y) − Σᵢ ⟨Fᵢ(Y, θ), μᵢ⟩
//! ```
//!
//! has the conditions as derivative in `μ`, the adjoint system `(∂F/∂Y)ᵀ μ = ∂C/∂Y` as derivative in `Y`, and the level's
//! **total** gradient, implicit terms included, as derivative in `θ`. So what the levels above have to know about this one
//! is again a set of conditions: `∂ℓ/∂θ = 0` for `θ` and `∂ℓ/∂Y = 0` for `μ`. Conditions nest by applying this once more,
//! and second derivatives of `ℓ` hold every product that a hypergradient through the level needs. (For two levels this is
//! the Lagrangian of second-order adjoint methods; Wang, Navon, Le Dimet and Zou, *The second order adjoint analysis*, 1992.)

use std::collections::{BTreeMap, HashMap};

use burn::tensor::DType;

use super::Loss;
use super::loss::gradient_nodes;
use crate::graph::{Distribution, Graph, GraphError, Node, NodeId, Op, replay};
use crate::trace::LossInput;

/// A group of tensors that conditions determine or depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variable {
    /// The parameters of a level, determined by the level's total gradient.
    Level(usize),
    /// The multiplier of the `index`-th condition below level `of`, determined by the derivative of the level's
    /// Lagrangian in the `index`-th variable below it. Of a level whose answer is a fixed point, below which nothing is solved,
    /// number 0 is the multiplier of its own condition.
    Multiplier {
        /// The level.
        of: usize,
        /// Number of the condition, and of the variable that it determines.
        index: usize,
    },
    /// What the steps of a level began with, where the level is a function of its steps: its parameters, and after them the
    /// states of its optimizer. No condition determines it.
    Begun(usize),
}

impl Variable {
    /// The level whose Lagrangian has the condition for this variable among its derivatives, if there is one.
    pub fn owner(self) -> usize {
        match self {
            Variable::Level(level) | Variable::Multiplier { of: level, .. } | Variable::Begun(level) => level,
        }
    }
}

/// What an input of a Lagrangian's graph stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// A tensor of a level's module.
    Leaf {
        /// The level.
        level: usize,
        /// Which tensor, in the module's order.
        index: usize,
    },
    /// A tensor that a level's module holds as a plain field.
    Constant {
        /// The level.
        level: usize,
        /// Which of them, in the module's order.
        index: usize,
    },
    /// A tensor of a level's batch.
    Batch {
        /// The level.
        level: usize,
        /// Which tensor, in the batch's order.
        index: usize,
    },
    /// A random draw inside a level's loss.
    Draw {
        /// The level.
        level: usize,
        /// Number of the draw in the level's own trace.
        draw: usize,
        /// What it is drawn from.
        distribution: Distribution,
    },
    /// One tensor of a multiplier.
    Multiplier {
        /// The level.
        of: usize,
        /// Number of the condition.
        index: usize,
        /// Which tensor of the condition's variable.
        part: usize,
    },
    /// Something that a step of a level was taken with.
    Step {
        /// The level.
        level: usize,
        /// Which of the steps, from 0.
        step: usize,
        /// What it is.
        of: StepInput,
    },
}

impl Input {
    /// What an input of the loss of `level` stands for.
    pub(super) fn of_loss(level: usize, source: LossInput) -> Self {
        match source {
            LossInput::Leaf { level, index } => Input::Leaf { level, index },
            LossInput::Constant { level, index } => Input::Constant { level, index },
            LossInput::Batch { index } => Input::Batch { level, index },
        }
    }
}

/// What a step was taken with, besides the parameters of other levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepInput {
    /// A parameter tensor of the level before the step.
    Parameter(usize),
    /// A state tensor of the optimizer before the step.
    State(usize),
    /// A number of the step: learning rates, then the optimizer's others.
    Number(usize),
    /// An input of the level's loss: a tensor of the batch, or of the module that is no parameter.
    Loss {
        /// Which of the gradients that were averaged.
        evaluation: usize,
        /// Which input of the loss, in the order of its trace.
        input: usize,
    },
    /// A random draw inside the level's loss.
    Draw {
        /// Which of the gradients that were averaged.
        evaluation: usize,
        /// Number of the draw in the loss's trace.
        draw: usize,
        /// What it is drawn from.
        distribution: Distribution,
    },
}

/// The Lagrangian of one level.
#[derive(Clone, Debug)]
pub struct Lagrangian {
    pub(super) graph: Graph,
    pub(super) value: NodeId,
    pub(super) inputs: Vec<(Input, NodeId)>,
    pub(super) variables: BTreeMap<Variable, Vec<NodeId>>,
    pub(super) own: Vec<Variable>,
}

impl Lagrangian {
    /// The Lagrangian of `level`; `below` are those of the levels below it, each after those below itself.
    ///
    /// # Errors
    /// [`GraphError`] if a derivative cannot be built.
    pub fn new(level: usize, loss: &Loss, below: &[(usize, &Lagrangian)]) -> Result<Self, GraphError> {
        let alone = Self::without_conditions(level, loss);
        if below.is_empty() {
            return Ok(alone);
        }
        let mut build = Build::default();
        let mut value = build.include(level, &alone, &[])?;
        let mut own = alone.own;
        let mut conditions = Vec::new();
        for &(stop, lagrangian) in below {
            let of_stop = build.include(stop, lagrangian, &[])?;
            own.push(Variable::Level(stop));
            own.extend((1..lagrangian.own.len()).map(|index| Variable::Multiplier { of: stop, index: index - 1 }));
            let groups = lagrangian.own.iter().map(|variable| build.variables[variable].as_slice());
            conditions.extend(gradient_nodes(&mut build.graph, of_stop, groups)?);
        }
        for (index, condition) in conditions.iter().enumerate() {
            let mut multipliers = Vec::with_capacity(condition.len());
            for (part, &node) in condition.iter().enumerate() {
                let multiplier = build.input_like(Input::Multiplier { of: level, index, part }, node);
                multipliers.push(multiplier);
                let product = build.graph.dot(node, multiplier)?;
                let product = build.graph.cast(product, build.graph.dtype(value))?;
                value = build.graph.sub(value, product)?;
            }
            build.variables.insert(Variable::Multiplier { of: level, index }, multipliers);
        }
        let Build { graph, inputs, variables, .. } = build;
        Ok(Lagrangian { graph, value, inputs, variables, own })
    }

    /// The loss of `level` by itself, while the parameters of the levels `below` stand still: to all derivatives, also those
    /// of Lagrangians that this one becomes a part of, they are constants.
    ///
    /// # Errors
    /// [`GraphError`] if the loss cannot be rebuilt.
    pub fn partial(level: usize, loss: &Loss, below: &[usize]) -> Result<Self, GraphError> {
        let alone = Self::without_conditions(level, loss);
        let mut build = Build::default();
        let value = build.include(level, &alone, below)?;
        let Build { graph, inputs, variables, .. } = build;
        Ok(Lagrangian { graph, value, inputs, variables, own: alone.own })
    }

    /// A loss below which nothing is solved.
    pub(super) fn without_conditions(level: usize, loss: &Loss) -> Self {
        let trace = loss.trace();
        Lagrangian {
            graph: trace.graph.clone(),
            value: trace.loss,
            inputs: trace.inputs.iter().map(|&(source, node)| (Input::of_loss(level, source), node)).collect(),
            variables: loss.levels().map(|(of, nodes)| (Variable::Level(of), nodes.to_vec())).collect(),
            own: vec![Variable::Level(level)],
        }
    }

    /// All inputs of the graph, in order: what they stand for, and what they look like.
    pub fn inputs(&self) -> impl Iterator<Item = (Input, &Node)> {
        self.inputs.iter().map(|&(input, node)| (input, self.graph.node(node)))
    }

    /// The graph's inputs, in order.
    pub(super) fn input_nodes(&self) -> Vec<NodeId> {
        self.inputs.iter().map(|&(_, node)| node).collect()
    }

    /// The level's parameters, and after them everything that is solved below: what the level's conditions are
    /// derivatives in. The condition from the first determines the first; the one from the `i + 1`-th determines
    /// [`Variable::Multiplier`] number `i` of the level.
    pub fn own(&self) -> &[Variable] {
        &self.own
    }
}

/// A graph that several losses are put together in; what they share is one input.
#[derive(Default)]
pub(super) struct Build {
    pub(super) graph: Graph,
    pub(super) inputs: Vec<(Input, NodeId)>,
    pub(super) nodes: HashMap<Input, NodeId>,
    pub(super) variables: BTreeMap<Variable, Vec<NodeId>>,
}

impl Build {
    /// The input, shaped like `like` when it is new.
    pub(super) fn input_like(&mut self, input: Input, like: NodeId) -> NodeId {
        let (shape, dtype) = (self.graph.shape(like).to_vec(), self.graph.dtype(like));
        self.input(input, &shape, dtype)
    }

    /// The input, of that shape and type when it is new.
    pub(super) fn input(&mut self, input: Input, shape: &[usize], dtype: DType) -> NodeId {
        if let Some(&node) = self.nodes.get(&input) {
            return node;
        }
        let node = self.graph.input(shape, dtype);
        self.nodes.insert(input, node);
        self.inputs.push((input, node));
        node
    }

    /// The value of the Lagrangian of `level`, with its inputs and variables; the parameters of the levels `still` stop every
    /// derivative. Draws become inputs, because each level has a seed of its own.
    fn include(&mut self, level: usize, other: &Lagrangian, still: &[usize]) -> Result<NodeId, GraphError> {
        let source = &other.graph;
        let mut images = HashMap::new();
        let draws = source.ids().filter_map(|id| match source.node(id).op {
            Op::Random { draw, distribution } => Some((Input::Draw { level, draw, distribution }, id)),
            _ => None,
        });
        for (input, id) in other.inputs.iter().copied().chain(draws) {
            images.insert(id, self.input(input, source.shape(id), source.dtype(id)));
        }
        for (&variable, nodes) in &other.variables {
            if still.iter().any(|&level| variable == Variable::Level(level)) {
                for node in nodes {
                    let stopped = self.graph.push(Op::StopGradient, &[images[node]])?;
                    images.insert(*node, stopped);
                }
                continue;
            }
            let nodes = nodes.iter().map(|node| images[node]).collect();
            self.variables.entry(variable).or_insert(nodes);
        }
        Ok(replay(&mut self.graph, source, &[other.value], &images)?[0])
    }
}
