//! Our gradients of a recorded loss beside Burn's, both in double precision on the CPU.

mod comparison;
mod point;
mod roots;
mod source;
mod unverified;
mod verified;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use burn::tensor::Device;

pub(crate) use self::comparison::{Compared, Comparison, Difference, Memory, OPERATIONS};
pub(crate) use self::point::{Point, on_host};
use self::roots::Roots;
pub(crate) use self::source::Source;
pub use self::unverified::Unverified;
pub(crate) use self::verified::Verified;
use super::loss::{Loss, gradient_nodes};
use crate::execute::{Cost, Program, ReadError, Value};
use crate::graph::{Doubled, Graph, GraphError, NodeId, in_f64, rounded, vjp, written_once};
use crate::trace::{LossInput, Trace};

/// How far two correct gradients may lie apart, relative to their norm, before anybody asks what rounding explains.
const RELATIVE: f64 = 1e-9;
/// How far they may lie apart relative to the norm of the terms that they are sums of. Rounding a sum of a million terms in
/// double precision stays below 1e-12 of it.
const ROUNDING: f64 = 1e-11;
/// The same where terms of Burn's gradient are [rounded](Trace::is_coarse) to single precision.
const COARSE: f64 = f32::EPSILON as f64;
/// By how much of itself each value is moved to learn the size of those terms.
const PERTURBATION: f64 = 1.0 / (1_u64 << 26) as f64;
/// How many such moves are tried at most, because some may leave a function's domain.
const DRAWS: u64 = 6;
/// How many of them are enough.
const ENOUGH: usize = 2;

/// The gradient of a recorded loss twice: ours, derived from the recorded forward pass, and the one that Burn's backward pass
/// recorded.
///
/// Both are computed in f64 on the CPU, whatever types and device the loss was recorded for, so that what is left between them
/// is no rounding of the run's own type. A `detach`, which leaves no trace in the forward pass, and a wrong rule make them
/// differ.
pub struct Verification {
    graph: Graph,
    inputs: Vec<NodeId>,
    /// What is differentiated with respect to.
    leaves: Vec<LossInput>,
    ours: Vec<NodeId>,
    program: Program,
    /// What rounding may make of a term.
    rounding: f64,
    /// The program of each draw that was measured with.
    measures: RefCell<BTreeMap<u64, Rc<Program>>>,
    roots: Roots,
    /// The same with derivatives that are wrong where Burn's are: where entries are written to twice. Nothing where they are the same.
    as_burn: OnceCell<Option<Box<Verification>>>,
}

/// Why two gradients could not be computed.
#[derive(thiserror::Error)]
pub enum VerificationError {
    /// A derivative cannot be built.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A gradient cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

crate::report::debug_as_report!(VerificationError);

/// What two gradients at one point say.
#[derive(Clone, Debug, PartialEq)]
pub enum Agreement {
    /// They are equal but for rounding.
    Equal {
        /// The largest `‖ours − Burn's‖` of any tensor, relative to the larger of both norms.
        difference: f64,
        /// Whether both are zero.
        zero: bool,
    },
    /// They are not.
    Different {
        /// The tensor where they lie furthest apart.
        leaf: LossInput,
        /// `‖ours − Burn's‖` there, relative to the larger of both norms.
        difference: f64,
        /// What rounding can explain of it.
        rounding: f64,
    },
    /// One of them is infinite or not a number, and nothing can be said.
    NotFinite {
        /// Whether ours is finite, and Burn's is not.
        ours_is_finite: bool,
    },
}

impl Verification {
    /// Prepares the comparison of gradients with respect to the tensors that are parameters: what a derivative in any other
    /// would be, nobody needs to know.
    ///
    /// # Errors
    /// [`GraphError`] if a derivative cannot be built.
    pub fn new(trace: &Trace, is_parameter: impl Fn(LossInput) -> bool) -> Result<Self, GraphError> {
        let source = |node: NodeId| trace.inputs.iter().find(|(_, input)| *input == node).map(|&(source, _)| source);
        let compared = trace.burn_gradients.iter().filter_map(|&(node, burn)| Some((source(node)?, node, burn)));
        let compared: Vec<_> = compared.filter(|&(source, ..)| is_parameter(source)).collect();
        let leaves = compared.iter().map(|&(source, ..)| source).collect();
        let (with_respect_to, burn): (Vec<NodeId>, Vec<NodeId>) =
            compared.iter().map(|&(_, node, burn)| (node, burn)).unzip();
        let (answers, in_answers): (Vec<NodeId>, Vec<NodeId>) = trace.burn_answers.iter().copied().unzip();
        let roots = Roots { loss: trace.loss, with_respect_to, burn, answers, in_answers };
        let Doubled { graph, inputs, outputs } = in_f64(&trace.graph, &roots.nodes())?;
        let rounding = if trace.is_coarse { COARSE } else { ROUNDING };
        Self::of(graph, inputs, leaves, roots.at(&outputs), rounding)
    }

