//! The sets to which a level's parameters can be confined.

use crate::range::Range::{Number, Positive};
use crate::table::{Family, Opt, PLAIN, Row, Seen};

const LOW: Opt = Opt::new("low", Number, "0.0", "the smallest value allowed");

/// What a level's parameters are moved to after each of its steps.
pub static PROJECTIONS: Family = Family {
    noun: "projection",
    nouns: "projections",
    tag: "name",
    expected: "`null`, or an object with the `name` of a projection",
    column: "set",
    config: "ProjectionConfig",
    own: ("", ""),
    learnable: false,
    rows: &[
        Row {
            name: "at_least",
            variant: "AtLeast",
            title: "Numbers that are large enough",
            formula: "every entry is at least `low`",
            about: "",
            options: &[LOW],
            ..PLAIN
        },
        Row {
            name: "clamp",
            variant: "Clamp",
            title: "Numbers between two bounds",
            formula: "every entry lies in [`low`, `high`]",
            about: "",
            options: &[LOW, Opt::new("high", Number, "1.0", "the largest value allowed, greater than `low`")],
            ..PLAIN
        },
        Row {
            name: "simplex",
            variant: "Simplex",
            title: "Numbers that are not negative and sum to a constant",
            formula: "along the last dimension of each tensor, entries are not negative and sum to `total`",
            about: "A vector is one point of the simplex, a matrix has one in each row.",
            options: &[Opt::new("total", Positive, "1.0", "what the entries sum to")],
            ..PLAIN
        },
        Row {
            name: "norm_ball",
            variant: "NormBall",
            title: "Parameters of a limited norm",
            formula: "‖θ‖₂ ≤ `radius`, for all parameters of the level together",
            about: "",
            options: &[Opt::new("radius", Positive, "1.0", "the largest norm allowed").seen(Seen::Square)],
            ..PLAIN
        },
    ],
};
