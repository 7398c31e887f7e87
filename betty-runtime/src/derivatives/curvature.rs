//! Products with the second derivative of a Lagrangian, between any of its variables.
//!
//! The derivative `∂ℓ/∂w` changes by `Σᵥ (∂²ℓ/∂w∂v)·tᵥ` when every moving variable `v` moves along `tᵥ` (forward over
//! reverse). Of that graph only the part behind the tangents depends on them; everything else is evaluated once at a point
//! and kept for all products there.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use burn::tensor::Device;

use super::boundary::boundary;
use super::lagrangian::{Lagrangian, Variable};
use super::loss::gradient_nodes;
use super::perturb::{Perturbation, Unmoved};
use crate::distributed::{DistributedError, Ranks};
use crate::execute::{Cost, Program, ReadError, Value, Vector};
use crate::graph::{GraphError, NodeId, Op, jvp, lowered};

/// Which variables move, and which derivatives are asked for.
pub(super) type Key = (Vec<Variable>, Vec<Variable>);

/// The second derivative of a Lagrangian, compiled product by product as they are asked for.
pub struct Curvature {
    pub(super) lagrangian: Lagrangian,
    pub(super) device: Device,
    /// `∂ℓ/∂variable`, for all variables.
    gradients: BTreeMap<Variable, Vec<NodeId>>,
    tangents: BTreeMap<Variable, Vec<NodeId>>,
    /// Whether ranks sum something while they compute it.
    sums: bool,
    /// What products read of a point.
    kept: Vec<NodeId>,
    point: Option<Program>,
    pub(super) products: HashMap<Key, Product>,
    /// Products for so many tangents at once.
    pub(super) vectorized: HashMap<(Key, usize), Program>,
    perturbations: HashMap<Key, Perturbation>,
    /// Those that share the examples of the losses, if there are others.
    ranks: Option<Rc<Ranks>>,
    /// See `moved.rs`.
    pub(super) moved: Vec<bool>,
}

/// One planned product.
pub(super) struct Product {
    program: Program,
    /// What evaluates what it alone reads of a point.
    point: Option<Program>,
    pub(super) tangents: Vec<NodeId>,
    pub(super) nodes: Vec<NodeId>,
    /// Which of the kept values it reads.
    pub(super) reads: Vec<usize>,
    /// The derivatives that are not zero whatever the tangents, with how many tensors each has.
    answers: Vec<(Variable, usize)>,
}

/// What is known at one point.
pub struct Point {
    inputs: Vec<Value>,
    seed: u64,
    values: Vec<Value>,
    /// What single products read of it.
    of_products: HashMap<Key, Vec<Value>>,
    unmoved: HashMap<Key, Unmoved>,
    lengths: HashMap<Vec<Variable>, f64>,
}

impl Point {
    /// The point with these values for all inputs of a Lagrangian, in its order.
    pub fn new(inputs: Vec<Value>, seed: u64) -> Self {
        let (of_products, unmoved, lengths) = (HashMap::new(), HashMap::new(), HashMap::new());
        Point { inputs, seed, values: Vec::new(), of_products, unmoved, lengths }
    }
}

impl Curvature {
    /// Prepares the second derivative of a Lagrangian on a device.
    ///
    /// # Errors
    /// [`GraphError`] if a derivative cannot be built.
    pub fn new(mut lagrangian: Lagrangian, device: &Device) -> Result<Self, GraphError> {
        let moved = lagrangian.moved();
        let Lagrangian { graph, value, variables, .. } = &mut lagrangian;
        let groups = variables.values().map(Vec::as_slice);
        let gradients = gradient_nodes(graph, *value, groups)?;
        let mut tangents = BTreeMap::new();
        for (&variable, nodes) in variables.iter() {
            let like = |&node: &NodeId| {
                let (shape, dtype) = (graph.shape(node).to_vec(), graph.dtype(node));
                graph.input(&shape, dtype)
            };
            tangents.insert(variable, nodes.iter().map(like).collect());
        }
        let sums = graph.ids().any(|id| matches!(graph.node(id).op, Op::SumOverRanks(_)));
        Ok(Curvature {
            gradients: variables.keys().copied().zip(gradients).collect(),
            tangents,
            lagrangian,
            device: device.clone(),
            sums,
            kept: Vec::new(),
            point: None,
            products: HashMap::new(),
            vectorized: HashMap::new(),
            perturbations: HashMap::new(),
            ranks: None,
            moved,
        })
    }

    /// The second derivative of this rank's share of a Lagrangian.
    pub(crate) fn shared(mut self, ranks: Option<Rc<Ranks>>) -> Self {
        self.ranks = ranks;
        self
    }

