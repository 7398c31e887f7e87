//! A program inside a training loop of somebody else's: gradients of its levels, one at a time.

mod answer;

use std::collections::BTreeMap;

pub use self::answer::{LevelGradient, Solve, Statistics};
use crate::config::{HypergradientConfig, LowerBatch, ProgramConfig};
use crate::data::BatchStream;
use crate::engine::{Multilevel, next_of, own, seed_of};
use crate::error::{EngineError, StepsError};
use crate::event::{log, tell};
use crate::panic::caught;
use crate::program::{Found, Lent, Program, Sample, Seeded, Told, Use};

/// The gradients of a program's levels, for a training loop of your own.
///
/// Whoever trains with Burn keeps their loop, and asks for what it lacks: the [`total`](Self::total) gradient of a level, through
/// the best responses of the levels below. The answer is a Burn [`GradientsParams`](burn::optim::GradientsParams), which any
/// optimizer of `burn-optim` takes.
///
/// The modules are those of the loop, as they are at the call. Between two calls nothing of them is held; what is kept are the
/// recorded and compiled losses, one for each kind of batch, compared with Burn's autodiff once, and the solutions of methods
/// with `warm_start`. Where a module changes in what is neither a parameter nor a running statistic, say so:
/// [`modules_changed`](Self::modules_changed).
///
/// # What the loop decides
/// The loop takes the steps. So `optimizer`, `clip`, `project`, `unroll`, `warmup`, `start`, `accumulate`, `tasks`, `rounds` and
/// `vectorize` say nothing here: they are about the steps of an [`Engine`](crate::Engine). A level is differentiated as one that
/// has been solved, by the conditions that its parameters then meet. One of them is about where steps come to rest: if the loop's
/// optimizer has a `weight_decay`, the program's says the same. Methods that go through its steps (`unrolled`, `forward`,
/// `forward_gradient`, `evolution`), or look at the next step of its optimizer (`sama`), are refused.
///
/// # Example
/// A plain Burn loop that learns which examples to trust, by the lines that say "new".
///
/// ```
/// use betty_runtime::{Hypergradient, multilevel};
/// use burn::module::Param;
/// use burn::nn::{Linear, LinearConfig};
/// use burn::optim::{AdamConfig, GradientsParams, SgdConfig};
/// use burn::tensor::{Device, Int, Tensor, activation::sigmoid};
///
/// type Examples = (Tensor<2>, Tensor<2>);
/// type Logits = Param<Tensor<1>>;
///
/// fn weighted(model: &Linear, logits: &Logits, (x, y): Examples) -> Tensor<1> {
///     (sigmoid(logits.val()).reshape([64, 1]) * (model.forward(x) - y).square()).mean()
/// }
///
/// fn clean(_logits: &Logits, model: &Linear, (x, y): Examples) -> Tensor<1> {
///     (model.forward(x) - y).square().mean()
/// }
///
/// multilevel! {
///     pub struct Reweighting;
///
///     level logits: Logits { lower: [model], batch: Examples, loss: clean, optimizer: adam(lr = 0.1) }
///     level model: Linear {
///         upper: [logits], batch: Examples, loss: weighted, optimizer: sgd(lr = 0.1),
///         hypergradient: cg(iterations = 10, damping = 1e-3),
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let device = Device::flex().autodiff();
/// let numbers = |count: i64| Tensor::<1, Int>::arange(0..count, &device).float();
/// let x = numbers(192).reshape([64, 3]).sin();
/// let y = x.clone().sum_dim(1);
/// let noise = (numbers(32) * 2.0).cos().reshape([32, 1]) * 4.0;
/// let noisy = (x.clone(), y.clone().slice_assign([0..32, 0..1], noise));
/// let held_out = (x.slice(32..64), y.slice(32..64));
///
/// let mut all = Reweighting {
///     logits: Param::from_tensor(Tensor::zeros([64], &device)),
///     model: LinearConfig::new(3, 1).init(&device),
/// };
/// let mut optimizer = SgdConfig::new().init();
/// let mut upper_optimizer = AdamConfig::new().init(); // new
/// let mut hypergradient = Hypergradient::new(&all, ReweightingConfig::default())?; // new
/// for _ in 0..50 {
///     for _ in 0..5 {
///         let loss = weighted(&all.model, &all.logits, noisy.clone());
///         let gradients = GradientsParams::from_grads(loss.backward(), &all.model);
///         all.model = optimizer.step(0.1, all.model, gradients);
///     }
///     let data = ReweightingData { logits: held_out.clone().into(), model: noisy.clone().into() }; // new
///     let upper = hypergradient.total("logits", &all, data)?; // new
///     all.logits = upper_optimizer.step(0.1, all.logits, upper.gradient); // new
/// }
/// let weights: Vec<f32> = sigmoid(all.logits.val()).into_data().try_to_vec()?;
/// // Low for the noise in the first half, high for the rest.
/// assert!(weights[..32].iter().sum::<f32>() < weights[32..].iter().sum::<f32>());
/// # Ok(())
/// # }
/// ```
///
/// # With `burn-train`
/// A `TrainStep` answers with a `TrainOutput`, whose `grads` are a `GradientsParams`; a [`LevelGradient::gradient`] can be put
/// there as it is. The book's recipe *Hypergradients in a loop of your own* has a whole one.
pub struct Hypergradient<P: Multilevel> {
    lent: Lent,
    config: P::Config,
    seed: u64,
    /// What decides the random draws in losses, which goes back where a question fails.
    drawn: Drawn,
}

