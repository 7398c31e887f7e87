//! The numbers that events tell, each with a name.

use std::borrow::Cow;

use crate::Event;

/// A number of a level, or of validation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scalar<'a> {
    /// The level's name, or `validation`.
    pub(super) of: &'a str,
    /// The level's step, where it belongs to one.
    pub(super) step: Option<u64>,
    pub(super) name: Cow<'a, str>,
    pub(super) value: f64,
}

/// What a level tells of every step, what of gradients that have two parts, and what validation tells of every look.
const OF_STEPS: [&str; 3] = ["loss", "gradient_norm", "learning_rate"];
const OF_PARTS: [&str; 3] = ["direct", "indirect", "angle"];
const OF_VALIDATION: &str = "value";

/// The name of a metric: one that is called like a number of the library's own stands beside it, not in its place.
fn metric<'a>(name: &'a str, own: &[&str]) -> Cow<'a, str> {
    if own.contains(&name) { format!("metric/{name}").into() } else { name.into() }
}

/// The numbers that an event tells: of steps that count, of solvers, of hypergradients, and of validation.
pub(super) fn scalars<'a>(event: &Event<'a>) -> Vec<Scalar<'a>> {
    let scalar = |of, step, name, value| Scalar { of, step, name, value };
    match *event {
        Event::Step { name: of, step, loss, metrics, gradient_norm, learning_rate, looks_ahead: false, .. } => {
            let own = OF_STEPS.map(Cow::from).into_iter().zip([loss, gradient_norm, learning_rate]);
            let all = [OF_STEPS, OF_PARTS].concat();
            let metrics = metrics.iter().map(|(name, value)| (metric(name, &all), *value));
            own.chain(metrics).map(|(name, value)| scalar(of, Some(step), name, value)).collect()
        }
        Event::Solved { name: of, solver, step, iterations, gradient_norm, .. } => {
            let own = [("iterations", iterations as f64), ("gradient_norm", gradient_norm)];
            own.map(|(name, value)| scalar(of, Some(step), format!("{solver}/{name}").into(), value)).into()
        }
        Event::Hypergradient { name: of, through, products, residual, .. } => {
            let products = scalar(of, None, format!("{through}/products").into(), products as f64);
            let residual = residual.map(|residual| scalar(of, None, format!("{through}/residual").into(), residual));
            [products].into_iter().chain(residual).collect()
        }
        Event::Parts { name: of, direct, indirect, cosine, .. } => {
            let numbers = [Some(direct), Some(indirect), cosine.map(|cosine| cosine.acos().to_degrees())];
            let all = OF_PARTS.into_iter().zip(numbers);
            all.filter_map(|(name, value)| Some(scalar(of, None, name.into(), value?))).collect()
        }
        Event::Validation { value, metrics, .. } => {
            let metrics = metrics.iter().map(|(name, value)| (metric(name, &[OF_VALIDATION]), *value));
            let all = [(OF_VALIDATION.into(), value)].into_iter().chain(metrics);
            all.map(|(name, value)| scalar("validation", None, name, value)).collect()
        }
        _ => Vec::new(),
    }
}
