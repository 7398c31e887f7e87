//! Tasks divided among ranks: which this one takes, and what those of all ranks come to together, once a step.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::gathered::Gathered;
use super::host::Host;
use super::run::{Below, Run};
use crate::distributed::{DistributedError, Ranks};
use crate::error::{EngineError, ShardError};
use crate::event::about;
use crate::execute::Unread;
use crate::program::{Level, Metrics, Use};
use crate::steps::mean;

/// What a rank tells of its tasks. Numbers are told by their bits, so that none is lost.
#[derive(Serialize, Deserialize)]
struct Told {
    /// Its part of the mean loss.
    loss: u64,
    /// Which parameters its gradient depends on.
    reads: Vec<bool>,
    metrics: Vec<(String, u64, usize)>,
    /// Where its last task has left the levels below.
    below: Vec<Left>,
}

/// Where a task has left a level, besides its tensors.
#[derive(Serialize, Deserialize)]
struct Left {
    loss: Option<u64>,
    metrics: Vec<(String, u64)>,
    rests: Vec<u64>,
}

/// Why a rank has nothing to tell.
#[derive(Clone, Serialize, Deserialize)]
struct Failed {
    message: String,
    /// Whether that is because a batch did not come.
    is_of_data: bool,
    /// Which rule of health and which level it is about, if it is.
    ill: Option<(String, String)>,
}

impl Run {
    /// The ranks that take whole tasks of level `k` each, if it is so.
    pub(super) fn takers(&self, k: usize) -> Option<Rc<Ranks>> {
        self.program.takers.clone().filter(|_| self.program.schedule.roots == [k])
    }

    /// The numbers of the tasks of level `k` that are taken here.
    pub(super) fn own_tasks(&self, k: usize) -> Vec<usize> {
        let (first, step) = self.takers(k).map_or((0, 1), |ranks| (ranks.rank(), ranks.size()));
        (first..self.program.levels[k].config.tasks).step_by(step).collect()
    }

    /// Lets the batches go by with which somebody else evaluates the gradients of level `k` for one task.
    pub(super) fn pass_evaluation(&mut self, host: &mut dyn Host, k: usize) -> Result<(), EngineError> {
        let of = if self.program.levels[k].trajectory.is_some() { Use::Derivative } else { Use::Value };
        let mut last = Vec::new();
        for _ in 0..self.program.levels[k].config.accumulate {
            let own = self.draw(host, k)?;
            let stops = self.program.solved_stops(k, of);
            let sample = self.sample_below(host, own, stops, Below::Configured)?;
            last.push(sample.own);
        }
        self.program.levels[k].last = last;
        Ok(())
    }

    /// Makes the mean over the tasks of all ranks of what was gathered for those of this one, and lets the levels below stand where
    /// the last of all tasks has left them. What fails on one rank fails on all.
    pub(super) fn join_tasks(
        &mut self,
        k: usize,
        ranks: &Ranks,
        gathered: Result<Gathered, EngineError>,
    ) -> Result<Gathered, EngineError> {
        let (mut gathered, all) = self.exchange(k, ranks, gathered)?;
        ranks.sum(&mut gathered.gradients, &mut [])?;
        let [square] = Unread::read([Unread::square_norm(&gathered.gradients[0])])?;
        gathered.norm = square.first().map_or(f64::NAN, |square| square.sqrt());
        gathered.loss = all.iter().map(|told| f64::from_bits(told.loss)).sum();
        gathered.metrics = Metrics::of_all(all.iter().flat_map(|told| &told.metrics));
        all.iter().for_each(|told| gathered.reads.include(k, &told.reads));
        let last = (self.program.levels[k].config.tasks - 1) % ranks.size();
        let Run { program, losses, .. } = self;
        let tensors = program.levels.iter_mut().filter(|level| level.number != k);
        ranks.adopt_from(last, tensors.flat_map(|level| level.leaves.iter_mut().chain(&mut level.states)))?;
        for (level, left) in program.levels.iter_mut().filter(|level| level.number != k).zip(&all[last].below) {
            losses[level.number] = left.loss.map(f64::from_bits);
            level.stand_left(left);
        }
        Ok(gathered)
    }

