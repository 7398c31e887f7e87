//! What a Krylov method multiplies residuals by, once an iteration.

use crate::range::Range::{Count, Natural};
use crate::table::{Family, Opt, PLAIN, Row, Way};

const SEED: Opt = Opt::new("seed", Natural, "0", "decides what is random");

/// Approximations of the matrix of a best response's system whose inverse is cheap.
pub static PRECONDITIONERS: Family = Family {
    noun: "preconditioner",
    nouns: "preconditioners",
    tag: "name",
    expected: "`null`, or an object with the `name` of a preconditioner",
    column: "P",
    config: "PreconditionerConfig",
    own: ("Preconditioning", "custom(MyPreconditioner)"),
    learnable: false,
    rows: &[
        Row {
            name: "diagonal",
            variant: "DiagonalPreconditioner",
            title: "The diagonal",
            formula: "|diag(H + δI)|, exact from one product a parameter where there are no more than `probes`, otherwise \
                      estimated as the mean of ω∘Hω over random ω with entries ±1, each entry no smaller than its standard error \
                      and δ",
            about: "For parameters of different scales. See [An estimator for the diagonal of a \
                    matrix](https://doi.org/10.1016/j.apnum.2007.01.003).",
            options: &[
                Opt::new(
                    "probes",
                    Count,
                    "10",
                    "how many ω, one Hessian-vector product each, once for a hypergradient",
                ),
                SEED,
            ],
            ..PLAIN
        },
        Row {
            name: "nystrom",
            variant: "NystromPreconditioner",
            title: "The large eigenvalues",
            formula: "U(|Λ + δI|/τ)Uᵀ + (I − UUᵀ) for approximate eigenvalues Λ and eigenvectors U of H, τ being the smallest \
                      |λ + δ|",
            about: "For a few large eigenvalues above many small ones: with twice as many for `rank` as are not small against δ, \
                    iterations no longer depend on the condition of H (Frangella, Tropp and Udell, 2021, arXiv:2110.02820).",
            needs_symmetry: true,
            options: &[
                Opt::new(
                    "rank",
                    Count,
                    "10",
                    "the most eigenvalues, one Hessian-vector product each, once for a hypergradient, and as many again where H \
                     is found to curve downwards; up to four vectors of memory each",
                ),
                SEED,
            ],
            ..PLAIN
        },
        Row {
            name: "custom",
            variant: "CustomPreconditioner",
            title: "The user's own preconditioner, which the program names",
            formula: "what your own `Preconditioning` makes of the system: `custom(MyPreconditioner)` takes a value of any type that \
                      implements it",
            about: "",
            way: Way::Given,
            options: &[],
            ..PLAIN
        },
    ],
};
