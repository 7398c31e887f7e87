//! The ways to solve everything below a level at once.

use crate::range::Range::{Count, NonNegative};
use crate::table::{Family, Opt, Row, Seen, Way};

/// How the system of everything below a level is solved.
pub static SOLVERS: Family = Family {
    noun: "solver",
    nouns: "solvers",
    tag: "name",
    expected: "`null`, or an object with the `name` of a solver",
    column: "what is solved",
    config: "SolverConfig",
    learnable: false,
    rows: &[Row {
        name: "joint",
        variant: "Joint",
        title: "One loop for all levels",
        formula: "the conditions of all levels below as one system: by minimal residuals on the Hessian of one Lagrangian where \
                  that is possible, by generalised minimal residuals elsewhere",
        about: "Exact as the nested solves are, with iterations that do not multiply from level to level. Of the methods of the \
                levels below it uses damping and batch.",
        way: Way::System,
        options: &[
            Opt::new(
                "iterations",
                Count,
                "100",
                "the most iterations for each part, one product with all its levels each",
            ),
            Opt::new(
                "restart",
                Count,
                "50",
                "the most vectors kept of a part that is not symmetric, each of the size of all its unknowns",
            ),
            Opt::new("tolerance", NonNegative, "1e-10", "stops a part once ‖v − Jᵀm‖ ≤ tolerance·‖v‖")
                .seen(Seen::Nothing),
        ],
    }],
};
