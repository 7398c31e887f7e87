//! What is said of a hypergradient that runs away: how far it is out of proportion, and what can be done.

use super::host::Host;
use super::run::Run;
use crate::event::Event;

impl Run {
    /// Tells of the hypergradient of a level's step, if it runs away.
    pub(super) fn tell_of_runaway(&mut self, host: &mut dyn Host, k: usize, step: u64, norm: f64) {
        if self.program.schedule.levels[k].sweep.is_empty() {
            return;
        }
        let Some(ratio) = self.watch.usual[k].note(norm) else { return };
        let (name, advice) = (self.program.levels[k].name, self.advice(k));
        self.emit(host, &Event::Runaway { level: k, name, step, norm, ratio, advice: &advice });
    }

    /// What can be done about it, level by level.
    fn advice(&self, k: usize) -> String {
        let mut advice: Vec<String> = Vec::new();
        for stop in self.program.schedule.levels[k].sweep {
            let level = &self.program.levels[stop.level];
            let solves = self.program.methods[stop.level].as_ref().filter(|method| {
                // A method that forms no products solves no system that damping could help.
                method.budget(1).is_none_or(|budget| budget.products > 0)
            });
            advice.push(match solves {
                Some(method) => {
                    let residual = self.watch.residuals.get(&stop.level).copied().flatten();
                    let residual = residual.map_or_else(String::new, |residual| format!(", residual {residual:.0e}"));
                    format!("raise the damping of `{}` (now {}{residual})", level.name, method.damping())
                }
                None => format!("lower the learning rate of `{}`, or let it take fewer steps", level.name),
            });
        }
        let name = self.program.levels[k].name;
        advice.push(format!("bound the step with `clip: norm(…)` at `{name}`"));
        format!("{}; `verify_hypergradient(\"{name}\")` tells more", advice.join(", or "))
    }
}
