//! The total gradient of a level: its direct gradient, and what comes up through the best responses below.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::error::EngineError;
use super::event::Event;
use super::ground::{Ground, StepsGround};
use super::level::Level;
use super::losses::gather;
use super::numbers::{Numbers, Told};
use super::program::Multilevel;
use super::reads::Reads;
use super::record::Record;
use super::replays::UpperLoss;
use super::step::{Evaluation, Site};
use super::train::Engine;
use crate::derivatives::{Input, Launched, Variable};
use crate::execute::{Unread, Value, Vector};
use crate::graph::Node;
use crate::hypergradient::{BestResponse, Blocks, Direction, Response, SolveReport};
use crate::linalg::InnerProductSpace;
use crate::schedule::Through;
use crate::trace::{AnyBatch, LossInput};

/// The total gradient of a level at its current point.
#[derive(Clone, Debug)]
pub struct TotalGradient {
    /// The level's loss.
    pub loss: f64,
    /// What the loss function reports beside the loss: names and values.
    pub metrics: Vec<(Rc<str>, f64)>,
    /// The gradient, one tensor for each trainable parameter, in the module's order.
    pub gradient: Vector,
    /// Its norm.
    pub norm: f64,
}

impl<P: Multilevel> Engine<P> {
    /// Direct plus indirect gradient of level `k` on `batch`, and if asked for, how it came about.
    pub(super) fn total_gradient(
        &mut self,
        k: usize,
        batch: &Rc<AnyBatch>,
        seed: u64,
        record: bool,
    ) -> Result<(TotalGradient, Option<Evaluation>), EngineError> {
        let (Found { gradient, numbers, .. }, evaluation) = self.find_gradient(k, batch, seed, record)?;
        let Told { loss, metrics, norm } = self.read_numbers(k, numbers)?;
        Ok((TotalGradient { loss, metrics, gradient, norm }, evaluation))
    }

    /// As [`total_gradient`](Self::total_gradient), with numbers that are to be read and checked.
    pub(super) fn find_gradient(
        &mut self,
        k: usize,
        batch: &Rc<AnyBatch>,
        seed: u64,
        record: bool,
    ) -> Result<(Found, Option<Evaluation>), EngineError> {
        let Derivative { own, below, statistics, mut reads, mut numbers } = self.launch(k, batch, seed)?;
        let mut gradient = own;
        let mut context = Context::default();
        let mut multipliers = Blocks::default();
        if !P::SCHEDULE.levels[k].sweep.is_empty() {
            self.read_direct(k, &mut numbers)?;
            context.loss = self.upper_loss(k, batch, seed, &below)?;
            self.prepare_stops(k, record, &mut context)?;
            let (indirect, solution) = self.indirect(k, &mut context, &below)?;
            if let Some(indirect) = indirect {
                gradient.add_scaled(-1.0, &indirect);
            }
            reads = self.reads_through(k, Reads::both(&reads, &context.reads));
            numbers.total = Some(Unread::square_norm(&gradient));
            multipliers = solution;
            for (&stop, &SolveReport { products, residual }) in context.response.reports() {
                self.residuals.insert(stop, residual);
                let (name, through) = (self.levels[k].name, self.levels[stop].name);
                self.emit(&Event::Hypergradient { level: k, name, through, products, residual });
            }
        }
        let (program, inputs) = (Rc::clone(&numbers.program), numbers.inputs.clone());
        let found = Found { gradient, statistics, reads: Rc::new(reads), numbers };
        if !record {
            return Ok((found, None));
        }
        context.grounds.insert(k, Ground::Loss { batch: Rc::clone(batch), seed });
        let site = self.site(k, &mut context, multipliers)?;
        let own = self.own_positions(k, batch, &site);
        let reached = P::SCHEDULE.reached_from(k).into_iter();
        let above = reached.flat_map(|of| self.places(k, batch, of).map(move |(index, at)| (of, index, at))).collect();
        let begun =
            context.grounds.iter().filter_map(|(&level, ground)| Some((level, ground.steps()?.begun?))).collect();
        let sites = context.sites.into_iter().chain([site]).collect();
        let (time, batch, reads) = (self.clock.now(), Rc::clone(batch), Rc::clone(&found.reads));
        Ok((found, Some(Evaluation { time, batch, sites, program, inputs, own, begun, above, reads })))
    }

