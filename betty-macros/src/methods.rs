//! The one table of fields, methods, optimizers and options: what may be written, in which range, and its default.

/// The fields of a level.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Upper,
    Lower,
    Batch,
    Loss,
    Optimizer,
    Unroll,
    Warmup,
    Hypergradient,
    Clip,
    Project,
    Accumulate,
    Start,
    Tasks,
    Rounds,
    Vectorize,
    Train,
    Freeze,
    Precision,
}

/// How a field is written.
pub(crate) struct Field {
    pub(crate) key: Key,
    pub(crate) name: &'static str,
    /// For errors about its shape.
    pub(crate) example: &'static str,
}

/// Every field, in the order in which errors and the manual list them.
pub(crate) static FIELDS: [Field; 18] = [
    Field { key: Key::Upper, name: "upper", example: "upper: [weights]" },
    Field { key: Key::Lower, name: "lower", example: "lower: [net]" },
    Field { key: Key::Batch, name: "batch", example: "batch: MyBatch" },
    Field { key: Key::Loss, name: "loss", example: "loss: my_loss" },
    Field { key: Key::Optimizer, name: "optimizer", example: "optimizer: sgd(lr = 0.1)" },
    Field { key: Key::Unroll, name: "unroll", example: "unroll: 10" },
    Field { key: Key::Warmup, name: "warmup", example: "warmup: 100" },
    Field { key: Key::Hypergradient, name: "hypergradient", example: "hypergradient: cg(iterations = 10)" },
    Field { key: Key::Clip, name: "clip", example: "clip: norm(1.0)" },
    Field { key: Key::Project, name: "project", example: "project: simplex(total = 1.0)" },
    Field { key: Key::Accumulate, name: "accumulate", example: "accumulate: 4" },
    Field { key: Key::Start, name: "start", example: "start: initial" },
    Field { key: Key::Tasks, name: "tasks", example: "tasks: 25" },
    Field { key: Key::Rounds, name: "rounds", example: "rounds: 5" },
    Field { key: Key::Vectorize, name: "vectorize", example: "vectorize: true" },
    Field { key: Key::Train, name: "train", example: "train: [head, encoder.norm]" },
    Field { key: Key::Freeze, name: "freeze", example: "freeze: [encoder]" },
    Field { key: Key::Precision, name: "precision", example: "precision: bf16" },
];

/// The field of that name.
pub(crate) fn field(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

/// A field whose value is a name with options, and the names it knows.
pub(crate) struct Family {
    /// What one of the names is called in a sentence.
    pub(crate) noun: &'static str,
    pub(crate) nouns: &'static str,
    /// The enum of the runtime that holds the choice.
    pub(crate) config: &'static str,
    /// Whether levels above can learn its numbers.
    pub(crate) learnable: bool,
    pub(crate) entries: &'static [Entry],
}

impl Family {
    pub(crate) fn find(&self, name: &str) -> Option<&'static Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.entries.iter().map(|entry| entry.name)
    }
}

/// A method or an optimizer.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// The variant of [`Family::config`].
    pub(crate) variant: &'static str,
    /// The struct inside the variant; its fields are the options.
    pub(crate) config: &'static str,
    pub(crate) options: &'static [Opt],
}

impl Entry {
    pub(crate) fn find(&self, name: &str) -> Option<&'static Opt> {
        self.options.iter().find(|option| option.name == name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.options.iter().map(|option| option.name)
    }
}

/// An option of a method or an optimizer.
pub(crate) struct Opt {
    pub(crate) name: &'static str,
    pub(crate) range: Range,
    /// As Rust and JSON both write it; an option without a default has to be given.
    pub(crate) default: Option<&'static str>,
}

/// What an option accepts.
#[derive(Clone, Copy)]
pub(crate) enum Range {
    /// 1, 2, 3, …
    Count,
    /// 1, 2, 3, … or the word `all`
    CountOrAll,
    /// 0, 1, 2, …
    Natural,
    Number,
    /// x > 0
    Positive,
    /// x ≥ 0
    NonNegative,
    /// 0 ≤ x < 1
    Fraction,
    Flag,
    /// Which batch of a lower level its hypergradient uses.
    Batch,
}

/// The word of [`Range::CountOrAll`].
pub(crate) const ALL: &str = "all";

/// The words of [`Range::Batch`] and the variants of the runtime's `LowerBatch`.
pub(crate) static BATCHES: [(&str, &str); 2] = [("last", "Last"), ("fresh", "Fresh")];

