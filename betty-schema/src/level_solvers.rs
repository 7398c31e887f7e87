//! What finds the best response of a level in the place of an optimizer's steps.

use crate::range::Range::{Count, NonNegative};
use crate::table::{Family, Opt, PLAIN, Row, Seen, Way};

/// What finds a level's best response.
pub static LEVEL_SOLVERS: Family = Family {
    noun: "solver",
    nouns: "level solvers",
    tag: "name",
    expected: "`null`, or an object with the `name` of a solver",
    column: "what a turn of the level leads to",
    config: "LevelSolverConfig",
    own: ("Solver", "custom(MySolver)"),
    learnable: false,
    rows: &[
        Row {
            name: "lbfgs",
            variant: "Lbfgs",
            title: "The quasi-Newton method of limited memory",
            formula: "a point with ‖g‖ ≤ `tolerance`: θ ← θ + t·d with d = −B⁻¹g, where B follows the last `memory` steps, and t \
                      from a line search for the conditions of Wolfe",
            about: "All evaluations of a turn are on one batch, with one draw of what is random. See [On the limited memory BFGS \
                    method for large scale optimization](https://doi.org/10.1007/BF01589116).",
            options: &[
                Opt::new("memory", Count, "10", "how many of the last steps B is made of, two vectors each"),
                Opt::new("iterations", Count, "100", "the most steps of a turn, one or two gradients each"),
                Opt::new(
                    "tolerance",
                    NonNegative,
                    "1e-6",
                    "ends a turn once ‖g‖ is no larger; with 0 it goes on as far as rounding lets it",
                )
                .seen(Seen::Nothing),
            ],
            ..PLAIN
        },
        Row {
            name: "custom",
            variant: "CustomSolver",
            title: "The user's own solver, which the program names",
            formula: "what your own `Solver` answers: `custom(MySolver)` takes a value of any type that implements it, or a function \
                      of program and batch",
            about: "",
            way: Way::Given,
            options: &[Opt::new(
                "tolerance",
                NonNegative,
                "1e-4",
                "the largest ‖g‖ at an answer, or what rounding leaves of the terms that g is a sum of where that is more; a larger one \
                 is an error",
            )
            .seen(Seen::Nothing)],
            ..PLAIN
        },
    ],
};
