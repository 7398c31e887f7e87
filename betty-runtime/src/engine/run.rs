//! The state of a run: a program at a point, its data, and who watches. Whatever the type of the program, it is the same.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::data::{Data, seed_of};
use super::host::{Host, Present};
use super::untold::{Known, Pending};
use super::watch::Watch;
use super::watched::Watched;
use crate::checkpoint::ValidationState;
use crate::config::{HypergradientConfig, LowerBatch};
use crate::distributed::{Ranks, Split};
use crate::error::EngineError;
use crate::event::{Event, LevelReport};
use crate::execute::mix;
use crate::hypergradient::{SolveReport, Unfinished};
use crate::program::{Level, Passings, Program, Sample, Seeded, Turns, Use};

/// A run.
pub(super) struct Run {
    pub(super) program: Program,
    /// The program's numbers, as JSON.
    pub(super) config: String,
    pub(super) data: Data,
    pub(super) watch: Watch,
    /// What was done that nobody has read yet.
    pub(super) pending: Option<Pending>,
    pub(super) watched: Watched,
    pub(super) turns: Turns,
    /// Which levels take steps that are undone after the coming step of a level above.
    pub(super) looks_ahead: Vec<bool>,
    pub(super) iterations: u64,
    /// Whether one is in hand.
    pub(super) within_iteration: bool,
    /// Whether anything was drawn, recorded or restored.
    pub(super) has_begun: bool,
    /// Where validation stands, if there is one.
    pub(super) validation: Option<Box<dyn Fn() -> ValidationState>>,
    /// The last loss of each level since somebody asked to note them.
    pub(super) losses: Vec<Option<f64>>,
    /// Whether the modules hold older values than the levels.
    pub(super) stale: bool,
    /// The iteration after which ranks last found that they have the same parameters, since these were given.
    pub(super) compared: Option<u64>,
    /// Whether the program was edited since ranks made sure that it is the same on all of them.
    pub(super) edited: bool,
    /// All that run the program together, if there are others.
    pub(super) ranks: Option<Rc<Ranks>>,
    /// What of the work each of them takes.
    pub(super) split: Split,
    /// Which rule and which level the error of another rank is about that all ranks have ended with.
    pub(super) ill: Option<(String, String)>,
    /// Whether ranks that have to draw the same batches were found to do so.
    pub(super) draws_alike: bool,
}

/// On which batches levels are differentiated that have taken a step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Below {
    /// As their configs say.
    Configured,
    /// On those of their last steps.
    Last,
}

impl Run {
    pub(super) fn new(program: Program, config: String, data: Data) -> Self {
        let count = program.levels.len();
        Run {
            turns: Turns::new(&program.schedule),
            program,
            config,
            data,
            watch: Watch::new(count),
            pending: None,
            watched: Watched::default(),
            looks_ahead: vec![false; count],
            iterations: 0,
            within_iteration: false,
            has_begun: false,
            validation: None,
            losses: vec![None; count],
            stale: false,
            compared: None,
            edited: false,
            ranks: None,
            split: Split::Examples,
            ill: None,
            draws_alike: false,
        }
    }

    /// The next batches for the total gradient of level `k`: its own, and those that levels below are differentiated on,
    /// of their last steps or fresh ones.
    pub(super) fn sample(&mut self, host: &mut dyn Host, k: usize, of: Use) -> Result<(Sample, Passings), EngineError> {
        let own = self.draw(host, k)?;
        let passings = self.program.passings(k, of)?;
        Ok((self.sample_below(host, own, passings.solved(), Below::Configured)?, passings))
    }

