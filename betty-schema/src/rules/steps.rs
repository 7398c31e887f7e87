//! Levels whose steps are differentiated: enough steps, and twice only where nothing is solved below them.

use super::{Numbers, Violation};
use crate::graph::Graph;
use crate::table::Way;

/// No more steps are differentiated than are taken.
pub(super) fn truncate(graph: &Graph, level: usize, numbers: &[Numbers]) -> Option<Violation> {
    let (truncate, unroll) = (numbers[level].method?.truncate?, taken(graph, level, numbers)?.1);
    (truncate > unroll).then_some(Violation::TruncateTooLong { truncate, unroll })
}

/// How many steps a level takes for one of a level that waits for it: of all of these the fewest, and the most.
pub(super) fn taken(graph: &Graph, level: usize, numbers: &[Numbers]) -> Option<(usize, usize)> {
    let waiting = (0..graph.levels()).filter(|&above| graph.lower(above).contains(&level));
    let rounds = waiting.map(|above| numbers[above].rounds).collect::<Option<Vec<usize>>>()?;
    let (fewest, most) =
        (rounds.iter().min().map_or(1, |&rounds| rounds), rounds.iter().max().map_or(1, |&rounds| rounds));
    let unroll = numbers[level].unroll?;
    Some((unroll.saturating_mul(fewest), unroll.saturating_mul(most)))
}

/// A method that goes through the steps of `level` can do so there, and one that does not finds a solution of the loss alone.
pub(super) fn steps(graph: &Graph, level: usize, numbers: &[Numbers]) -> impl Iterator<Item = Violation> {
    let own = &numbers[level];
    let method = own.method.filter(|_| graph.is_passed(level));
    let through = method.filter(|method| method.goes_through_steps());
    let is_of_loss = method.is_some() && through.is_none() && !own.is_fixed_point;
    let again = through.filter(|method| method.row.way == Way::Replays);
    let below = again.and_then(|_| Some(graph.sweep(level).first()?.level));
    [
        (is_of_loss && own.is_projected).then_some(Violation::ProjectedResponse),
        (is_of_loss && own.has_after_step).then_some(Violation::FollowedResponse),
        below.map(|below| Violation::ReplayOfResponse { below }),
        through.and_then(|_| place(graph, level, own)),
        through.and_then(|_| warmup(graph, level, numbers)),
    ]
    .into_iter()
    .flatten()
}

/// Steps can be differentiated where the level stands.
fn place(graph: &Graph, level: usize, own: &Numbers) -> Option<Violation> {
    let method = own.method?;
    let above = (0..graph.levels()).find(|&above| graph.answers_to(level, above) && graph.is_passed(above));
    if let Some(above) = above {
        if method.row.way != Way::Reverse {
            return Some(Violation::StepsBelow { above });
        }
        if let Some(&below) = graph.lower(level).first() {
            return Some(Violation::StepsBetween { above, below });
        }
        if method.limits_memory {
            return Some(Violation::MemoryUnused { above });
        }
    }
    graph.peer(level).map(|peer| Violation::StepsInCircle { peer })
}

/// Steps that a hypergradient goes through are there when the level above takes its first.
fn warmup(graph: &Graph, level: usize, numbers: &[Numbers]) -> Option<Violation> {
    let warmup = numbers[level].warmup?;
    let above = (0..graph.levels()).filter(|&above| graph.answers_to(level, above));
    let mut begins = above.filter_map(|above| Some((above, numbers[above].warmup?)));
    let (above, begins) = begins.find(|&(_, begins)| begins < warmup)?;
    Some(Violation::WarmupTooLong { warmup, above, begins })
}
