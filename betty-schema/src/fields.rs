//! The fields of a level.

use crate::level_solvers::LEVEL_SOLVERS;
use crate::methods::METHODS;
use crate::optimizers::OPTIMIZERS;
use crate::preconditioners::PRECONDITIONERS;
use crate::projections::PROJECTIONS;
use crate::range::Range;
use crate::schedules::SCHEDULES;
use crate::solvers::SOLVERS;
use crate::table::Family;
use crate::words::{CLIPS, CURVATURES, PRECISIONS, STARTS, Words};

/// The fields of a level, by what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the rows of FIELDS say what each is")]
pub enum Key {
    Upper,
    Lower,
    Batch,
    Loss,
    Condition,
    Optimizer,
    Schedule,
    Groups,
    Solver,
    Unroll,
    Warmup,
    Hypergradient,
    Preconditioner,
    Curvature,
    Solve,
    Clip,
    Project,
    AfterStep,
    Accumulate,
    Start,
    Tasks,
    Rounds,
    Vectorize,
    Train,
    Freeze,
    Precision,
    /// Of a group: see [`PATHS`].
    Paths,
}

impl Key {
    /// The name of the field, in programs and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        FIELDS.iter().chain([&PATHS]).find(|field| field.key == self).map_or("", |field| field.name)
    }
}

/// One field of a level.
pub struct Field {
    /// Which.
    pub key: Key,
    /// Its name, in programs and in JSON.
    pub name: &'static str,
    /// How it is written.
    pub example: &'static str,
    /// What holds where it is not given.
    pub absent: &'static str,
    /// What it says, in one line.
    pub meaning: &'static str,
    /// What it holds.
    pub holds: Holds,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub enum Holds {
    /// Names, types and paths, which the program fixes.
    Structure,
    /// A number in a range, and the number where none is given.
    Number(Range, usize),
    /// A name with options; none where none is given.
    Choice(&'static Family),
    /// A word.
    Word(&'static Words),
    /// A way to clip and a limit; none where none is given.
    Clip(&'static Words),
    /// Parts of a module.
    Parts,
    /// Parts of a module, each with [`fields`](OF_A_GROUP) of its own.
    Groups,
}

impl Field {
    /// Whether the program fixes it, so that no config has it.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        matches!(self.holds, Holds::Structure)
    }

    /// Whether it can say that there is none: in JSON, `null`.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        match self.holds {
            Holds::Choice(_) | Holds::Clip(_) => true,
            Holds::Word(_) | Holds::Parts => matches!(self.key, Key::Precision | Key::Train | Key::Paths),
            Holds::Structure | Holds::Number(..) | Holds::Groups => false,
        }
    }

    /// Whether every level has to have it.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.absent == REQUIRED
    }
}

const REQUIRED: &str = "an error";

