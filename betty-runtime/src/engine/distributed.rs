//! One run on several ranks: the same program everywhere, each with its share of every batch.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use super::multilevel::Multilevel;
use super::run::Run;
use super::train::Engine;
use crate::config::ProgramConfig;
use crate::distributed::{Collective, DistributedError, Ranks, Split};
use crate::error::EngineError;
use crate::execute::Value;
use crate::program::Level;

/// After so many iterations ranks make sure that their parameters are the same.
const EVERY: u64 = 100;

impl<P: Multilevel> Engine<P> {
    /// Runs the program together with the other ranks of `collective`, each of which has made an engine of the same program, with
    /// the same config, on data of its own: batches of one step are shares of one batch, and every gradient and hypergradient is
    /// that of the whole, whatever the method and the depth. Parameters become those of rank 0.
    ///
    /// All ranks ask the same questions in the same order. Where one fails, all get the same error. Losses in events and reports are
    /// those of the whole batch, metrics the means of those that ranks have, by examples, which is the metric of the whole batch where
    /// that is a mean over examples, and not where it is a count or an extreme. A [validation](Self::validate) is the mean of what
    /// ranks answer, a run ends on all ranks when one of them is asked to end it, and only rank 0 logs, shows progress and writes
    /// checkpoints.
    ///
    /// A share weighs as much as it has examples. What is a mean over examples on shares is one on all of them; that is put to
    /// the test on the first batch of every kind, and on the 100th, the 1000th and so on, and a loss that is none there is refused. Dropout masks are each rank's own. A
    /// [solver of your own](crate::Solver) sees the batch of its rank; all ranks take the answer of rank 0, at which the gradient
    /// of the whole has to vanish.
    ///
    /// ```
    /// use betty_runtime::distributed::{Collective, Threads};
    /// use betty_runtime::{Engine, EngineError, Stream, multilevel};
    /// use burn::module::Param;
    /// use burn::tensor::{Device, Tensor};
    ///
    /// type Point = Param<Tensor<1>>;
    ///
    /// fn fit(x: &Point, y: &Point, rows: Tensor<2>) -> Tensor<1> {
    ///     (rows - (x.val() * y.val()).unsqueeze()).square().mean()
    /// }
    ///
    /// fn judge(_y: &Point, x: &Point, rows: Tensor<2>) -> Tensor<1> {
    ///     (rows - x.val().unsqueeze()).square().mean()
    /// }
    ///
    /// multilevel! {
    ///     struct Pair;
    ///     level y: Point { lower: [x], batch: Tensor<2>, loss: judge, optimizer: sgd(lr = 0.1) }
    ///     level x: Point { upper: [y], batch: Tensor<2>, loss: fit, optimizer: sgd(lr = 0.1), hypergradient: cg }
    /// }
    ///
    /// let found = Threads::run(2, |rank| {
    ///     let point = |at: f32| Param::from_tensor(Tensor::<1>::from_floats([at], &Device::flex()));
    ///     let rows = |number: usize| Tensor::full([3, 1], number as f32, &Device::flex());
    ///     let (own, other) = (Stream::constant(rows(rank.rank())), Stream::constant(rows(rank.rank() + 1)));
    ///     let data = PairData { y: own, x: other };
    ///     let mut engine = Engine::new(Pair { y: point(0.5), x: point(1.0) }, data, PairConfig::default())?
    ///         .distributed(rank)?;
    ///     engine.run(20)?;
    ///     Ok::<f32, EngineError>(engine.problem().x.val().into_scalar())
    /// });
    /// assert_eq!(found[0].as_ref().ok(), found[1].as_ref().ok());
    /// ```
    ///
    /// # Errors
    /// [`EngineError::Distributed`] when ranks do not run the same program with the same config, one does not answer, or an engine
    /// has [resumed](Self::resume), run, or answered a question before.
    pub fn distributed(mut self, collective: impl Collective + 'static) -> Result<Self, EngineError> {
        let ranks = Rc::new(Ranks::new(collective));
        if ranks.size() > 1 {
            let config = hash_of(&self.config.to_json()?);
            self.run.connect(&ranks, config)?;
            if let Some(validation) = &self.validation {
                validation.borrow_mut().ranks = Some(ranks);
            }
        }
        Ok(self)
    }