/// What has been drawn for each level.
#[derive(Clone)]
struct Drawn {
    /// How many batches it has been given.
    batches: Vec<u64>,
    /// The seed of its own last gradient.
    last: Vec<Option<u64>>,
}

impl<P: Multilevel> Hypergradient<P> {
    /// Prepares a program for being asked: checks its numbers, the devices, what is trainable, and its methods.
    ///
    /// # Errors
    /// [`EngineError`] as [`Engine::new`](crate::Engine::new), and [`StepsError::Elsewhere`] for a method that needs the
    /// steps of a level.
    pub fn new(program: &P, config: P::Config) -> Result<Self, EngineError> {
        config.validate(&P::SCHEDULE)?;
        for (spec, level) in P::SCHEDULE.levels.iter().zip(config.levels()) {
            let method = level.hypergradient.as_ref();
            let needs = match method {
                Some(method) if method.goes_through_steps() => "the steps that the level has taken",
                Some(method) if method.looks_at_next_step() => "the states of the level's optimizer",
                _ => continue,
            };
            let method = method.map_or("", HypergradientConfig::name);
            return Err(StepsError::Elsewhere { level: spec.name.into(), method, needs }.into());
        }
        let count = P::SCHEDULE.levels.len();
        Ok(Hypergradient {
            lent: Lent::new(made_of(program, &config)?, &program.modules()),
            config,
            seed: 0,
            drawn: Drawn { batches: vec![0; count], last: vec![None; count] },
        })
    }

    /// Decides every random draw inside the losses (dropout masks, noise), together with how many gradients have been asked
    /// for; 0 by default. A loop that goes on from a file of its own gives another one.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// As [`Engine::verification`](crate::Engine::verification).
    #[must_use]
    pub fn verification(mut self, verify: bool) -> Self {
        self.lent.program.losses.verify.on = verify;
        self
    }

    /// As [`Engine::verification_memory`](crate::Engine::verification_memory).
    #[must_use]
    pub fn verification_memory(mut self, bytes: usize) -> Self {
        self.lent.program.losses.verify.memory = crate::derivatives::Memory(Some(bytes));
        self
    }

    /// As [`Engine::allow_unverified`](crate::Engine::allow_unverified).
    #[must_use]
    pub fn allow_unverified(mut self, allow: bool) -> Self {
        self.lent.program.losses.verify.unchecked_allowed = allow;
        self
    }

    /// As [`Engine::unread`](crate::Engine::unread).
    ///
    /// # Errors
    /// As there.
    pub fn unread(mut self, level: &str, other: &str) -> Result<Self, EngineError> {
        self.lent.program.allow_unread(level, other)?;
        Ok(self)
    }

    /// As [`Engine::trace_memory`](crate::Engine::trace_memory).
    #[must_use]
    pub fn trace_memory(mut self, bytes: usize) -> Self {
        self.lent.program.losses.bound.bytes = bytes;
        self
    }

    /// Says that something about a module has changed that is neither a parameter nor a running statistic: a setting such as a
    /// dropout rate, or a tensor in a plain field. Every loss is recorded again before its next use, and what was compiled of it
    /// is kept if it has stayed the same.
    pub fn modules_changed(&mut self) {
        self.lent.set_changed();
    }

    /// The direct gradient of a level: of its loss in its own parameters, with everything else as it is. On the first batch of
    /// the level's stream; the others are not looked at.
    ///
    /// # Errors
    /// [`EngineError`] where a loss cannot be recorded, its gradient is not Burn's, a number is not finite, or the modules could
    /// not be those of a new program.
    pub fn direct(&mut self, level: &str, program: &P, data: P::Data) -> Result<LevelGradient, EngineError> {
        self.ask(level, program, data, |asked, k, program, streams| {
            let seeded = asked.next(k, program, streams)?;
            asked.drawn.last[k] = Some(seeded.1);
            asked.lent.program.record(program, k, &seeded)?;
            asked.lent.program.find_direct(k, &seeded)
        })
    }