    /// Derives our gradient, and prepares both.
    fn of(
        mut graph: Graph,
        inputs: Vec<NodeId>,
        leaves: Vec<LossInput>,
        roots: Roots,
        rounding: f64,
    ) -> Result<Self, GraphError> {
        let Roots { loss, with_respect_to, burn, answers, in_answers } = &roots;
        let ours = gradient_nodes(&mut graph, *loss, [with_respect_to.as_slice()].into_iter())?.concat();
        // Burn cannot differentiate what a derivative inside of the loss is made of: from there on, our rules do for both.
        let answers: Vec<(NodeId, NodeId)> = answers.iter().copied().zip(in_answers.iter().copied()).collect();
        let mut behind = vjp(&mut graph, &answers, with_respect_to)?.into_iter();
        let burn = burn.iter().map(|&burn| match behind.next().flatten() {
            Some(more) => graph.add(burn, more),
            None => Ok(burn),
        });
        let burn = burn.collect::<Result<Vec<NodeId>, GraphError>>()?;
        let program = Program::new(&graph, &inputs, &[ours.as_slice(), &burn].concat(), &Device::flex());
        let (measures, as_burn) = Default::default();
        Ok(Verification { graph, inputs, leaves, ours, program, rounding, measures, roots, as_burn })
    }

    /// The most bytes that a comparison holds at once.
    ///
    /// # Errors
    /// [`GraphError`] as for [`new`](Self::new).
    pub fn peak(&self) -> Result<usize, GraphError> {
        Ok(self.program.peak().max(self.rounded(0)?.peak()))
    }

    /// Whether a comparison holds no more than so many bytes.
    ///
    /// # Errors
    /// [`GraphError`] as for [`new`](Self::new).
    pub fn fits(&self, bytes: usize) -> Result<bool, GraphError> {
        Ok(self.program.peak() <= bytes && self.rounded(0)?.peak() <= bytes)
    }

    /// What comparing at one point takes.
    pub fn cost(&self) -> Cost {
        self.program.cost()
    }

    /// Compares the gradients at one point; where they differ and Burn's rule for an update at indices may be why, with that rule for
    /// ours too: it is wrong where entries are written to twice. Values come in the order of the trace's inputs, floats in f64, all on the CPU; `seed`
    /// decides every random draw.
    ///
    /// # Errors
    /// [`GraphError`] and [`ReadError`] if the gradients cannot be computed.
    pub fn at(&self, values: &[Value], seed: u64) -> Result<Agreement, VerificationError> {
        let found = self.compared(values, seed)?;
        if matches!(found, Agreement::Different { .. })
            && let Some(other) = self.as_burn()?
        {
            return other.compared(values, seed);
        }
        Ok(found)
    }

    fn compared(&self, values: &[Value], seed: u64) -> Result<Agreement, VerificationError> {
        let found = host(&self.program.run(values.iter().cloned(), seed))?;
        let (ours, burn) = found.split_at(self.leaves.len());
        if found.iter().flatten().any(|x| !x.is_finite()) {
            let ours_is_finite = ours.iter().flatten().all(|x| x.is_finite());
            return Ok(Agreement::NotFinite { ours_is_finite });
        }
        let pairs = ours.iter().zip(burn);
        let gaps: Vec<f64> = pairs.clone().map(|(ours, burn)| distance(ours, burn)).collect();
        let norms: Vec<f64> = pairs.map(|(ours, burn)| norm(ours).max(norm(burn))).collect();
        let relative = |leaf: usize| if gaps[leaf] == 0.0 { 0.0 } else { gaps[leaf] / norms[leaf] };
        let worst = (0..gaps.len()).map(relative).fold(0.0, f64::max);
        if worst <= RELATIVE {
            return Ok(Agreement::Equal { difference: worst, zero: norms.iter().all(|&norm| norm == 0.0) });
        }
        let Some(terms) = self.terms(values, seed, ours)? else {
            return Ok(Agreement::NotFinite { ours_is_finite: false });
        };
        let allowed = |leaf: usize| RELATIVE.max(self.rounding * terms[leaf] / norms[leaf]);
        let excess = |&leaf: &usize| relative(leaf) / allowed(leaf);
        let leaf = (0..gaps.len()).filter(|leaf| relative(*leaf) > 0.0);
        let leaf = leaf.max_by(|x, y| excess(x).total_cmp(&excess(y))).unwrap_or(0);
        Ok(if relative(leaf) <= allowed(leaf) {
            Agreement::Equal { difference: worst, zero: false }
        } else {
            Agreement::Different { leaf: self.leaves[leaf], difference: relative(leaf), rounding: allowed(leaf) }
        })
    }

