//! The methods that differentiate a best response.

use crate::range::Range::{Batch, Count, CountOrAll, Flag, Natural, NonNegative, Positive};
use crate::table::{Family, Opt, Row, Seen, Way};

const DAMPING: Opt = Opt::new("damping", NonNegative, "0.0", "δ, added to the diagonal of H");
const TOLERANCE: Opt = Opt::new(
    "tolerance",
    NonNegative,
    "1e-10",
    "stops once ‖v − (H + δI)x‖ ≤ tolerance·‖v‖, or four rounding units of ‖v‖, which is all that 0 asks for",
)
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
    "the batch on which H, or what stands for it, is taken: that of the level's last step, or a fresh one; with `accumulate`, the mean over so many",
);
const PERTURBATION: Opt = Opt::new(
    "perturbation",
    Positive,
    "1e-2",
    "how far the parameters are moved; in 16 bits by √u·(1 + ‖θ‖) or more, u being the machine precision",
)
.seen(Seen::Inverse);

/// How a best response is differentiated.
pub static METHODS: Family = Family {
    noun: "method",
    nouns: "methods",
    tag: "method",
    expected: "an object with a `method`",
    column: "x is",
    config: "HypergradientConfig",
    own: ("HypergradientMethod", "custom(MyMethod)"),
    learnable: false,
    rows: &[
        Row {
            name: "cg",
            variant: "Cg",
            title: "Conjugate gradients",
            formula: "the result of conjugate gradients on (H + δI)x = v",
            about: "Exact after as many iterations as H has distinct eigenvalues, and needs H + δI to be positive \
                    definite.",
            way: Way::Krylov,
            needs_symmetry: true,
            options: &[ITERATIONS, TOLERANCE, DAMPING, WARM_START, BATCH],
        },
        Row {
            name: "minres",
            variant: "Minres",
            title: "Minimal residuals",
            formula: "the result of minimal residuals on (H + δI)x = v",
            about: "The iterate of smallest residual, also where H + δI has eigenvalues of both signs, so that conjugate \
                    gradients may break down.",
            way: Way::Krylov,
            needs_symmetry: true,
            options: &[ITERATIONS, TOLERANCE, DAMPING, WARM_START, BATCH],
        },
        Row {
            name: "gmres",
            variant: "Gmres",
            title: "Generalised minimal residuals",
            formula: "the result of generalised minimal residuals on (H + δI)x = v, with a basis of `restart` vectors",
            about: "The iterate of smallest residual, for conditions whose derivative H is not symmetric as well.",
            way: Way::Krylov,
            needs_symmetry: false,
            options: &[
                Opt::new(
                    "iterations",
                    Count,
                    "10",
                    "the most iterations over all restarts, one product each, and one more a restart",
                ),
                Opt::new("restart", Count, "30", "the most vectors kept, each of the size of the level's parameters"),
                TOLERANCE,
                DAMPING,
                WARM_START,
                BATCH,
            ],
        },
        Row {
            name: "neumann",
            variant: "Neumann",
            title: "A truncated Neumann series",
            formula: "s·Σₖ₌₀ᴷ⁻¹ (I − s(H + δI))ᵏ v, which converges for s < 2/λ_max",
            about: "What K steps of gradient descent on the linear system give.",
            way: Way::System,
            needs_symmetry: false,
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
            title: "The inverse of an approximation of low rank",
            formula: "(Hₖ + δI)⁻¹ v with Hₖ = HΩ(ΩᵀHΩ)⁻¹ΩᵀH, for k random vectors Ω",
            about: "No iteration that could diverge, and accurate where all but k eigenvalues of H are small against δ.",
            way: Way::Approximation,
            needs_symmetry: true,
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
            title: "H for the identity, and the mixed product by central differences",
            formula: "v, and the mixed product is (∂c/∂λ(θ + εv) − ∂c/∂λ(θ − εv)) / 2ε with ε = perturbation/‖v‖",
            about: "",
            way: Way::Gradients,
            needs_symmetry: false,
            options: &[PERTURBATION, BATCH],
        },
        Row {
            name: "penalty",
            variant: "Penalty",
            title: "Gradients at a penalised copy of the level in the place of second derivatives",
            formula: "m·(z − y) for z = θ and a copy y that K steps of length s take down c(λ, y) + ⟨v, y⟩/m, less ⟨∇c(z), \
                      y⟩; every product is m·(∂c(z) − ∂c(z − x/m))",
            about: "F2SA (Kwon et al., 2023, arXiv:2301.10945): z minimises c, y minimises c(λ, y) + ⟨v, y⟩/m, and the \
                    indirect gradient is m·(∂c/∂λ(λ, y) − ∂c/∂λ(λ, z)), with an error of O(1/m). With y = z − x/m the \
                    steps of y are x ← x + s·(v − m·(∇c(z) − ∇c(z − x/m)) − δx), which solve Hx = v as far as c is \
                    quadratic between z and y.\n\nChoose m by how far y moves, ‖x‖/m: little enough that H is about the \
                    same there. Rounding needs no thought: y is never looked at closer to z than √u·(1 + ‖θ‖), where u is \
                    the machine precision, 1e-7 in single and 2e-16 in double precision. At that distance, which a large \
                    m always reaches, rounding costs about √u of the answer, and bias about as much.",
            way: Way::Gradients,
            needs_symmetry: false,
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
            title: "H for a multiple of the identity",
            formula: "scale·v",
            about: "With the learning rate for `scale` it is one unrolled step of gradient descent.",
            way: Way::Approximation,
            needs_symmetry: false,
            options: &[Opt::new("scale", Positive, "1.0", "the multiple of v"), BATCH],
        },
        Row {
            name: "sama",
            variant: "Sama",
            title: "The derivative of the optimizer's step in the place of H⁻¹",
            formula: "−(∂Φ/∂g)ᵀv, Φ being the step that the optimizer would take next, and the mixed product as for \
                      `finite_difference`",
            about: "Exact for one more step, and as cheap as two gradients.",
            way: Way::NextStep,
            needs_symmetry: false,
            options: &[PERTURBATION, BATCH],
        },
        Row {
            name: "dense",
            variant: "Dense",
            title: "The whole matrix H, factorized",
            formula: "the exact solution, by factorizing the matrix",
            about: "One product a column: for few parameters, and for checking the other methods.",
            way: Way::System,
            needs_symmetry: false,
            options: &[
                DAMPING,
                Opt::new("limit", Count, "4096", "the most parameters for which the matrix is formed; more are refused"),
                BATCH,
            ],
        },
        Row {
            name: "unrolled",
            variant: "Unrolled",
            title: "The level's own steps, differentiated in reverse",
            formula: "none: (∂θ_K/∂λ)ᵀ v for the K steps that were taken, step by step in reverse",
            about: "The steps that the level took since the levels above took theirs, one by one, through the optimizer's \
                    state, clipping and accumulation. Exact for what was computed, whether or not the level has \
                    converged.",
            way: Way::Reverse,
            needs_symmetry: false,
            options: &[
                Opt::new("truncate", CountOrAll, "all", "K, how many of the last steps are differentiated that a level above waited for"),
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
            title: "The level's own steps, differentiated along with them for every upper parameter",
            formula: "none: (∂θ_K/∂λ)ᵀ v = Σᵤ (v·θ̇ᵤ)u for all unit vectors u, θ̇ᵤ = (∂θ/∂λ)u being carried along with the \
                      steps",
            about: "Exact for the steps that were taken, in memory that does not grow with their number.",
            way: Way::Tangents,
            needs_symmetry: false,
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
            title: "The level's own steps, differentiated along with them in random directions",
            formula: "none: the mean of (v·θ̇ᵤ)u over random u with entries ±1, an unbiased estimate of the same",
            about: "In memory that does not grow with the number of steps.",
            way: Way::Tangents,
            needs_symmetry: false,
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
            title: "The level's own steps, taken again from displaced upper parameters",
            formula: "none: the mean of (C(θ_K(λ + σε)) − C(θ_K(λ − σε)))/2σ·ε over normal ε, without a derivative of C",
            about: "",
            way: Way::Replays,
            needs_symmetry: false,
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
                     width; a parameter of 16 bits by u times its size or more, u being the machine precision",
                ),
                Opt::new("seed", Natural, "0", "decides ε, together with the seed of the run"),
            ],
        },
        Row {
            name: "custom",
            variant: "Custom",
            title: "The user's own method, which the program names",
            formula: "what your own `HypergradientMethod` answers: `custom(MyMethod)` takes a value of any type that \
                      implements it",
            about: "",
            way: Way::Given,
            needs_symmetry: false,
            options: &[BATCH],
        },
    ],
};
