//! The methods that differentiate a best response.

use crate::range::Range::{Batch, Count, CountOrAll, Flag, Natural, NonNegative, Positive};
use crate::table::{Family, Opt, Row, Seen, Way};

const DAMPING: Opt = Opt::new("damping", NonNegative, "0.0", "δ, added to the diagonal of H");
const TOLERANCE: Opt =
    Opt::new("tolerance", NonNegative, "1e-10", "stops once ‖v − (H + δI)x‖ ≤ tolerance·‖v‖; 0 never stops early")
        .seen(Seen::Nothing);
const ITERATIONS: Opt = Opt::new("iterations", Count, "10", "the most iterations, one Hessian-vector product each");
const WARM_START: Opt = Opt::new(
    "warm_start",
    Flag,
    "false",
    "whether to start from the solution of the step before instead of from 0 (*AmIGO*, arXiv:2111.14580)",
);
const BATCH: Opt = Opt::new(
    "batch",
    Batch,
    "last",
    "the batch on which H, or what stands for it, is taken: that of the level's last step, or a fresh one",
);
const PERTURBATION: Opt =
    Opt::new("perturbation", Positive, "1e-2", "how far the parameters are moved").seen(Seen::Inverse);

/// How a best response is differentiated.
pub static METHODS: Family = Family {
    noun: "method",
    nouns: "methods",
    tag: "method",
    expected: "an object with a `method`",
    column: "x is",
    config: "HypergradientConfig",
    learnable: false,
    rows: &[
        Row {
            name: "cg",
            variant: "Cg",
            formula: "the result of conjugate gradients on (H + δI)x = v",
            way: Way::System,
            options: &[ITERATIONS, TOLERANCE, DAMPING, WARM_START, BATCH],
        },
        Row {
            name: "minres",
            variant: "Minres",
            formula: "the result of minimal residuals on (H + δI)x = v",
            way: Way::System,
            options: &[ITERATIONS, TOLERANCE, DAMPING, WARM_START, BATCH],
        },
        Row {
            name: "gmres",
            variant: "Gmres",
            formula: "the result of generalised minimal residuals on (H + δI)x = v, with a basis of `restart` vectors",
            way: Way::System,
            options: &[
                Opt::new(
                    "iterations",
                    Count,
                    "10",
                    "the most iterations over all restarts, one product each, and one more a restart",
                ),
                Opt::new("restart", Count, "30", "the most vectors kept, each of the size of the level's parameters"),
                Opt::new(
                    "tolerance",
                    NonNegative,
                    "1e-10",
                    "stops once ‖v − (H + δI)x‖ ≤ tolerance·‖v‖; 0 stops at rounding errors",
                )
                .seen(Seen::Nothing),
                DAMPING,
                WARM_START,
                BATCH,
            ],
        },
        Row {
            name: "neumann",
            variant: "Neumann",
            formula: "s·Σₖ₌₀ᴷ⁻¹ (I − s(H + δI))ᵏ v, which converges for s < 2/λ_max",
            way: Way::System,
            options: &[
                Opt::new("terms", Count, "10", "K, one Hessian-vector product each but the first"),
                Opt::new("step_size", Positive, "0.1", "s"),
                DAMPING,
                WARM_START,
                BATCH,
            ],
        },
        Row {
            name: "nystrom",
            variant: "Nystrom",
            formula: "(Hₖ + δI)⁻¹ v with Hₖ = HΩ(ΩᵀHΩ)⁻¹ΩᵀH, for k random vectors Ω",
            way: Way::System,
            options: &[
                Opt::new("rank", Count, "10", "k, one Hessian-vector product and up to four vectors of memory each"),
                Opt::new("damping", Positive, "1e-2", "δ, added to the diagonal of Hₖ, which has no inverse without"),
                Opt::new("seed", Natural, "0", "decides Ω"),
                BATCH,
            ],
        },
        Row {
            name: "finite_difference",
            variant: "FiniteDifference",
            formula: "v, and the mixed product is (∂c/∂λ(θ + εv) − ∂c/∂λ(θ − εv)) / 2ε with ε = perturbation/‖v‖",
            way: Way::System,
            options: &[PERTURBATION, BATCH],
        },
        Row {
            name: "penalty",
            variant: "Penalty",
            formula: "m·(z − y) for z = θ and a copy y that K steps of length s take down c(λ, y) + ⟨v, y⟩/m, less ⟨∇c(z), \
                      y⟩; every product is m·(∂c(z) − ∂c(z − x/m))",
            way: Way::System,
            options: &[
                Opt::new(
                    "multiplier",
                    Positive,
                    "100.0",
                    "m, how much more the lower loss counts for y than the upper one; the error is O(1/m), down to about 3e-4 \
                     in single precision, where larger m are no better",
                )
                .seen(Seen::Inverse),
                Opt::new("steps", Count, "10", "K, one gradient each"),
                Opt::new("step_size", Positive, "0.1", "s, less than 2 over the largest eigenvalue of H + δI"),
                Opt::new("damping", NonNegative, "0.0", "δ, the weight of ½‖y − z‖², which makes the problem of y convex"),
                Opt::new(
                    "warm_start",
                    Flag,
                    "true",
                    "whether y starts from where it was relative to z at the step before, instead of from z: few steps are \
                     then enough",
                ),
                BATCH,
            ],
        },
        Row {
            name: "identity",
            variant: "Identity",
            formula: "scale·v",
            way: Way::System,
            options: &[Opt::new("scale", Positive, "1.0", "the multiple of v"), BATCH],
        },
        Row {
            name: "sama",
            variant: "Sama",
            formula: "−(∂Φ/∂g)ᵀv, Φ being the step that the optimizer would take next, and the mixed product as for \
                      `finite_difference`",
            way: Way::NextStep,
            options: &[PERTURBATION, BATCH],
        },
        Row {
            name: "dense",
            variant: "Dense",
            formula: "the exact solution, by factorizing the matrix",
            way: Way::System,
            options: &[
                DAMPING,
                Opt::new("limit", Count, "4096", "the most parameters for which the matrix is formed; more are refused"),
                BATCH,
            ],
        },
        Row {
            name: "unrolled",
            variant: "Unrolled",
            formula: "none: (∂θ_K/∂λ)ᵀ v for the K steps that were taken, step by step in reverse",
            way: Way::Reverse,
            options: &[
                Opt::new("truncate", CountOrAll, "all", "K, how many of the last `unroll` steps are differentiated"),
                Opt::new(
                    "memory",
                    CountOrAll,
                    "all",
                    "how many parameter vectors and optimizer states are kept at once; with fewer than steps (4 at the least), \
                     those between are taken again, bit for bit, when they are needed: with 2√K for K steps all of them once \
                     more. Batches are kept in any case, and all steps of a level that reads best responses itself",
                ),
            ],
        },
        Row {
            name: "forward",
            variant: "Forward",
            formula: "none: (∂θ_K/∂λ)ᵀ v = Σᵤ (v·θ̇ᵤ)u for all unit vectors u, θ̇ᵤ = (∂θ/∂λ)u being carried along with the \
                      steps",
            way: Way::Tangents,
            options: &[Opt::new(
                "limit",
                Count,
                "64",
                "the most upper parameters, one Jacobian-vector product a step and one parameter vector with optimizer states \
                 each; more are refused",
            )],
        },
        Row {
            name: "forward_gradient",
            variant: "ForwardGradient",
            formula: "none: the mean of (v·θ̇ᵤ)u over random u with entries ±1, an unbiased estimate of the same",
            way: Way::Tangents,
            options: &[
                Opt::new(
                    "directions",
                    Count,
                    "8",
                    "how many u with entries ±1, other ones for every step of the levels above; one Jacobian-vector product a \
                     step and one parameter vector with optimizer states each. The variance falls as 1 over their number",
                ),
                Opt::new("seed", Natural, "0", "decides u, together with the seed of the run"),
            ],
        },
        Row {
            name: "evolution",
            variant: "Evolution",
            formula: "none: the mean of (C(θ_K(λ + σε)) − C(θ_K(λ − σε)))/2σ·ε over normal ε, without a derivative of C",
            way: Way::Replays,
            options: &[
                Opt::new(
                    "pairs",
                    Count,
                    "8",
                    "how many ε, other ones for every step of the levels above; each takes all steps of the level twice more. \
                     The variance falls as 1 over their number",
                ),
                Opt::new(
                    "sigma",
                    Positive,
                    "0.1",
                    "σ, how far each upper parameter is moved: what is estimated is the gradient of the loss smoothed at this \
                     width",
                ),
                Opt::new("seed", Natural, "0", "decides ε, together with the seed of the run"),
            ],
        },
        Row {
            name: "custom",
            variant: "Custom",
            formula: "what your own `HypergradientMethod` answers: `custom(MyMethod)` takes a value of any type that \
                      implements it",
            way: Way::Given,
            options: &[BATCH],
        },
    ],
};