    /// What the total gradient of level `k` depends on, its loss and those below depending on `reads`: also on what learned
    /// numbers of their optimizers are made of, and on what their steps begin at.
    pub(super) fn reads_through(&self, k: usize, mut reads: Reads) -> Reads {
        for stop in P::SCHEDULE.levels[k].sweep {
            for source in self.levels[stop.level].update.learned().sources() {
                reads.add_one(source.level, source.parameter, self.levels[source.level].trainable.len());
            }
            if let Some(from) = self.starts_from(stop.level) {
                reads.begin_at(stop.level, from);
            }
        }
        reads
    }

    /// As [`launch`](Self::launch), with numbers that have been checked.
    fn derivative(&mut self, k: usize, batch: &Rc<AnyBatch>, seed: u64) -> Result<Derivative, EngineError> {
        let mut derivative = self.launch(k, batch, seed)?;
        self.read_direct(k, &mut derivative.numbers)?;
        Ok(derivative)
    }

    /// The loss of level `k` with its direct derivatives: in the level's parameters, and in those of the levels below whose
    /// best responses answer to it.
    fn launch(&mut self, k: usize, batch: &Rc<AnyBatch>, seed: u64) -> Result<Derivative, EngineError> {
        let spec = &P::SCHEDULE.levels[k];
        let of = P::SCHEDULE.differentiates(k);
        let loss = self.losses.prepare(&self.problem, &self.levels, k, batch, seed)?;
        let inputs = gather(loss, &self.levels, batch);
        let program = loss.gradient(&of).map_err(|source| EngineError::Graph { level: spec.name.into(), source })?;
        let Launched { status, of: found, advances } = program.launch(inputs.iter().cloned(), seed);
        let mut parts = of.into_iter().map(Variable::Level).zip(found);
        let own = parts.next().map(|(_, own)| own).unwrap_or_default();
        let below = parts.collect();
        let statistics = own_statistics(k, advances);
        let reads = Reads::of(self.losses.get(k, batch));
        let numbers = Numbers { status, total: None, program, batch: Rc::clone(batch), inputs, seed };
        Ok(Derivative { own, below, statistics, reads, numbers })
    }

    /// Adds every level that the hypergradient of level `k` passes through to the context, at the current point; `twice` if
    /// the hypergradient will be differentiated itself.
    pub(super) fn prepare_stops(&mut self, k: usize, twice: bool, context: &mut Context) -> Result<(), EngineError> {
        let sweep = P::SCHEDULE.levels[k].sweep;
        if !twice {
            (context.together, context.leader) = (self.together(k), self.leader(k));
        }
        for &Through { level, into } in sweep {
            if context.leader.is_some_and(|leader| leader != level) {
                continue;
            }
            let Some(steps) = &self.levels[level].trajectory else {
                self.prepare_solved(k, Through { level, into }, context)?;
                continue;
            };
            let trajectory = steps.trajectory(level, context.loss.as_ref()).filter(|_| !steps.is_empty());
            let trajectory = trajectory.ok_or_else(|| {
                let (level, above) = (self.levels[level].name.into(), self.levels[k].name.into());
                match self.levels[k].config.vectorize {
                    true => EngineError::StepsTogether { level, above },
                    false => EngineError::NoSteps { level },
                }
            })?;
            context.reads.add(&steps.reads());
            if context.together.contains(&level) {
                continue;
            }
            let twice = twice || P::SCHEDULE.is_nested(level, k);
            match steps.ground(self.rounds_of(level, k)).filter(|_| twice) {
                Some(ground) => self.prepare_steps(level, Rc::new(ground), context)?,
                None => context.response.add(level, BestResponse::unrolled(level, trajectory, into)),
            }
        }
        Ok(())
    }

    /// Adds a level as a function of what its steps read.
    fn prepare_steps(
        &mut self,
        level: usize,
        ground: Rc<StepsGround>,
        context: &mut Context,
    ) -> Result<(), EngineError> {
        let evaluations = ground.taken.iter().flat_map(|(step, _)| &step.evaluations);
        for evaluation in evaluations {
            self.losses.prepare(&self.problem, &self.levels, level, &evaluation.batch, evaluation.seed())?;
        }
        context.grounds.insert(level, Ground::Steps(ground));
        let site = self.site(level, context, Blocks::default())?;
        context.response.add(level, site.stop());
        context.sites.push(site);
        Ok(())
    }

