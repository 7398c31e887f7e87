//! What the same program computes on the other device of this build, in single precision, against the CPU.

use betty_runtime::execute::Value;
use betty_tests::devices::other;

use super::compare::{close_at, norm};
use super::options::Options;
use super::problem::{Answers, Problem};

/// Single precision on both sides, with sums in another order, and functions that graphics interfaces promise to fewer digits.
const TOLERANCE: f64 = 1e-4;

/// Checks the answers of a program in single precision. Does nothing in a build that has the CPU alone.
pub(crate) fn check_elsewhere(
    name: &str,
    problem: &Problem,
    options: Options,
    vectors: &[Value],
    batch: &[Value],
    at: &Answers,
) {
    let device = other();
    if options.double || vectors.iter().chain(batch).all(|value| value.device() == device) {
        return;
    }
    let moved = |value: &Value| Value::from_data(value.to_data().unwrap(), &device);
    let batch: Vec<Value> = batch.iter().map(moved).collect();
    let found = problem.run(vectors.iter().map(moved).collect(), &batch, &device);
    let tolerance = options.f32_gradient.unwrap_or(0.0).max(TOLERANCE);
    let compare = |what: &str, found: &[f64], expected: &[f64]| {
        // Derivatives may be small differences of larger numbers; arguments here are of order one.
        let scale = norm(&at.value).max(1.0);
        close_at(name, &format!("{what}, elsewhere"), found, expected, scale, tolerance);
    };
    compare("loss", &found.loss, &at.loss);
    compare("value", &found.value, &at.value);
    if options.against_double {
        return;
    }
    compare("gradient", &found.gradient, &at.gradient);
    compare("gradient, recorded", &found.burn, &at.burn);
    if options.kink {
        return;
    }
    compare("Hessian-vector product", &found.hvp, &at.hvp);
    compare("mixed product", &found.mixed, &at.mixed);
    compare("third order", &found.third, &at.third);
}
