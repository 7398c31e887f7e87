//! How the learning rate of a level changes from step to step.

use crate::range::Range::{Count, Flag, Natural, NonNegative, Positive};
use crate::table::{Family, Opt, PLAIN, Row, Seen};

const FROM: Opt = host(Opt::new("from", NonNegative, "1.0", "the factor of the first step"));
const TO: Opt = host(Opt::new("to", NonNegative, "0.0", "the factor of step `steps` and of all after it"));
const STEPS: Opt = Opt::required("steps", Count, "how many steps the way from the one to the other takes");
const RISE: Opt = Opt::new(
    "rise",
    Natural,
    "0",
    "steps before those, in which the factor rises evenly from 0 to that of the first one, without either of them",
);
const RESTART: Opt = Opt::new(
    "restart",
    Flag,
    "false",
    "whether steps are counted from where the level last began anew (`start: initial`, `fresh` or `from`), and not from the \
     beginning of the run",
);

/// A number that no device computes with.
const fn host(option: Opt) -> Opt {
    option.seen(Seen::Nothing)
}

/// How a level's learning rate changes.
pub static SCHEDULES: Family = Family {
    noun: "schedule",
    nouns: "schedules",
    tag: "name",
    expected: "`null`, or an object with the `name` of a schedule",
    column: "factor of `lr` at step t = 0, 1, …",
    config: "ScheduleConfig",
    own: ("", ""),
    learnable: false,
    rows: &[
        Row {
            name: "cosine",
            variant: "CosineSchedule",
            title: "Half a period of a cosine",
            formula: "to + ½(from − to)(1 + cos(πt/steps)), and `to` from step `steps` on",
            about: "See [SGDR: Stochastic Gradient Descent with Warm Restarts](https://arxiv.org/abs/1608.03983), here without \
                    restarts.",
            options: &[FROM, TO, STEPS, RISE, RESTART],
            ..PLAIN
        },
        Row {
            name: "linear",
            variant: "LinearSchedule",
            title: "A straight line",
            formula: "from + (to − from)·t/steps, and `to` from step `steps` on",
            about: "",
            options: &[FROM, TO, STEPS, RISE, RESTART],
            ..PLAIN
        },
        Row {
            name: "exponential",
            variant: "ExponentialSchedule",
            title: "The same factor from step to step",
            formula: "gammaᵗ",
            about: "",
            options: &[
                host(Opt::required("gamma", Positive, "what each step multiplies the rate of the one before by")),
                RISE,
                RESTART,
            ],
            ..PLAIN
        },
        Row {
            name: "step",
            variant: "StepSchedule",
            title: "The same factor once in a while",
            formula: "gamma to the power ⌊t/steps⌋",
            about: "",
            options: &[
                Opt::required("steps", Count, "how many steps have the same rate"),
                host(Opt::new("gamma", Positive, "0.1", "what the rate is multiplied by after those")),
                RISE,
                RESTART,
            ],
            ..PLAIN
        },
        Row {
            name: "noam",
            variant: "NoamSchedule",
            title: "A rise, and then the inverse square root of the steps",
            formula: "size^(−½)·min((t + 1)^(−½), (t + 1)·rise^(−3/2))",
            about: "See [Attention Is All You Need](https://arxiv.org/abs/1706.03762).",
            options: &[
                Opt::required("rise", Count, "steps in which the factor rises"),
                Opt::required("size", Count, "the width of the model; 1 for none"),
                RESTART,
            ],
            ..PLAIN
        },
    ],
};