    /// What products are on all examples: the sum over ranks, of all of them in one message. Lagrangians are linear in losses,
    /// and so are products with their derivatives, and differences of their gradients.
    ///
    /// # Errors
    /// [`DistributedError`] if other ranks do not give their share.
    pub(crate) fn summed(
        &self,
        mut products: Vec<(Variable, Vector)>,
    ) -> Result<Vec<(Variable, Vector)>, DistributedError> {
        if let Some(ranks) = self.ranks.as_ref().filter(|_| !products.is_empty()) {
            ranks.sum(products.iter_mut().map(|(_, product)| product), &mut [])?;
        }
        Ok(products)
    }

    /// The Lagrangian.
    pub fn lagrangian(&self) -> &Lagrangian {
        &self.lagrangian
    }

    /// About how many bytes the second derivative takes, with the products that will be asked for.
    pub(crate) fn bytes(&self) -> usize {
        // A product adds about as much as the gradient that it is the derivative of.
        2 * self.lagrangian.graph.bytes()
    }

    /// Whether the Lagrangian depends on `variable` at all.
    pub fn depends_on(&self, variable: Variable) -> bool {
        self.gradients.contains_key(&variable)
    }

    /// What each tensor of `variable` looks like, filled with zeros.
    pub fn zeros(&self, variable: Variable) -> Vector {
        let nodes = self.tangents.get(&variable).map_or(&[][..], Vec::as_slice);
        let graph = &self.lagrangian.graph;
        let zero = |&node: &NodeId| Value::zeros(graph.shape(node), graph.dtype(node), &self.device);
        Vector(nodes.iter().map(zero).collect())
    }

    /// Compiles a [`product`](Self::product) ahead of its first use.
    ///
    /// # Errors
    /// [`GraphError`] if the derivative cannot be built.
    pub fn prepare(&mut self, moving: &[Variable], outputs: &[Variable]) -> Result<(), GraphError> {
        let key = (moving.to_vec(), outputs.to_vec());
        if !self.products.contains_key(&key) {
            let product = self.build(&key)?;
            self.products.insert(key, product);
        }
        Ok(())
    }

    /// What a [`product`](Self::product) at a known point takes, and the bytes it holds at once.
    ///
    /// # Errors
    /// [`GraphError`] if the derivative cannot be built.
    pub fn cost(&mut self, moving: &[Variable], outputs: &[Variable]) -> Result<(Cost, usize), GraphError> {
        self.prepare(moving, outputs)?;
        let product = &self.products[&(moving.to_vec(), outputs.to_vec())];
        Ok((product.program.cost() + self.sent(&product.nodes), product.program.peak()))
    }

    /// The rows of such a product that are not zero whatever the tangents.
    ///
    /// # Errors
    /// [`GraphError`] if the derivative cannot be built.
    pub(crate) fn rows(&mut self, moving: &[Variable], outputs: &[Variable]) -> Result<Vec<Variable>, GraphError> {
        self.prepare(moving, outputs)?;
        let product = &self.products[&(moving.to_vec(), outputs.to_vec())];
        Ok(product.answers.iter().map(|&(row, _)| row).collect())
    }

    /// The rows of a [`displaced`](Self::displaced) product that depend on what moves.
    ///
    /// # Errors
    /// [`GraphError`] if the derivative cannot be built.
    pub(crate) fn displaced_rows(
        &mut self,
        moving: &[Variable],
        outputs: &[Variable],
    ) -> Result<Vec<Variable>, GraphError> {
        Ok(self.perturbation((moving.to_vec(), outputs.to_vec()))?.rows().collect())
    }

    /// What is summed over ranks of such a product, if there are others.
    fn sent(&self, nodes: &[NodeId]) -> Cost {
        match self.ranks.is_some() && !nodes.is_empty() {
            true => Cost::message(&self.lagrangian.graph, nodes),
            false => Cost::NONE,
        }
    }

    /// The most bytes that one of the programs made so far holds at once.
    pub(crate) fn peak(&self) -> usize {
        let products = self.products.values().flat_map(|product| product.point.iter().chain([&product.program]));
        products.chain(&self.point).map(Program::peak).max().unwrap_or(0)
    }

    /// The bytes that are kept at a point, for the products prepared so far.
    pub(crate) fn kept_bytes(&self) -> usize {
        let graph = &self.lagrangian.graph;
        let bytes = |node: &NodeId| graph.shape(*node).iter().product::<usize>() * graph.dtype(*node).size();
        match self.sums {
            true => self.products.values().flat_map(|product| self.read_by(product)).map(|node| bytes(&node)).sum(),
            false => self.kept.iter().map(bytes).sum(),
        }
    }