    /// For every tensor, the norm of the terms that its gradient is the sum of, as rounding all of them shows it; nothing where
    /// that ends in numbers that are not finite.
    fn terms(&self, values: &[Value], seed: u64, ours: &[Vec<f64>]) -> Result<Option<Vec<f64>>, VerificationError> {
        let mut terms = vec![0.0_f64; ours.len()];
        let mut finite = 0;
        for draw in 0..DRAWS {
            let moved = host(&self.rounded(draw)?.run(values.iter().cloned(), seed))?;
            if moved.iter().flatten().all(|x| x.is_finite()) {
                for (term, (moved, ours)) in terms.iter_mut().zip(moved.iter().zip(ours)) {
                    *term = term.max(distance(moved, ours) / PERTURBATION);
                }
                finite += 1;
            }
            if finite == ENOUGH {
                break;
            }
        }
        Ok((finite > 0).then_some(terms))
    }

    /// The size of the terms that our gradient is a sum of, at one point as for [`at`](Self::at): how far the gradient moves when
    /// every value on the way to it is rounded, by how much that is rounded. Nothing where it ends in numbers that are not finite.
    ///
    /// # Errors
    /// As [`at`](Self::at).
    pub(crate) fn size(&self, values: &[Value], seed: u64) -> Result<Option<f64>, VerificationError> {
        Ok(self.sizes(values, seed)?.map(|(_, terms)| terms))
    }

    /// Whether nothing but rounding is left of our gradient at a point where it is finite.
    ///
    /// # Errors
    /// As [`at`](Self::at).
    pub(crate) fn vanishes(&self, values: &[Value], seed: u64) -> Result<bool, VerificationError> {
        Ok(self.sizes(values, seed)?.is_some_and(|(gradient, terms)| gradient <= self.rounding * terms))
    }

    /// The norms of our gradient and of its terms.
    fn sizes(&self, values: &[Value], seed: u64) -> Result<Option<(f64, f64)>, VerificationError> {
        let found = host(&self.program.run(values.iter().cloned(), seed))?;
        let ours = &found[..self.leaves.len()];
        let is_finite = ours.iter().flatten().all(|x| x.is_finite());
        let terms = if is_finite { self.terms(values, seed, ours)? } else { None };
        Ok(terms.map(|terms| (norm(&ours.concat()), norm(&terms))))
    }

    /// The same comparison with Burn's rules for updates at indices, if there are any.
    fn as_burn(&self) -> Result<Option<&Verification>, GraphError> {
        if let Some(known) = self.as_burn.get() {
            return Ok(known.as_deref());
        }
        let mut graph = self.graph.clone();
        let made = match written_once(&mut graph, &self.roots.nodes())? {
            Some(nodes) => {
                let (inputs, leaves) = (self.inputs.clone(), self.leaves.clone());
                Some(Box::new(Self::of(graph, inputs, leaves, self.roots.at(&nodes), self.rounding)?))
            }
            None => None,
        };
        Ok(self.as_burn.get_or_init(|| made).as_deref())
    }

    /// Our gradient with every value on the way to it rounded, each time in another way.
    fn rounded(&self, draw: u64) -> Result<Rc<Program>, GraphError> {
        if let Some(known) = self.measures.borrow().get(&draw) {
            return Ok(Rc::clone(known));
        }
        let mut graph = self.graph.clone();
        let outputs = rounded(&mut graph, &self.ours, PERTURBATION, draw)?;
        let program = Rc::new(Program::new(&graph, &self.inputs, &outputs, self.program.device()));
        self.measures.borrow_mut().insert(draw, Rc::clone(&program));
        Ok(program)
    }
}

impl Loss {
    /// What measures the terms of its gradient in what `is_own` says, which is the same each time.
    pub(crate) fn measure(&self, is_own: impl Fn(LossInput) -> bool) -> Result<&Verification, GraphError> {
        if let Some(known) = self.measure.get() {
            return Ok(known);
        }
        let made = Verification::new(self.trace(), is_own)?;
        Ok(self.measure.get_or_init(|| made))
    }
}

fn host(values: &[Value]) -> Result<Vec<Vec<f64>>, ReadError> {
    values.iter().map(Value::to_vec).collect()
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn distance(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
}
