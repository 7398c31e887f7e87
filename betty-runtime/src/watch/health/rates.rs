//! Levels that stand still because their schedule has come to a rate of zero.

use std::collections::BTreeMap;

use super::warning;
use crate::{Event, Warning};

/// So many steps in a row are no end of a run.
const IN_A_ROW: u64 = 100;

/// Steps in a row that each level has taken at a rate of zero.
#[derive(Debug, Default)]
pub(super) struct Rates(BTreeMap<String, u64>);

impl Rates {
    pub(super) fn hear(&mut self, event: &Event<'_>) -> Option<Warning> {
        let Event::Step { name, step, learning_rate, looks_ahead: false, .. } = *event else { return None };
        let steps = self.0.entry(name.to_owned()).or_default();
        *steps = if learning_rate == 0.0 { *steps + 1 } else { 0 };
        if *steps != IN_A_ROW {
            return None;
        }
        let since = step + 1 - IN_A_ROW;
        warning(
            "no-rate",
            name,
            format!("the learning rate of level `{name}` has been 0 since its step {since}, so that it stands still"),
            format!(
                "a schedule counts the level's own steps, not iterations: give that of `{name}` as many as the run has, or a `to` \
                 above 0"
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_stays_at_zero_is_told_of_once() {
        let mut rates = Rates::default();
        let mut told = Vec::new();
        for step in 1..=400 {
            let learning_rate = if step < 100 && step != 50 { 0.1 } else { 0.0 };
            let (level, name, loss) = (0, "net", 1.0);
            let event = Event::Step {
                level,
                name,
                step,
                loss,
                metrics: &[],
                gradient_norm: 1.0,
                learning_rate,
                looks_ahead: false,
            };
            told.extend(rates.hear(&event).map(|warning| warning.fact));
        }
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("0 since its step 100"), "{told:?}");
    }
}