    /// What one evaluation at a point takes, for the products prepared so far.
    pub fn point_cost(&self) -> Cost {
        let cost = |kept: &[NodeId]| self.point_program(kept).cost();
        match self.sums {
            true => self.products.values().map(|product| cost(&self.read_by(product))).fold(Cost::NONE, |a, b| a + b),
            false => cost(&self.kept),
        }
    }

    fn point_program(&self, kept: &[NodeId]) -> Program {
        Program::new(&self.lagrangian.graph, &self.lagrangian.input_nodes(), kept, &self.device)
    }

    /// `Σᵥ (∂²ℓ/∂w∂v)·tᵥ` for each `w` of `outputs`, for `(v, tᵥ)` of `moving`. What vanishes whatever the tangents is left
    /// out of the answer.
    ///
    /// # Errors
    /// [`GraphError`] if the derivative cannot be built.
    pub fn product(
        &mut self,
        point: &mut Point,
        moving: &[(Variable, &Vector)],
        outputs: &[Variable],
    ) -> Result<Vec<(Variable, Vector)>, GraphError> {
        let key: Key = (moving.iter().map(|&(variable, _)| variable).collect(), outputs.to_vec());
        self.prepare(&key.0, &key.1)?;
        let product = &self.products[&key];
        if product.answers.is_empty() {
            return Ok(Vec::new());
        }
        let kept = self.evaluate(point, &key);
        let product = &self.products[&key];
        Ok(product.run(&product.program, kept, moving))
    }

    /// What a prepared product reads of a point, evaluated with what the others read that were prepared so far. Where ranks sum
    /// something on the way, it is evaluated by itself: what each of them has prepared before depends on the sizes of its shares,
    /// and all of them have to form the same sums.
    pub(super) fn evaluate(&mut self, point: &mut Point, key: &Key) -> Vec<Value> {
        let inputs = || point.inputs.iter().cloned();
        if self.sums {
            if let Some(known) = point.of_products.get(key) {
                return known.clone();
            }
            let program = match self.products.get_mut(key).and_then(|product| product.point.take()) {
                Some(program) => program,
                None => self.point_program(&self.read_by(&self.products[key])),
            };
            let values = program.run(inputs(), point.seed);
            if let Some(product) = self.products.get_mut(key) {
                product.point = Some(program);
            }
            point.of_products.insert(key.clone(), values.clone());
            return values;
        }
        if point.values.len() < self.kept.len() {
            let program = self.point.take().unwrap_or_else(|| self.point_program(&self.kept));
            point.values = program.run(inputs(), point.seed);
            self.point = Some(program);
        }
        self.products[key].reads.iter().map(|&index| point.values[index].clone()).collect()
    }

    fn build(&mut self, (moving, outputs): &Key) -> Result<Product, GraphError> {
        let Lagrangian { graph, variables, .. } = &mut self.lagrangian;
        let tangents: Vec<NodeId> =
            moving.iter().flat_map(|variable| self.tangents[variable].iter().copied()).collect();
        let moved = moving.iter().flat_map(|variable| variables[variable].iter().copied());
        let moves: Vec<(NodeId, NodeId)> = moved.zip(tangents.iter().copied()).collect();
        let mut answers = Vec::new();
        let mut nodes = Vec::new();
        for &output in outputs {
            let gradients = &self.gradients[&output];
            let changes = jvp(graph, gradients, &moves)?;
            if changes.iter().all(Option::is_none) {
                continue;
            }
            answers.push((output, changes.len()));
            for (change, &gradient) in changes.into_iter().zip(gradients) {
                nodes.push(change.unwrap_or_else(|| graph.zeros_like(gradient)));
            }
        }
        // Before the split, so that what does not move is cast, and put below each other, once at a point.
        let nodes = lowered(graph, &nodes, &[])?;
        let reads = boundary(graph, &nodes, &tangents);
        let inputs: Vec<NodeId> = reads.iter().chain(&tangents).copied().collect();
        let program = Program::new(graph, &inputs, &nodes, &self.device);
        let reads = reads.into_iter().map(|node| self.keep(node)).collect();
        Ok(Product { program, point: None, tangents, nodes, reads, answers })
    }

    /// The values that a product reads of a point.
    pub(super) fn read_by(&self, product: &Product) -> Vec<NodeId> {
        product.reads.iter().map(|&index| self.kept[index]).collect()
    }

    /// The place of a value among those kept at a point.
    fn keep(&mut self, node: NodeId) -> usize {
        self.kept.iter().position(|&known| known == node).unwrap_or_else(|| {
            self.kept.push(node);
            self.point = None;
            self.kept.len() - 1
        })
    }