    /// Adds a level at the current point to the context, which has its stops already.
    pub(super) fn prepare_stop(&mut self, level: usize, context: &mut Context) -> Result<(), EngineError> {
        let (batch, seed) = self.lower_batch(level)?;
        let mut solution = Blocks::default();
        let config = self.levels[level].config.hypergradient.clone();
        let by_step = config.filter(|method| self.methods[level].is_none() && method.looks_at_next_step());
        let is_leaf = P::SCHEDULE.levels[level].sweep.is_empty();
        let mut gradient = Vector::default();
        let mut read = Vec::new();
        if is_leaf && by_step.is_none() {
            let loss = self.losses.prepare(&self.problem, &self.levels, level, &batch, seed)?;
            context.reads.add(&Reads::of(loss));
        } else {
            let Derivative { own, below, reads, .. } = self.derivative(level, &batch, seed)?;
            gradient = own;
            let through = self.reads_through(level, Reads::both(&reads, &context.reads));
            read = through.level(level, gradient.0.len());
            context.reads.add(&reads);
            if !is_leaf {
                // Its total gradient rests on answers from below, whose multipliers are part of its point.
                let (indirect, multipliers) = self.indirect(level, context, &below)?;
                indirect.iter().for_each(|indirect| gradient.add_scaled(-1.0, indirect));
                solution = multipliers;
            }
        }
        context.grounds.insert(level, Ground::Loss { batch, seed });
        let mut site = self.site(level, context, solution)?;
        if let Some(method) = by_step {
            site.method = method.build_on(self.levels[level].next_step(gradient, self.learned(level), &read));
        }
        context.response.add(level, site.stop());
        context.sites.push(site);
        Ok(())
    }

    /// The Lagrangian of level `k` at the current point, given the solution of the adjoint system below it.
    fn site(&mut self, k: usize, context: &mut Context, mut solution: Blocks) -> Result<Site, EngineError> {
        let curvature = self.losses.prepare_curvature::<P>(k, &self.levels, &context.grounds)?;
        let inputs = {
            let curvature = curvature.borrow();
            for (index, &variable) in curvature.lagrangian().own()[1..].iter().enumerate() {
                let multiplier = Variable::Multiplier { of: k, index };
                let found = solution.take(variable).unwrap_or_else(|| curvature.zeros(multiplier));
                context.multipliers.set(multiplier, found);
            }
            let inputs = curvature.lagrangian().inputs();
            inputs.map(|(input, like)| context.value(input, like, &self.levels)).collect()
        };
        let below = P::SCHEDULE.levels[k].sweep.iter().map(|stop| stop.level).collect();
        Ok(Site {
            level: k,
            curvature,
            inputs,
            seed: context.grounds[&k].seed(),
            method: self.methods[k].clone(),
            below,
        })
    }

    /// Solves the adjoint system below level `k`, `right` being the derivative of its loss in what is solved there. Answers
    /// what has to be taken off the level's direct gradient, if anything, and the solution.
    fn indirect(
        &mut self,
        k: usize,
        context: &mut Context,
        right: &Blocks,
    ) -> Result<(Option<Vector>, Blocks), EngineError> {
        let stops: Vec<usize> = P::SCHEDULE.levels[k].sweep.iter().map(|stop| stop.level).collect();
        let own = Variable::Level(k);
        context.response.start_from(self.levels[k].solutions.clone());
        let solved = if let Some(found) = self.indirect_through_steps(k, context, right) {
            // Nobody asks for multipliers of what is gone through.
            found.map(|indirect| (indirect, Blocks::default()))
        } else {
            let response = &mut context.response;
            let solved = response.solve(&stops, Direction::Adjoint, right);
            solved.and_then(|x| Ok((response.apply(Direction::Adjoint, &x, &[own])?.take(own), x)))
        };
        let response = &mut context.response;
        if solved.is_ok() {
            self.levels[k].solutions = response.take_solutions();
        }
        solved.map_err(|source| {
            let level = &self.levels[k];
            EngineError::Hypergradient {
                level: level.name.into(),
                through: response.failed().map_or(level.name, |failed| self.levels[failed].name).into(),
                step: level.steps + 1,
                source: Box::new(source),
            }
        })
    }

    /// The loss of level `k` as a function of what it reads of the levels below, if one of them needs it; `direct` is its
    /// derivative there.
    fn upper_loss(
        &mut self,
        k: usize,
        batch: &AnyBatch,
        seed: u64,
        direct: &Blocks,
    ) -> Result<Option<Rc<UpperLoss>>, EngineError> {
        let spec = &P::SCHEDULE.levels[k];
        let needs_loss = |level: &usize| self.levels[*level].trajectory.as_ref().is_some_and(Record::needs_loss);
        let stops: Vec<usize> = spec.sweep.iter().map(|stop| stop.level).filter(needs_loss).collect();
        if stops.is_empty() {
            return Ok(None);
        }
        let loss = self.losses.get_mut(k, batch);
        let program = loss.gradient(&[]).map_err(|source| EngineError::Graph { level: spec.name.into(), source })?;
        let inputs = gather(loss, &self.levels, batch);
        let places = stops.into_iter().map(|stop| (stop, self.places(k, batch, stop).collect())).collect();
        Ok(Some(Rc::new(UpperLoss { program, inputs, seed, places, direct: direct.clone() })))
    }