impl Range {
    /// Completes "… must be".
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Count => "an integer greater than zero",
            Self::CountOrAll => "an integer greater than zero, or `all`",
            Self::Natural => "an integer that is not negative",
            Self::Number => "a number",
            Self::Positive => "a number greater than zero",
            Self::NonNegative => "a number that is not negative",
            Self::Fraction => "a number that is not negative and less than 1",
            Self::Flag => "`true` or `false`",
            Self::Batch => "`last` or `fresh`",
        }
    }

    /// Whether a level above may learn it, where the family is learnable.
    pub(crate) fn is_learnable(self) -> bool {
        matches!(self, Self::Positive | Self::NonNegative | Self::Fraction)
    }

    /// Whether the number lies in the range; only for ranges of numbers.
    pub(crate) fn contains(self, number: f64) -> bool {
        number.is_finite()
            && match self {
                Self::Count | Self::CountOrAll => number >= 1.0,
                Self::Number => true,
                Self::Positive => number > 0.0,
                Self::Natural | Self::NonNegative => number >= 0.0,
                Self::Fraction => (0.0..1.0).contains(&number),
                Self::Flag | Self::Batch => false,
            }
    }
}

const fn required(name: &'static str, range: Range) -> Opt {
    Opt { name, range, default: None }
}

const fn option(name: &'static str, range: Range, default: &'static str) -> Opt {
    Opt { name, range, default: Some(default) }
}

const DAMPING: Opt = option("damping", Range::NonNegative, "0.0");
const WARM_START: Opt = option("warm_start", Range::Flag, "false");
const BATCH: Opt = option("batch", Range::Batch, "last");

/// The methods that go through the level's own steps.
pub(crate) static THROUGH_STEPS: [&str; 4] = ["unrolled", "forward", "forward_gradient", "evolution"];

/// The one of them that takes the steps again.
pub(crate) const EVOLUTION: &str = "evolution";

/// The method that is given as a value: `custom(MyMethod)`.
pub(crate) const CUSTOM: &str = "custom";

/// How a best-response system is solved.
pub(crate) static METHODS: Family = Family {
    noun: "method",
    nouns: "methods",
    config: "HypergradientConfig",
    learnable: false,
    entries: &[
        Entry {
            name: "cg",
            variant: "Cg",
            config: "CgConfig",
            options: &[
                option("iterations", Range::Count, "10"),
                option("tolerance", Range::NonNegative, "1e-10"),
                DAMPING,
                WARM_START,
                BATCH,
            ],
        },
        Entry {
            name: "minres",
            variant: "Minres",
            config: "MinresConfig",
            options: &[
                option("iterations", Range::Count, "10"),
                option("tolerance", Range::NonNegative, "1e-10"),
                DAMPING,
                WARM_START,
                BATCH,
            ],
        },
        Entry {
            name: "gmres",
            variant: "Gmres",
            config: "GmresConfig",
            options: &[
                option("iterations", Range::Count, "10"),
                option("restart", Range::Count, "30"),
                option("tolerance", Range::NonNegative, "1e-10"),
                DAMPING,
                WARM_START,
                BATCH,
            ],
        },
        Entry {
            name: "neumann",
            variant: "Neumann",
            config: "NeumannConfig",
            options: &[
                option("terms", Range::Count, "10"),
                option("step_size", Range::Positive, "0.1"),
                DAMPING,
                WARM_START,
                BATCH,
            ],
        },
        Entry {
            name: "nystrom",
            variant: "Nystrom",
            config: "NystromConfig",
            options: &[
                option("rank", Range::Count, "10"),
                option("damping", Range::Positive, "1e-2"),
                option("seed", Range::Natural, "0"),
                BATCH,
            ],
        },
        Entry {
            name: "finite_difference",
            variant: "FiniteDifference",
            config: "FiniteDifferenceConfig",
            options: &[option("perturbation", Range::Positive, "1e-2"), BATCH],
        },
        Entry {
            name: "penalty",
            variant: "Penalty",
            config: "PenaltyConfig",
            options: &[
                option("multiplier", Range::Positive, "100.0"),
                option("steps", Range::Count, "10"),
                option("step_size", Range::Positive, "0.1"),
                DAMPING,
                option("warm_start", Range::Flag, "true"),
                BATCH,
            ],
        },
        Entry {
            name: "identity",
            variant: "Identity",
            config: "IdentityConfig",
            options: &[option("scale", Range::Positive, "1.0"), BATCH],
        },
        Entry {
            name: "sama",
            variant: "Sama",
            config: "SamaConfig",
            options: &[option("perturbation", Range::Positive, "1e-2"), BATCH],
        },
        Entry {
            name: "dense",
            variant: "Dense",
            config: "DenseConfig",
            options: &[DAMPING, option("limit", Range::Count, "4096"), BATCH],
        },
        Entry {
            name: "unrolled",
            variant: "Unrolled",
            config: "UnrolledConfig",
            options: &[option("truncate", Range::CountOrAll, "all"), option("memory", Range::CountOrAll, "all")],
        },
        Entry {
            name: "forward",
            variant: "Forward",
            config: "ForwardConfig",
            options: &[option("limit", Range::Count, "64")],
        },
        Entry {
            name: "forward_gradient",
            variant: "ForwardGradient",
            config: "ForwardGradientConfig",
            options: &[option("directions", Range::Count, "8"), option("seed", Range::Natural, "0")],
        },
        Entry {
            name: EVOLUTION,
            variant: "Evolution",
            config: "EvolutionConfig",
            options: &[
                option("pairs", Range::Count, "8"),
                option("sigma", Range::Positive, "0.1"),
                option("seed", Range::Natural, "0"),
            ],
        },
        Entry { name: CUSTOM, variant: "Custom", config: "CustomConfig", options: &[BATCH] },
    ],
};