    /// `(∂ℓ/∂w(… + ε·t) − ∂ℓ/∂w(… − ε·t)) / 2ε` for each `w` of `outputs`: a [`product`](Self::product) as a difference
    /// quotient, with stopped values and random draws held at the unperturbed point.
    ///
    /// # Errors
    /// [`GraphError`] if the derivative cannot be built.
    pub fn quotient(
        &mut self,
        point: &Point,
        moving: &[(Variable, &Vector)],
        outputs: &[Variable],
        epsilon: f64,
    ) -> Result<Vec<(Variable, Vector)>, GraphError> {
        let (variables, tangents): (Vec<Variable>, Vec<&Vector>) = moving.iter().copied().unzip();
        let perturbation = self.perturbation((variables, outputs.to_vec()))?;
        Ok(perturbation.quotient(&point.inputs, &tangents, epsilon, point.seed))
    }

    /// `m·(∂ℓ/∂w(…) − ∂ℓ/∂w(… − t/m))` for each `w` of `outputs` and the multiplier `m`: a [`product`](Self::product) from
    /// gradients at one displaced point and the unmoved one, which is evaluated once, held as for a
    /// [`quotient`](Self::quotient).
    ///
    /// # Errors
    /// [`GraphError`] if the derivative cannot be built.
    pub fn displaced(
        &mut self,
        point: &mut Point,
        moving: &[(Variable, &Vector)],
        outputs: &[Variable],
        multiplier: f64,
    ) -> Result<Vec<(Variable, Vector)>, GraphError> {
        let (variables, tangents): (Vec<Variable>, Vec<&Vector>) = moving.iter().copied().unzip();
        let key: Key = (variables, outputs.to_vec());
        let perturbation = self.perturbation(key.clone())?;
        let Point { inputs, seed, unmoved, .. } = point;
        let unmoved = unmoved.entry(key).or_insert_with(|| perturbation.unmoved(inputs, *seed));
        Ok(perturbation.displaced(unmoved, inputs, &tangents, multiplier))
    }

    /// The norm of these variables at a point, read once.
    ///
    /// # Errors
    /// [`ReadError`] when it cannot be read.
    pub fn length(&self, point: &mut Point, variables: &[Variable]) -> Result<f64, ReadError> {
        if let Some(&known) = point.lengths.get(variables) {
            return Ok(known);
        }
        let values = self.values(point, variables);
        let length = values.dot(&values)?.sqrt();
        point.lengths.insert(variables.to_vec(), length);
        Ok(length)
    }

    /// The values of these variables at a point.
    pub(crate) fn values(&self, point: &Point, variables: &[Variable]) -> Vector {
        let nodes: Vec<NodeId> =
            variables.iter().flat_map(|of| self.lagrangian.variables[of].iter().copied()).collect();
        let inputs = self.lagrangian.input_nodes().into_iter().zip(&point.inputs);
        Vector(inputs.filter(|(node, _)| nodes.contains(node)).map(|(_, value)| value.clone()).collect())
    }

    /// What the unmoved point and each [`displaced`](Self::displaced) one take, and the bytes that one holds at once.
    ///
    /// # Errors
    /// [`GraphError`] if the derivative cannot be built.
    pub fn displaced_cost(
        &mut self,
        moving: &[Variable],
        outputs: &[Variable],
    ) -> Result<(Cost, Cost, usize), GraphError> {
        let (unmoved, product, peak) = self.perturbation((moving.to_vec(), outputs.to_vec()))?.cost();
        let nodes: Vec<NodeId> = outputs.iter().flat_map(|of| self.gradients[of].iter().copied()).collect();
        Ok((unmoved, product + self.sent(&nodes), peak))
    }

    fn perturbation(&mut self, key: Key) -> Result<&Perturbation, GraphError> {
        Ok(match self.perturbations.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => {
                let built = Perturbation::new(&self.lagrangian, &free.key().0, &free.key().1, &self.device)?;
                free.insert(built)
            }
        })
    }
}

impl Product {
    /// Runs a program of the product with what it reads of a point.
    pub(super) fn run(
        &self,
        program: &Program,
        kept: Vec<Value>,
        moving: &[(Variable, &Vector)],
    ) -> Vec<(Variable, Vector)> {
        let tangents = moving.iter().flat_map(|(_, tangent)| tangent.0.iter().cloned());
        let mut found = program.run(kept.into_iter().chain(tangents), 0).into_iter();
        let answers = self.answers.iter();
        answers.map(|&(variable, count)| (variable, Vector(found.by_ref().take(count).collect()))).collect()
    }
}