    /// Which parameters of level `of` are inputs of the loss of level `k`, and where they stand among them.
    fn places(&self, k: usize, batch: &AnyBatch, of: usize) -> impl Iterator<Item = (usize, usize)> + use<'_, P> {
        let inputs = &self.losses.get(k, batch).trace().inputs;
        let at =
            move |leaf| inputs.iter().position(|&(source, _)| source == LossInput::Leaf { level: of, index: leaf });
        let parameters = self.levels[of].trainable.iter().enumerate();
        parameters.filter_map(move |(index, &leaf)| Some((index, at(leaf)?)))
    }

    /// Where the parameters of level `k` stand among the inputs of its loss, and among those of its Lagrangian.
    fn own_positions(&self, k: usize, batch: &AnyBatch, site: &Site) -> Rc<[(usize, usize)]> {
        let loss = self.losses.get(k, batch);
        let curvature = site.curvature.borrow();
        let at_site: Vec<Input> = curvature.lagrangian().inputs().map(|(input, _)| input).collect();
        let at_loss =
            |index| loss.trace().inputs.iter().position(|&(source, _)| source == LossInput::Leaf { level: k, index });
        let at_site = |index| at_site.iter().position(|&input| input == Input::Leaf { level: k, index });
        self.levels[k].trainable.iter().filter_map(|&index| Some((at_loss(index)?, at_site(index)?))).collect()
    }
}

/// The total gradient of a level, with numbers that have not been read yet.
pub(super) struct Found {
    pub(super) gradient: Vector,
    /// The level's running statistics after its forward pass: which of its leaves, and the value.
    pub(super) statistics: Vec<(usize, Value)>,
    /// What the gradient depends on.
    pub(super) reads: Rc<Reads>,
    pub(super) numbers: Numbers,
}

/// A loss with its direct derivatives.
struct Derivative {
    /// In the level's own parameters.
    own: Vector,
    /// In the parameters of levels below.
    below: Blocks,
    /// The level's running statistics after the forward pass.
    statistics: Vec<(usize, Value)>,
    /// What the loss depends on.
    reads: Reads,
    numbers: Numbers,
}

/// What has been gathered for one hypergradient.
#[derive(Default)]
pub(super) struct Context {
    grounds: BTreeMap<usize, Ground>,
    multipliers: Blocks,
    /// The loss that the hypergradient belongs to, where values of it are needed.
    loss: Option<Rc<UpperLoss>>,
    sites: Vec<Site>,
    /// The stop whose tangents go along with the steps of all others.
    pub(super) leader: Option<usize>,
    /// The stops whose steps are gone through together.
    pub(super) together: Vec<usize>,
    /// What the losses depend on that it goes through.
    reads: Reads,
    pub(super) response: Response,
}

impl Context {
    /// The current value of an input of a Lagrangian.
    fn value(&self, input: Input, like: &Node, levels: &[Level]) -> Value {
        match input {
            Input::Leaf { level, index } => levels[level].leaves[index].clone(),
            Input::Constant { level, index } => levels[level].constants[index].clone(),
            Input::Batch { level, index } => match &self.grounds[&level] {
                Ground::Loss { batch, .. } => batch.values()[index].clone(),
                Ground::Steps(_) => unreachable!("steps have batches of their own"),
            },
            Input::Step { level, step, of } => {
                let steps = self.grounds[&level].steps().expect("steps are what this level is differentiated on");
                steps.value(step, of, like)
            }
            Input::Draw { level, draw, distribution } => Value::draw(
                &like.shape,
                like.dtype,
                distribution,
                self.grounds[&level].seed(),
                draw,
                &levels[level].device(),
            ),
            Input::Multiplier { of, index, part } => {
                let multiplier = self.multipliers.get(Variable::Multiplier { of, index });
                multiplier.expect("a stop comes after its own stops").0[part].clone()
            }
        }
    }
}

/// A forward pass moves the running statistics of its own level only.
fn own_statistics(k: usize, advances: Vec<(LossInput, Value)>) -> Vec<(usize, Value)> {
    let own = advances.into_iter().filter_map(|(source, value)| match source {
        LossInput::Leaf { level, index } if level == k => Some((index, value)),
        _ => None,
    });
    own.collect()
}