    /// What each rank tells of its tasks, with this one's part of the mean.
    fn exchange(
        &mut self,
        k: usize,
        ranks: &Ranks,
        gathered: Result<Gathered, EngineError>,
    ) -> Result<(Gathered, Vec<Told>), EngineError> {
        let gathered = gathered.and_then(|gathered| self.own_part(k, gathered));
        let told: Result<Told, Failed> = match &gathered {
            Ok(gathered) => Ok(self.tell_of_tasks(k, gathered)),
            Err(error) => Err(Failed { message: error.to_string(), is_of_data: self.data.failed, ill: about(error) }),
        };
        let unreadable = |error: serde_json::Error| DistributedError::Read { reason: error.to_string() };
        let all = ranks.gather(&serde_json::to_vec(&told).map_err(unreadable)?)?;
        let all = all.iter().map(|bytes| serde_json::from_slice::<Result<Told, Failed>>(bytes).map_err(unreadable));
        let all = all.collect::<Result<Vec<_>, _>>()?;
        let failed = |(rank, told): (usize, &Result<Told, Failed>)| Some((rank, told.as_ref().err()?.clone()));
        let failures: Vec<(usize, Failed)> = all.iter().enumerate().filter_map(failed).collect();
        self.data.failed = failures.iter().any(|(_, failed)| failed.is_of_data);
        let is_everywhere = failures.len() == all.len();
        match (gathered, failures.into_iter().next()) {
            (Ok(gathered), None) => Ok((gathered, all.into_iter().flatten().collect())),
            // The same error on each, or one of its own.
            (Err(error), _) if is_everywhere => Err(error),
            (_, Some((rank, Failed { message, ill, .. }))) => {
                self.ill = ill;
                Err(ranks.fails(DistributedError::OnRank { rank, message }).into())
            }
            (Err(error), None) => Err(error),
        }
    }

    /// What the tasks that were taken here are of the mean over all.
    fn own_part(&self, k: usize, gathered: Gathered) -> Result<Gathered, EngineError> {
        let level = &self.program.levels[k];
        if !gathered.statistics.is_empty() {
            let reason = format!(
                "running statistics of level `{}` go on from one task to the next; let them stand still by `nn::inference`, or \
                 split the work by examples",
                level.name
            );
            return Err(ShardError::NotSplit { split: "tasks", reason }.into());
        }
        let part = self.own_tasks(k).len() as f64 / level.config.tasks as f64;
        let Gathered { loss, gradients, .. } = gathered;
        let count = gradients.len();
        let mut gradient = mean(gradients.into_iter(), count);
        gradient.scale(part);
        Ok(Gathered { loss: part * loss / count as f64, gradients: vec![gradient], ..gathered })
    }

    fn tell_of_tasks(&self, k: usize, gathered: &Gathered) -> Told {
        let levels = &self.program.levels;
        let left = |level: &Level| Left {
            loss: self.losses[level.number].map(f64::to_bits),
            metrics: level.metrics.iter().map(|(name, value)| (name.to_string(), value.to_bits())).collect(),
            rests: level.rests.clone(),
        };
        Told {
            loss: gathered.loss.to_bits(),
            reads: gathered.reads.level(k, levels[k].trainable.len()),
            metrics: gathered.metrics.told(),
            below: levels.iter().filter(|level| level.number != k).map(left).collect(),
        }
    }
}

impl Level {
    /// Stands where a task has left it, on whatever rank. The steps to there are kept on none, as they would be on one only.
    fn stand_left(&mut self, Left { metrics, rests, .. }: &Left) {
        let metric = |(name, bits): &(String, u64)| (name.as_str().into(), f64::from_bits(*bits));
        self.metrics = metrics.iter().map(metric).collect();
        self.rests.clone_from(rests);
        if let Some(steps) = &self.trajectory {
            steps.forget();
        }
    }
}
