//! The optimizers with which levels take their own steps.
//!
//! Throughout, θ are the parameters, g is the gradient after clipping, t = 1, 2, … counts the steps.

use crate::range::Range::{Flag, Fraction, NonNegative, Positive};
use crate::table::{Family, Opt, PLAIN, Row, Seen, Way};

const LR: Opt = Opt::required("lr", Positive, "the learning rate");
const WEIGHT_DECAY: Opt = Opt::new("weight_decay", NonNegative, "0.0", "the weight of the penalty ½‖θ‖²").at_rest();
const EPSILON: Opt = Opt::new("epsilon", Positive, "1e-5", "ε, which bounds the step where gradients vanish");
const BETA_1: Opt = Opt::new("beta_1", Fraction, "0.9", "β₁, the decay of the mean of gradients");
const BETA_2: Opt = Opt::new("beta_2", Fraction, "0.999", "β₂, the decay of the mean of squared gradients");

/// The optimizer, and the options of it, that change nothing without its `momentum`.
pub const NEEDS_MOMENTUM: (&str, [&str; 2]) = ("sgd", ["dampening", "nesterov"]);

/// How a level takes its own steps.
pub static OPTIMIZERS: Family = Family {
    noun: "optimizer",
    nouns: "optimizers",
    tag: "name",
    expected: "an object with the `name` of an optimizer",
    column: "step",
    config: "OptimizerConfig",
    own: ("Optimizer", "custom(MyOptimizer, lr = 0.1)"),
    learnable: true,
    rows: &[
        Row {
            name: "sgd",
            variant: "Sgd",
            title: "Stochastic gradient descent, with or without momentum",
            formula: "u = g + weight_decay·θ; m ← momentum·m + (1 − dampening)·u; θ ← θ − lr·m, with `nesterov` θ ← θ − lr·(u \
                      + momentum·m)",
            about: "m is u at the first step. See [On the importance of initialization and momentum in deep \
                    learning](http://www.cs.toronto.edu/~hinton/absps/momentum.pdf).",
            options: &[
                LR,
                Opt::new(
                    "momentum",
                    Fraction,
                    "0.0",
                    "the part of the last direction that is kept; 0 is plain descent",
                ),
                Opt::new(
                    "dampening",
                    Fraction,
                    "0.0",
                    "the part of a new gradient that stays out of the momentum; refused without one",
                ),
                Opt::new("nesterov", Flag, "false", "whether to look ahead along the momentum; refused without one"),
                WEIGHT_DECAY,
            ],
            ..PLAIN
        },
        Row {
            name: "adam",
            variant: "Adam",
            title: "Adam",
            formula: "u = g + weight_decay·θ; m ← β₁m + (1 − β₁)u; v ← β₂v + (1 − β₂)u²; θ ← θ − lr·m̂/(√v̂ + ε), both \
                      corrected for their start at zero",
            about: "m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ). See [Adam: A Method for Stochastic \
                    Optimization](https://arxiv.org/abs/1412.6980).",
            options: &[LR, BETA_1, BETA_2, EPSILON, WEIGHT_DECAY],
            ..PLAIN
        },
        Row {
            name: "adamw",
            variant: "AdamW",
            title: "Adam with decoupled weight decay",
            formula: "θ ← (1 − lr·weight_decay)·θ, then as `adam` with u = g",
            about: "See [Decoupled Weight Decay Regularization](https://arxiv.org/abs/1711.05101).",
            options: &[
                LR,
                BETA_1,
                BETA_2,
                EPSILON,
                Opt::new(
                    "weight_decay",
                    NonNegative,
                    "1e-4",
                    "the part of the parameters that a step of learning rate 1 would remove, apart from the gradient",
                ),
            ],
            ..PLAIN
        },
        Row {
            name: "rmsprop",
            variant: "RmsProp",
            title: "RMSprop",
            formula: "u = g + weight_decay·θ; v ← αv + (1 − α)u²; b ← momentum·b + u/(√v + ε); θ ← θ − lr·b; with `centered`, \
                      v less the squared mean of u",
            about: "See [Neural Networks for Machine Learning, lecture \
                    6](https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf).",
            options: &[
                LR,
                Opt::new("alpha", Fraction, "0.99", "α, the decay of the moving averages"),
                Opt::new("momentum", Fraction, "0.9", "the part of the last direction that is kept"),
                EPSILON,
                Opt::new("centered", Flag, "false", "whether to divide by the standard deviation of gradients"),
                WEIGHT_DECAY,
            ],
            ..PLAIN
        },
        Row {
            name: "adagrad",
            variant: "AdaGrad",
            title: "Adagrad",
            formula: "u = g + weight_decay·θ; s ← s + u²; θ ← θ − lr/(1 + (t − 1)·lr_decay)·u/(√s + ε) in step t",
            about: "See [Adaptive Subgradient Methods for Online Learning and Stochastic \
                    Optimization](https://jmlr.org/papers/v12/duchi11a.html).",
            options: &[
                LR,
                Opt::new("lr_decay", NonNegative, "0.0", "how fast the learning rate falls").seen(Seen::Nothing),
                EPSILON,
                WEIGHT_DECAY,
            ],
            ..PLAIN
        },
        Row {
            name: "custom",
            variant: "CustomOptimizer",
            title: "The user's own optimizer, which the program names",
            formula: "what your own `Optimizer` computes: `custom(MyOptimizer, lr = 0.1)` takes a value of any type that implements \
                      it",
            about: "",
            way: Way::Given,
            options: &[LR],
            ..PLAIN
        },
    ],
};