    /// A sample with batches for these levels below.
    pub(super) fn sample_below(
        &mut self,
        host: &mut dyn Host,
        own: Seeded,
        stops: Vec<usize>,
        below: Below,
    ) -> Result<Sample, EngineError> {
        let mut sample = Sample { own, below: BTreeMap::new() };
        for stop in stops {
            let level = &self.program.levels[stop];
            let batch = level.config.hypergradient.as_ref().map(HypergradientConfig::batch);
            let is_last = below == Below::Last || batch == Some(LowerBatch::Last);
            let batches = match &level.last {
                last if is_last && !last.is_empty() => last.clone(),
                _ => {
                    let (count, number) = (level.config.accumulate, self.program.last_number(stop));
                    (0..count).map(|_| self.draw_for(host, stop, number)).collect::<Result<_, _>>()?
                }
            };
            sample.below.insert(stop, batches);
        }
        Ok(sample)
    }

    /// The next batch of a level, for its coming step, with a seed of its own.
    pub(super) fn draw(&mut self, host: &mut dyn Host, k: usize) -> Result<Seeded, EngineError> {
        self.draw_for(host, k, self.program.coming_number(k))
    }

    /// The next batch of a level, for the step with this number, with a seed of its own.
    pub(super) fn draw_for(&mut self, host: &mut dyn Host, k: usize, step: u64) -> Result<Seeded, EngineError> {
        self.stale |= self.data.read_program(k);
        let (batch, seed) = self.data.next(host, &self.program.levels, k)?;
        Ok((batch.at_step(step), seed))
    }

    /// The seed of the parameters that level `k` starts at after so many turns: the same on all ranks, and none of those of batches.
    pub(super) fn start_seed(&self, k: usize, turns: u64) -> u64 {
        seed_of(mix(self.data.seed, u64::MAX), k, turns)
    }

    /// Tells everybody what happened.
    pub(super) fn emit(&mut self, host: &mut dyn Host, event: &Event<'_>) {
        let mut watch = std::mem::take(&mut self.watch);
        self.stale |= watch.emit(event, Present::new(host, self));
        self.watch = watch;
    }

    /// What the run has done to each level.
    pub(super) fn level_reports(&self) -> Vec<LevelReport> {
        let levels = self.program.levels.iter().zip(&self.losses);
        let report = |(level, &loss): (&Level, &Option<f64>)| LevelReport {
            name: level.name,
            steps: level.steps,
            loss,
            metrics: level.metrics.clone(),
        };
        levels.map(report).collect()
    }

    /// Tells what a hypergradient of level `k` took.
    pub(super) fn tell_solves(&mut self, host: &mut dyn Host, k: usize, reports: Vec<(usize, SolveReport)>) {
        self.say(host, Known::Solves { level: k, reports });
    }

    /// Tells now what a hypergradient of a step took.
    pub(super) fn tell_of_solves(&mut self, host: &mut dyn Host, k: usize, reports: Vec<(usize, SolveReport)>) {
        for (stop, report) in reports {
            self.watch.residuals.insert(stop, report.residual);
            self.tell_of_solve(host, (k, stop), &report, |watch| watch.unfinished.insert((k, stop)));
        }
    }

    /// The same of one that somebody asked for, which leaves no trace in what is known of the run: everything is told that there is.
    pub(super) fn tell_of_asked_solves(&mut self, host: &mut dyn Host, k: usize, reports: Vec<(usize, SolveReport)>) {
        for (stop, report) in reports {
            self.tell_of_solve(host, (k, stop), &report, |_| true);
        }
    }

    /// Tells of a solve below level `k`, and that it is unfinished, if that is news.
    fn tell_of_solve(
        &mut self,
        host: &mut dyn Host,
        (k, stop): (usize, usize),
        &SolveReport { products, residual, unfinished }: &SolveReport,
        is_news: impl FnOnce(&mut Watch) -> bool,
    ) {
        let (name, through) = (self.program.levels[k].name, self.program.levels[stop].name);
        self.emit(host, &Event::Hypergradient { level: k, name, through, products, residual });
        if let (Some(Unfinished { iterations, tolerance, is_used_up }), Some(residual)) = (unfinished, residual)
            && is_news(&mut self.watch)
        {
            self.emit(
                host,
                &Event::Unfinished { level: k, name, through, iterations, is_used_up, residual, tolerance },
            );
        }
    }
}
