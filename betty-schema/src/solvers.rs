//! The ways to solve everything below a level at once.

use crate::range::Range::{Count, Flag, NonNegative};
use crate::table::{Family, Opt, PLAIN, Row, Seen};

/// How the system of everything below a level is solved.
pub static SOLVERS: Family = Family {
    noun: "solver",
    nouns: "solvers",
    tag: "name",
    expected: "`null`, or an object with the `name` of a solver",
    column: "what is solved",
    config: "SolverConfig",
    own: ("", ""),
    learnable: false,
    rows: &[
        Row {
            name: "joint",
            variant: "Joint",
            title: "One loop for all levels",
            formula: "the conditions of all levels below as one system Jᵀm = v: by generalised minimal residuals, or without `prepare` \
                  by minimal residuals on the Hessian of one Lagrangian where that is possible",
            about: "Exact as the nested solves are, with iterations that do not multiply from level to level. Of the methods of the \
                levels below, only damping and batch change the answer.",
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
                    "the most vectors kept of a part, each of the size of all its unknowns, and as many prepared ones",
                ),
                Opt::new(
                    "tolerance",
                    NonNegative,
                    "1e-10",
                    "stops a part once ‖v − Jᵀm‖ ≤ tolerance·‖v‖, or four rounding units of ‖v‖",
                )
                .seen(Seen::Nothing),
                Opt::new(
                    "warm_start",
                    Flag,
                    "false",
                    "starts from the solution of the step before; with `iterations = 1` a single loop: each step improves the \
                 solution once",
                ),
                Opt::new(
                    "prepare",
                    Flag,
                    "true",
                    "whether in each iteration the method of every level first solves the level's own part, which \
                 ill-conditioned levels need; without it, a level's `preconditioner` stands for its own part",
                ),
            ],
            ..PLAIN
        },
        Row {
            name: "inexact",
            variant: "Inexact",
            title: "Nested solves, each no more exact than needed",
            formula: "the same system level by level, where the products of a solve are the less exact the smaller its residual is, \
                  until ‖v − Jᵀm‖ ≤ tolerance·‖v‖, which is measured",
            about: "Of the methods of the levels below, only damping and batch change the answer.",
            options: &[
                Opt::new("iterations", Count, "100", "the most iterations of each solve"),
                Opt::new("restart", Count, "50", "the most vectors kept of a solve, and as many prepared ones"),
                Opt::new("tolerance", NonNegative, "1e-8", "the system is solved once ‖v − Jᵀm‖ ≤ tolerance·‖v‖")
                    .seen(Seen::Nothing),
                Opt::new(
                    "warm_start",
                    Flag,
                    "false",
                    "starts from the solution of the step before, so that only what changed is solved for",
                ),
                Opt::new(
                    "prepare",
                    Flag,
                    "true",
                    "whether in each iteration of a level that reads best responses its method first solves the level's own part",
                ),
            ],
            ..PLAIN
        },
    ],
};
