//! What a level's training has to have in common with training that it is compared with, and that no engine does for it.

use betty_runtime::{AdaGradConfig, AdamConfig, AdamWConfig, LevelConfig, OptimizerConfig, RmsPropConfig, SgdConfig};

use crate::failure::Failure;

/// Refuses what a config asks for at a level that its rivals would be trained without: they have the numbers of `program`, the level
/// as it is written, but for its steps, and take what is asked for of its optimizer.
///
/// # Errors
/// [`Failure::NotShared`], and [`Failure::NoOptimizer`] where a solver takes its place.
pub fn check_shared(name: &'static str, asked: &LevelConfig, program: &LevelConfig) -> Result<(), Failure> {
    let own = [
        ("schedule", asked.schedule != program.schedule),
        ("groups", asked.groups != program.groups),
        ("clip", asked.clip != program.clip),
        ("project", asked.project != program.project),
        ("accumulate", asked.accumulate != program.accumulate),
        ("train", asked.train != program.train),
        ("freeze", asked.freeze != program.freeze),
        ("precision", asked.precision != program.precision),
    ];
    match own.into_iter().find(|(_, is_own)| *is_own) {
        Some((field, _)) => Err(Failure::NotShared { level: name, field }),
        None if asked.optimizer.is_none() => Err(Failure::NoOptimizer { level: name }),
        None => Ok(()),
    }
}

/// Refuses an optimizer that differs from that of the program in more than its learning rate, which is all that rivals take of it.
///
/// # Errors
/// [`Failure::NotShared`], and [`Failure::NoOptimizer`] where a solver takes its place.
pub fn check_rate_only(name: &'static str, asked: &LevelConfig, program: &LevelConfig) -> Result<(), Failure> {
    check_shared(name, asked, program)?;
    let at_one = |level: &LevelConfig| level.optimizer.clone().map(|optimizer| with_rate(optimizer, 1.0));
    match at_one(asked) == at_one(program) {
        true => Ok(()),
        false => Err(Failure::NotShared { level: name, field: "optimizer" }),
    }
}

/// The optimizer at another learning rate. One that a program names itself stays as it is.
#[must_use]
pub fn with_rate(optimizer: OptimizerConfig, rate: f64) -> OptimizerConfig {
    match optimizer {
        OptimizerConfig::Sgd(sgd) => OptimizerConfig::Sgd(SgdConfig { lr: rate.into(), ..sgd }),
        OptimizerConfig::Adam(adam) => OptimizerConfig::Adam(AdamConfig { lr: rate.into(), ..adam }),
        OptimizerConfig::AdamW(adam) => OptimizerConfig::AdamW(AdamWConfig { lr: rate.into(), ..adam }),
        OptimizerConfig::RmsProp(rms) => OptimizerConfig::RmsProp(RmsPropConfig { lr: rate.into(), ..rms }),
        OptimizerConfig::AdaGrad(ada) => OptimizerConfig::AdaGrad(AdaGradConfig { lr: rate.into(), ..ada }),
        other @ OptimizerConfig::CustomOptimizer(_) => other,
    }
}