    /// The total gradient of a level: direct, and through the best responses of the levels below, by the methods of the program.
    /// On the first batch of the level's stream, and of the streams of the levels that it passes through.
    ///
    /// Dropout and other draws below are those of the level's last gradient, where one was asked for and its method does not say
    /// `batch = fresh`.
    ///
    /// # Errors
    /// As [`direct`](Self::direct), and where a method fails.
    pub fn total(&mut self, level: &str, program: &P, data: P::Data) -> Result<LevelGradient, EngineError> {
        self.ask(level, program, data, |asked, k, program, streams| {
            let own = asked.next(k, program, streams)?;
            asked.drawn.last[k] = Some(own.1);
            let passings = asked.lent.program.passings(k, Use::Value)?;
            let mut sample = Sample { own, below: BTreeMap::new() };
            for stop in passings.solved() {
                sample.below.insert(stop, vec![asked.next_below(stop, program, streams)?]);
            }
            asked.lent.program.prepare(program, k, &sample, &passings)?;
            asked.lent.program.find_gradient(k, &sample, passings)
        })
    }

    /// Answers a question about a level with the modules as they are now. One that fails leaves no trace.
    fn ask(
        &mut self,
        level: &str,
        program: &P,
        data: P::Data,
        question: impl FnOnce(&mut Self, usize, &P, &mut [Box<dyn BatchStream>]) -> Result<Found, EngineError>,
    ) -> Result<LevelGradient, EngineError> {
        let k = self.lent.program.level(level)?;
        let (modules, mut streams) = (program.modules(), P::streams(data));
        let before = self.drawn.clone();
        let taken = self.lent.take(&modules, || made_of(program, &self.config));
        let asked = caught(|| {
            taken?;
            let found = question(self, k, program, &mut streams)?;
            let Found { gradient, statistics, reads, numbers, reports, solutions } = found;
            let asked = &self.lent.program;
            let Told { loss, metrics, norm, .. } = asked.read_numbers(k, numbers)?;
            let level = &asked.levels[k];
            let is_read = reads.level(k, gradient.0.len());
            let parameters = level.trainable.iter().copied().zip(gradient.0).zip(is_read);
            // What nothing reads has no gradient, as in Burn; an optimizer leaves it alone.
            let gradients = parameters.filter_map(|(parameter, is_read)| is_read.then_some(parameter)).collect();
            let answer = LevelGradient {
                loss,
                metrics,
                gradient: modules[k].gradients(gradients),
                norm,
                solves: reports.into_iter().map(|(stop, report)| Solve::new(asked.levels[stop].name, report)).collect(),
                statistics: Statistics::new(statistics, level),
            };
            Ok((answer, solutions))
        });
        let asked = self.lent.program.outcome(k, asked);
        for news in std::mem::take(&mut self.lent.program.losses.news) {
            tell(&news, &P::SCHEDULE.levels.iter().map(|spec| spec.name).collect::<Vec<_>>(), log);
        }
        self.lent.give_back();
        match asked {
            Ok((answer, solutions)) => {
                self.lent.program.start_from(solutions);
                self.lent.program.levels[k].steps += 1;
                Ok(answer)
            }
            Err(error) => {
                self.drawn = before;
                Err(error)
            }
        }
    }

    /// The next batch of a level, with a seed of its own.
    fn next(&mut self, k: usize, program: &P, streams: &mut [Box<dyn BatchStream>]) -> Result<Seeded, EngineError> {
        let taken = self.drawn.batches[k];
        let batch = next_of(&mut *streams[k], &self.lent.program.levels[k], taken, Some(program))?;
        self.drawn.batches[k] += 1;
        Ok((batch.into(), seed_of(self.seed, k, self.drawn.batches[k])))
    }

    /// The batch that a level below is differentiated on, with the seed of its last gradient or one of its own.
    fn next_below(
        &mut self,
        k: usize,
        program: &P,
        streams: &mut [Box<dyn BatchStream>],
    ) -> Result<Seeded, EngineError> {
        let method = self.lent.program.levels[k].config.hypergradient.as_ref();
        let is_last = method.map(HypergradientConfig::batch) == Some(LowerBatch::Last);
        match self.drawn.last[k].filter(|_| is_last) {
            Some(seed) => {
                let taken = self.drawn.batches[k].saturating_sub(1);
                Ok((next_of(&mut *streams[k], &self.lent.program.levels[k], taken, Some(program))?.into(), seed))
            }
            None => self.next(k, program, streams),
        }
    }
}

/// The program at its current modules.
fn made_of<P: Multilevel>(program: &P, config: &P::Config) -> Result<Program, EngineError> {
    Program::new(P::SCHEDULE, &program.modules(), &config.levels(), own::<P>(), program)
}