    /// Says that the batches of a level are the same on all ranks, so that none is a share of a larger one: for losses that are no
    /// means over examples. That they are is looked at where a loss on shares would be [compared](Self::distributed). Levels whose batches hold no tensor need not be named.
    ///
    /// # Errors
    /// [`EngineError::UnknownLevel`] when there is no level of this name, and [`DistributedError::Late`] when the engine has resumed,
    /// run, or answered a question before: batches that it has looked at are shares, and losses are recorded for those.
    pub fn replicated(mut self, level: &str) -> Result<Self, EngineError> {
        let level = self.run.program.level(level)?;
        if self.run.has_begun {
            return Err(DistributedError::Late.into());
        }
        self.run.data.replicated[level] = true;
        Ok(self)
    }

    /// Does work together with all other ranks, if there are any, which do the same: what fails on one fails on all.
    pub(super) fn on_all_ranks<T>(
        &mut self,
        what: &str,
        work: impl FnOnce(&mut Self) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let edited = self.check_edited();
        let Some(ranks) = self.run.ranks() else {
            edited?;
            self.run.has_begun = true;
            return work(self);
        };
        self.run.has_begun = true;
        let is_edited = ranks.begin_with(self.run.topic(what), self.run.edited)?;
        // One rank alone may have an edit, or one that failed.
        let is_alike = edited.and_then(|()| if is_edited { self.run.check_edits(&ranks) } else { Ok(()) });
        let can_work = is_alike.and_then(|()| self.run.check_streams(&mut self.problem));
        let outcome = can_work.and_then(|()| work(self));
        ranks.end(outcome)
    }
}

impl<P: Multilevel> Engine<P> {
    /// What the first of several ranks says of something that it alone has seen.
    pub(crate) fn of_first(&self, what: &str, mine: Vec<u8>) -> Result<Vec<u8>, EngineError> {
        let Some(ranks) = self.run.ranks() else { return Ok(mine) };
        ranks.begin(self.run.topic(what))?;
        let all = ranks.gather(&mine).map_err(EngineError::from);
        Ok(ranks.end(all)?.swap_remove(0))
    }
}

impl Run {
    /// All that run the program together, if there are others.
    pub(super) fn ranks(&self) -> Option<Rc<Ranks>> {
        self.ranks.clone()
    }

    /// Whether this is the rank that speaks and writes for all.
    pub(super) fn is_first(&self) -> bool {
        self.ranks.as_ref().is_none_or(|ranks| ranks.rank() == 0)
    }

    /// Becomes one of several ranks, with the parameters of the first.
    fn connect(&mut self, ranks: &Rc<Ranks>, config: u64) -> Result<(), EngineError> {
        ranks.begin("`Engine::distributed`".to_owned())?;
        let connected = self.agree(ranks, config);
        ranks.end(connected)?;
        self.ranks = Some(Rc::clone(ranks));
        self.check_split(self.split)?;
        self.divide();
        self.watch.is_silent = ranks.rank() > 0;
        (self.stale, self.compared) = (true, None);
        Ok(())
    }

    fn agree(&mut self, ranks: &Ranks, config: u64) -> Result<(), EngineError> {
        // What was recorded, drawn or restored by one rank alone is no share of anything.
        if self.has_begun {
            return Err(DistributedError::Late.into());
        }
        ranks.check_same("program", self.outline())?;
        ranks.check_same("config", config)?;
        self.check_constants(ranks)?;
        self.program.levels.iter_mut().try_for_each(|level| adopt(ranks, level))
    }

    /// Makes sure that what ranks have edited since they worked together last is the same on all of them.
    fn check_edits(&mut self, ranks: &Ranks) -> Result<(), EngineError> {
        if !self.edited {
            // What others have in doubt, all have.
            self.program.losses.recheck();
        }
        ranks.check_same("program", self.outline())?;
        self.check_constants(ranks)?;
        self.check_same()?;
        self.edited = false;
        Ok(())
    }

    fn check_constants(&self, ranks: &Ranks) -> Result<(), EngineError> {
        let all = self.program.levels.iter().map(|level| hash_of_values(&level.constants));
        Ok(ranks.check_same("constant tensors", hash_of(&all.collect::<Result<Vec<_>, _>>()?))?)
    }