/// Every field, in the order in which errors and the manual list them.
pub static FIELDS: [Field; 26] = [
    Field {
        key: Key::Upper,
        name: "upper",
        example: "upper: [weights]",
        absent: "none",
        meaning: "levels above whose current parameters the loss reads; hypergradients pass from here to there",
        holds: Holds::Structure,
    },
    Field {
        key: Key::Lower,
        name: "lower",
        example: "lower: [net]",
        absent: "none",
        meaning: "levels below whose best responses the loss reads; they are solved first",
        holds: Holds::Structure,
    },
    Field {
        key: Key::Batch,
        name: "batch",
        example: "batch: MyBatch",
        absent: REQUIRED,
        meaning: "what the level's stream yields and the loss takes last; see [Batches](#batches)",
        holds: Holds::Structure,
    },
    Field {
        key: Key::Loss,
        name: "loss",
        example: "loss: my_loss",
        absent: REQUIRED,
        meaning: "the function that the level minimises; see [Losses](#losses)",
        holds: Holds::Structure,
    },
    Field {
        key: Key::Condition,
        name: "condition",
        example: "condition: fixed_point(my_map)",
        absent: "the gradient of the loss vanishes",
        meaning: "what holds at the level's best response instead, for its derivative; see [Fixed points](#fixed-points)",
        holds: Holds::Structure,
    },
    Field {
        key: Key::Optimizer,
        name: "optimizer",
        example: "optimizer: sgd(lr = 0.1)",
        absent: "an error, unless there is a `solver`, or `groups` have all",
        meaning: "how the level takes its steps; see [Optimizers](#optimizers)",
        holds: Holds::Choice(&OPTIMIZERS),
    },
    Field {
        key: Key::Schedule,
        name: "schedule",
        example: "schedule: cosine(steps = 1000)",
        absent: "the optimizer's `lr`",
        meaning: "how the learning rate changes from step to step; see [Schedules](#schedules)",
        holds: Holds::Choice(&SCHEDULES),
    },
    Field {
        key: Key::Groups,
        name: "groups",
        example: "groups: { log_lr: { optimizer: sgd(lr = 0.1) } }",
        absent: "none",
        meaning: "parts of the module with an `optimizer`, a `schedule`, a `clip` and a `project` of their own; see \
                  [Groups of parameters](#groups-of-parameters)",
        holds: Holds::Groups,
    },
    Field {
        key: Key::Solver,
        name: "solver",
        example: "solver: lbfgs(tolerance = 1e-8)",
        absent: "the `optimizer`",
        meaning: "what finds the level's best response in the place of steps; see [Solvers of a level](#solvers-of-a-level)",
        holds: Holds::Choice(&LEVEL_SOLVERS),
    },
    Field {
        key: Key::Unroll,
        name: "unroll",
        example: "unroll: 10",
        absent: "1",
        meaning: "steps that the level takes between two steps of the levels above it",
        holds: Holds::Number(Range::Count, 1),
    },
    Field {
        key: Key::Warmup,
        name: "warmup",
        example: "warmup: 100",
        absent: "0",
        meaning: "iterations at the start in which the level takes no step, while the levels below it take theirs",
        holds: Holds::Number(Range::Natural, 0),
    },
    Field {
        key: Key::Hypergradient,
        name: "hypergradient",
        example: "hypergradient: cg(iterations = 10)",
        absent: "an error where a hypergradient passes through",
        meaning: "how the level's best response is differentiated; see [Methods](#methods)",
        holds: Holds::Choice(&METHODS),
    },
    Field {
        key: Key::Preconditioner,
        name: "preconditioner",
        example: "preconditioner: nystrom(rank = 20)",
        absent: "none",
        meaning: "what `cg`, `minres` and `gmres` multiply residuals by; see [Preconditioners](#preconditioners)",
        holds: Holds::Choice(&PRECONDITIONERS),
    },
    Field {
        key: Key::Curvature,
        name: "curvature",
        example: "curvature: partial",
        absent: "`total`",
        meaning: "of which gradient of the level, where levels below answer to it, its method takes the derivative; see \
                  [Curvature](#curvature)",
        holds: Holds::Word(&CURVATURES),
    },
    Field {
        key: Key::Solve,
        name: "solve",
        example: "solve: joint(iterations = 200)",
        absent: "level by level",
        meaning: "how the system of everything below the level is solved; see [Depth](#depth)",
        holds: Holds::Choice(&SOLVERS),
    },
    Field {
        key: Key::Clip,
        name: "clip",
        example: "clip: norm(1.0)",
        absent: "no limit",
        meaning: "scales the gradient to at most this norm, or with `value` moves each entry into ±limit",
        holds: Holds::Clip(&CLIPS),
    },
    Field {
        key: Key::Project,
        name: "project",
        example: "project: simplex(total = 1.0)",
        absent: "no constraint",
        meaning: "a set to whose nearest point the parameters are moved after each step; see [Projections](#projections)",
        holds: Holds::Choice(&PROJECTIONS),
    },
    Field {
        key: Key::AfterStep,
        name: "after_step",
        example: "after_step: my_projection",
        absent: "nothing",
        meaning: "a function of the module that is put in its place after each step; see [After a step](#after-a-step)",
        holds: Holds::Structure,
    },
    Field {
        key: Key::Accumulate,
        name: "accumulate",
        example: "accumulate: 4",
        absent: "1",
        meaning: "batches whose gradients are averaged for one step",
        holds: Holds::Number(Range::Count, 1),
    },
    Field {
        key: Key::Start,
        name: "start",
        example: "start: initial",
        absent: "`kept`",
        meaning: "where the level's steps begin each time a level above waits for it; see [Starts](#starts)",
        holds: Holds::Word(&STARTS),
    },
    Field {
        key: Key::Tasks,
        name: "tasks",
        example: "tasks: 25",
        absent: "1",
        meaning: "how often the levels below are solved, on their next batches, for one step, which averages the gradients",
        holds: Holds::Number(Range::Count, 1),
    },
    Field {
        key: Key::Rounds,
        name: "rounds",
        example: "rounds: 5",
        absent: "1",
        meaning: "how often the levels below take their `unroll` steps, one level after the other, before a step; see [Order \
                  of steps and sweeps](#order-of-steps-and-sweeps)",
        holds: Holds::Number(Range::Count, 1),
    },
    Field {
        key: Key::Vectorize,
        name: "vectorize",
        example: "vectorize: true",
        absent: "`false`",
        meaning: "computes all `tasks` of a step together; see [Tasks](#tasks)",
        holds: Holds::Number(Range::Flag, 0),
    },
    Field {
        key: Key::Train,
        name: "train",
        example: "train: [head, encoder.norm]",
        absent: "the whole module",
        meaning: "the parts of the module that are the level's parameters; see [Parts of a module](#parts-of-a-module)",
        holds: Holds::Parts,
    },
    Field {
        key: Key::Freeze,
        name: "freeze",
        example: "freeze: [encoder]",
        absent: "none",
        meaning: "parts of those that stand still",
        holds: Holds::Parts,
    },
    Field {
        key: Key::Precision,
        name: "precision",
        example: "precision: bf16",
        absent: "that of the operands",
        meaning: "the float type of matrix products and convolutions; see [Precision](#precision)",
        holds: Holds::Word(&PRECISIONS),
    },
];

/// The fields that a group of parameters has as the level has them, the first of which it has to have.
pub static OF_A_GROUP: [Key; 4] = [Key::Optimizer, Key::Schedule, Key::Clip, Key::Project];

/// The field that no level has, but a group.
pub static PATHS: Field = Field {
    key: Key::Paths,
    name: "paths",
    example: "paths: [encoder, head.bias]",
    absent: "the group's name",
    meaning: "the parts of the module that are in the group",
    holds: Holds::Parts,
};

/// The fields of a group, in order.
pub fn of_a_group() -> impl Iterator<Item = &'static Field> + Clone {
    FIELDS.iter().filter(|field| OF_A_GROUP.contains(&field.key)).chain([&PATHS])
}

/// The field of that name.
#[must_use]
pub fn field(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}
