//! What has to hold so that no edge of the program loses its meaning by a number: a way back to where steps begin, and
//! something to solve for each task.

use super::error::ConfigError;
use super::{HypergradientConfig, LevelConfig, Start};
use crate::schedule::Schedule;

/// Steps that begin at another level in the program lead back there, and tasks are solved by a level below.
pub(super) fn check(schedule: &Schedule, index: usize, config: &LevelConfig) -> Result<(), ConfigError> {
    let spec = &schedule.levels[index];
    let level = spec.name.to_owned();
    if config.tasks > 1 && spec.lower.is_empty() {
        return Err(ConfigError::NoTasks { path: format!("{level}.tasks"), level, tasks: config.tasks });
    }
    if config.rounds > 1 && spec.lower.is_empty() {
        return Err(ConfigError::NoRounds { path: format!("{level}.rounds"), level, rounds: config.rounds });
    }
    let Some(from) = spec.start.filter(|&from| !depends_beside_start(schedule, index, from, config)) else {
        return Ok(());
    };
    let from = schedule.levels[from].name.to_owned();
    let start = match config.start {
        Start::From => return check_truncate(level, from, config),
        Start::Kept => "kept",
        Start::Initial => "initial",
        Start::LookAhead => "look_ahead",
    };
    Err(ConfigError::StartLeft { path: format!("{level}.start"), start, level, from })
}

/// Steps are differentiated back to where they begin.
fn check_truncate(level: String, from: String, config: &LevelConfig) -> Result<(), ConfigError> {
    let unroll = config.unroll;
    match &config.hypergradient {
        Some(HypergradientConfig::Unrolled(of)) => match of.truncate.filter(|&truncate| truncate < unroll) {
            Some(truncate) => {
                let path = format!("{level}.hypergradient.truncate");
                Err(ConfigError::StartCut { path, level, from, truncate, unroll })
            }
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Whether what a level comes to depends on the level that it starts from in another way, too: through its loss, a number of
/// its optimizer, or what it reads of the levels below.
fn depends_beside_start(schedule: &Schedule, index: usize, from: usize, config: &LevelConfig) -> bool {
    let spec = &schedule.levels[index];
    let name = schedule.levels[from].name;
    if spec.upper.contains(&from) || config.optimizer.learned().any(|(_, learned)| learned.level == name) {
        return true;
    }
    let mut open = spec.lower.to_vec();
    let mut seen = vec![index];
    while let Some(next) = open.pop() {
        if next == from {
            return true;
        }
        if !seen.contains(&next) {
            seen.push(next);
            open.extend(schedule.reached_from(next));
        }
    }
    false
}