    /// The names of all levels and tensors, with what tensors look like and which are trained.
    fn outline(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.program.schedule.name.hash(&mut hasher);
        for level in &self.program.levels {
            (level.name, &level.paths, &level.trainable).hash(&mut hasher);
            level.leaves.iter().for_each(|leaf| (leaf.shape(), leaf.dtype()).hash(&mut hasher));
        }
        hasher.finish()
    }

    /// What is asked where, as all ranks must agree on it.
    fn topic(&self, what: &str) -> String {
        let replicated = self.data.replicated.iter().enumerate().filter(|(_, replicated)| **replicated);
        let replicated: Vec<&str> = replicated.map(|(level, _)| self.program.levels[level].name).collect();
        let parts = if self.program.tells_parts { ", with parts of gradients" } else { "" };
        let split = match self.split {
            Split::Examples if self.program.syncs_last => ", put together at the end".to_owned(),
            Split::Examples => String::new(),
            split => format!(", split by {}", split.name()),
        };
        let (iterations, seed) = (self.iterations, self.data.seed);
        format!("a {what} (iteration {iterations}, seed {seed}, replicated {replicated:?}{split}{parts})")
    }

    /// As [`check_observers`](Self::check_observers), after work that all ranks have done together: an observer may hear on one of
    /// them only.
    pub(super) fn check_observers_of_all(&mut self) -> Result<(), EngineError> {
        let own = self.check_observers();
        let Some(ranks) = self.ranks() else { return own };
        ranks.begin(self.topic("look at observers"))?;
        ranks.end(own)
    }

    /// Whether one of several things holds on any rank.
    pub(super) fn on_any<const N: usize>(&self, mine: [bool; N]) -> Result<[bool; N], DistributedError> {
        let Some(ranks) = &self.ranks else { return Ok(mine) };
        let bits = mine.iter().enumerate().map(|(place, &holds)| u64::from(holds) << place).sum();
        let all = ranks.numbers_of("whether to go on", bits)?.into_iter().fold(0, |all, bits| all | bits);
        Ok(std::array::from_fn(|place| all >> place & 1 == 1))
    }

    /// Why the run ends, as the first rank says that has something to say.
    pub(super) fn reason_of_any(&self, mine: Option<String>) -> Result<Option<String>, DistributedError> {
        let Some(ranks) = &self.ranks else { return Ok(mine) };
        let all = ranks.gather(mine.as_deref().unwrap_or_default().as_bytes())?;
        let said = all.into_iter().find(|reason| !reason.is_empty());
        Ok(said.map(|reason| String::from_utf8_lossy(&reason).into_owned()))
    }

    /// Makes sure, every so often, that parameters are the same on all ranks.
    pub(super) fn check_ranks(&mut self) -> Result<(), EngineError> {
        if self.iterations.is_multiple_of(EVERY) { self.check_same() } else { Ok(()) }
    }

    /// Makes sure of it at the end of a run, unless that was done a short while ago, as in a loop of short runs.
    pub(super) fn check_at_end(&mut self) -> Result<(), EngineError> {
        let is_due = |compared: u64| self.iterations.saturating_sub(compared) >= compared.clamp(1, EVERY);
        if self.compared.is_none_or(is_due) { self.check_same() } else { Ok(()) }
    }

    /// Makes sure that parameters are the same on all ranks.
    fn check_same(&mut self) -> Result<(), EngineError> {
        let Some(ranks) = &self.ranks else { return Ok(()) };
        let mut hasher = DefaultHasher::new();
        for level in &self.program.levels {
            hash_of_values(&level.leaves)?.hash(&mut hasher);
        }
        ranks.check_same("parameters", hasher.finish())?;
        self.compared = Some(self.iterations);
        Ok(())
    }
}

/// Gives all ranks the tensors of the first.
fn adopt(ranks: &Ranks, level: &mut Level) -> Result<(), EngineError> {
    ranks.adopt(&mut level.leaves)?;
    if ranks.rank() > 0 && !level.initial.is_empty() {
        level.initial.clone_from(&level.leaves);
    }
    Ok(())
}

fn hash_of(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

fn hash_of_values(values: &[Value]) -> Result<u64, EngineError> {
    let mut hasher = DefaultHasher::new();
    for value in values {
        value.to_data()?.as_bytes().hash(&mut hasher);
    }
    Ok(hasher.finish())
}
