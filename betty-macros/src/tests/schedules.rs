//! Mistakes in schedules of learning rates.

use super::{check_err, check_ok};

/// A program whose lower level says this too.
fn scheduled(fields: &str) -> String {
    format!(
        "struct P;
         level rates: M {{ lower: [net], .. }}
         level net: M {{ upper: [rates], hypergradient: unrolled, unroll: 5, batch: B, loss: f, {fields} }}"
    )
}

#[test]
fn schedules_of_learning_rates() {
    for schedule in [
        "cosine(steps = 100)",
        "cosine(from = 0.5, to = 0.1, steps = STEPS, rise = 10)",
        "linear(steps = 5)",
        "exponential(gamma = 0.9)",
        "step(steps = 30)",
        "noam(rise = 4000, size = 512)",
    ] {
        check_ok(&scheduled(&format!("optimizer: sgd(lr = 0.1), schedule: {schedule}")));
    }
    check_ok(&scheduled("optimizer: sgd(lr = 0.1), schedule: linear(steps = 5, restart = true), start: initial"));
    check_err(
        "`cosine` needs `steps`: `cosine(steps = …)`",
        &scheduled("optimizer: sgd(lr = 0.1), schedule: >>>cosine<<<"),
    );
    check_err(
        "unknown schedule `cosin` (did you mean `cosine`?); the schedules are `cosine`, `linear`, `exponential`, `step` and `noam`",
        &scheduled("optimizer: sgd(lr = 0.1), schedule: >>>cosin<<<(steps = 5)"),
    );
    check_err(
        "`steps` of `linear` must be an integer greater than zero",
        &scheduled("optimizer: sgd(lr = 0.1), schedule: linear(steps = >>>0<<<)"),
    );
    check_err(
        "`net` goes on from where it was, so its schedule never begins again; add `start: initial`, or take `restart` away",
        &scheduled("optimizer: sgd(lr = 0.1), schedule: linear(steps = 5, restart = >>>true<<<)"),
    );
    check_err(
        "the learning rate of `net` is learned, so there is no number that a schedule would multiply; schedule the level that \
         learns it, or learn a rate for each step: `[step]`",
        &scheduled("optimizer: sgd(lr = exp(rates.lr)), schedule: >>>linear<<<(steps = 5)"),
    );
    check_err(
        "`net` has no optimizer of its own that its `schedule` could go with; give each group its own",
        &scheduled("groups: { a: { optimizer: sgd(lr = 0.1) } }, schedule: >>>linear<<<(steps = 5)"),
    );
    check_ok(&scheduled("groups: { a: { optimizer: sgd(lr = 0.1), schedule: linear(steps = 5) } }"));
}

#[test]
fn a_solver_has_no_rate_to_schedule() {
    check_err(
        "no solver can find the best response of `net`: it has no learning rate that a `schedule` could change; take `schedule` \
         away",
        "struct P;
         level rates: M { lower: [net], .. }
         level net: M {
             upper: [rates], hypergradient: cg, batch: B, loss: f, solver: >>>lbfgs<<<, schedule: linear(steps = 5)
         }",
    );
}