/// How a level takes its own steps.
pub(crate) static OPTIMIZERS: Family = Family {
    noun: "optimizer",
    nouns: "optimizers",
    config: "OptimizerConfig",
    learnable: true,
    entries: &[
        Entry {
            name: "sgd",
            variant: "Sgd",
            config: "SgdConfig",
            options: &[
                required("lr", Range::Positive),
                option("momentum", Range::Fraction, "0.0"),
                option("dampening", Range::Fraction, "0.0"),
                option("nesterov", Range::Flag, "false"),
                option("weight_decay", Range::NonNegative, "0.0"),
            ],
        },
        Entry {
            name: "adam",
            variant: "Adam",
            config: "AdamConfig",
            options: &[
                required("lr", Range::Positive),
                option("beta_1", Range::Fraction, "0.9"),
                option("beta_2", Range::Fraction, "0.999"),
                option("epsilon", Range::Positive, "1e-5"),
                option("weight_decay", Range::NonNegative, "0.0"),
            ],
        },
        Entry {
            name: "adamw",
            variant: "AdamW",
            config: "AdamWConfig",
            options: &[
                required("lr", Range::Positive),
                option("beta_1", Range::Fraction, "0.9"),
                option("beta_2", Range::Fraction, "0.999"),
                option("epsilon", Range::Positive, "1e-5"),
                option("weight_decay", Range::NonNegative, "1e-4"),
            ],
        },
        Entry {
            name: "rmsprop",
            variant: "RmsProp",
            config: "RmsPropConfig",
            options: &[
                required("lr", Range::Positive),
                option("alpha", Range::Fraction, "0.99"),
                option("momentum", Range::Fraction, "0.9"),
                option("epsilon", Range::Positive, "1e-5"),
                option("centered", Range::Flag, "false"),
                option("weight_decay", Range::NonNegative, "0.0"),
            ],
        },
        Entry {
            name: "adagrad",
            variant: "AdaGrad",
            config: "AdaGradConfig",
            options: &[
                required("lr", Range::Positive),
                option("lr_decay", Range::NonNegative, "0.0"),
                option("epsilon", Range::Positive, "1e-5"),
                option("weight_decay", Range::NonNegative, "0.0"),
            ],
        },
    ],
};

/// The sets to which a level's parameters can be confined.
pub(crate) static PROJECTIONS: Family = Family {
    noun: "projection",
    nouns: "projections",
    config: "ProjectionConfig",
    learnable: false,
    entries: &[
        Entry {
            name: "at_least",
            variant: "AtLeast",
            config: "AtLeastConfig",
            options: &[option("low", Range::Number, "0.0")],
        },
        Entry {
            name: "clamp",
            variant: "Clamp",
            config: "ClampConfig",
            options: &[option("low", Range::Number, "0.0"), option("high", Range::Number, "1.0")],
        },
        Entry {
            name: "simplex",
            variant: "Simplex",
            config: "SimplexConfig",
            options: &[option("total", Range::Positive, "1.0")],
        },
        Entry {
            name: "norm_ball",
            variant: "NormBall",
            config: "NormBallConfig",
            options: &[option("radius", Range::Positive, "1.0")],
        },
    ],
};

/// The functions that keep a learned number in its range, and the variants of the runtime's `Transform`.
pub(crate) static TRANSFORMS: [(&str, &str); 3] = [("exp", "Exp"), ("softplus", "Softplus"), ("sigmoid", "Sigmoid")];

/// The one of them that stays below 1.
pub(crate) const SIGMOID: &str = "sigmoid";

/// Where a level's steps begin each time the levels above wait for it, and the variants of the runtime's `Start`; `from`
/// takes the name of a level.
pub(crate) static STARTS: [(&str, &str); 4] =
    [("kept", "Kept"), ("initial", "Initial"), ("look_ahead", "LookAhead"), ("from", "From")];

/// The ways to clip a gradient, and the variants of the runtime's `Clip`; each takes one number greater than zero.
pub(crate) static CLIPS: [(&str, &str); 2] = [("norm", "Norm"), ("value", "Value")];

/// The float types of products, and the variants of the runtime's `Precision`.
pub(crate) static PRECISIONS: [(&str, &str); 3] = [("f32", "F32"), ("bf16", "Bf16"), ("f16", "F16")];
