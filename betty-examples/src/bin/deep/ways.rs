//! Ways to find the hypergradient of the weights.

use betty_runtime::{CurvatureOf, ProgramConfig};
use serde_json::{Value, json};

/// What the levels say.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// As it stands in a table.
    pub(crate) name: &'static str,
    method: Value,
    preconditioner: Option<Value>,
    solve: Option<Value>,
    is_partial: bool,
    /// Whether it goes on from the solution of the step before.
    pub(crate) goes_on: bool,
}

impl Way {
    fn nested(name: &'static str, method: Value) -> Self {
        Way { name, method, preconditioner: None, solve: None, is_partial: false, goes_on: false }
    }

    fn solved(name: &'static str, method: Value, solve: Value) -> Self {
        Way { solve: Some(solve), ..Way::nested(name, method) }
    }

    /// Nested solves far beyond what the others reach.
    pub(crate) fn reference() -> Self {
        Way::nested("reference", minres(400, 1e-8))
    }

    /// What trains to what the others are compared with.
    pub(crate) fn exact() -> Self {
        Way::nested("exact", minres(200, 1e-6))
    }

    /// Good enough for ties that learn by themselves.
    pub(crate) fn tuning() -> Self {
        Way::nested("tuning", minres(50, 1e-4))
    }

    /// All that can be gone through so many levels.
    pub(crate) fn all(levels: usize) -> Vec<Self> {
        let joint = |iterations: usize, prepare: bool| json!({ "name": "joint", "iterations": iterations, "restart": 100, "tolerance": 1e-3, "prepare": prepare });
        let inexact = |tolerance: f64| json!({ "name": "inexact", "iterations": 200, "tolerance": tolerance });
        let single = json!({ "name": "joint", "iterations": 1, "tolerance": 0.0, "warm_start": true });
        let mut ways = vec![
            Way::nested("nested, `minres(iterations = 20)`", minres(20, 0.0)),
            Way::nested("nested, `minres(iterations = 200, tolerance = 1e-3)`", minres(200, 1e-3)),
            Way::solved("`inexact(tolerance = 1e-1)`", minres(10, 0.0), inexact(1e-1)),
            Way::solved("`inexact(tolerance = 1e-3)`", minres(10, 0.0), inexact(1e-3)),
            Way::solved(
                "`joint(tolerance = 1e-3)`, prepared by `minres(iterations = 10)`",
                minres(10, 0.0),
                joint(100, true),
            ),
            Way {
                preconditioner: Some(json!({ "name": "nystrom", "rank": 50 })),
                ..Way::solved(
                    "`joint(tolerance = 1e-3, prepare = false)`, `nystrom(rank = 50)`",
                    minres(10, 0.0),
                    joint(400, false),
                )
            },
            Way {
                goes_on: true,
                ..Way::solved("single loop, prepared by `minres(iterations = 2)`", minres(2, 0.0), single)
            },
            Way::nested("`finite_difference`", json!({ "method": "finite_difference" })),
        ];
        ways.push(match levels {
            // No level stands still for one that it answers to.
            ..=3 => Way::nested("`unrolled`", json!({ "method": "unrolled" })),
            // Steps that rest on solves cannot be differentiated twice.
            _ => Way { is_partial: true, ..Way::nested("`partial`, `minres(iterations = 20)`", minres(20, 0.0)) },
        });
        ways
    }

    /// The program's config with this way in it.
    pub(crate) fn configure<C: ProgramConfig>(&self) -> C {
        let mut config = C::default();
        let mut levels = config.levels_mut();
        let below = levels.len() - 2;
        for (number, level) in levels.iter_mut().enumerate() {
            if number == 0 {
                level.solve = self.solve.clone().map(parsed);
                continue;
            }
            level.hypergradient = Some(parsed(self.method.clone()));
            level.preconditioner = self.preconditioner.clone().map(parsed);
            if self.is_partial && number < below {
                level.curvature = CurvatureOf::Partial;
            }
        }
        config
    }
}

fn minres(iterations: usize, tolerance: f64) -> Value {
    json!({ "method": "minres", "iterations": iterations, "tolerance": tolerance })
}

fn parsed<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the table of ways is right")
}
