//! Hypergradients along tangents do not depend on the order in which a level waits for those below, against central differences of what
//! was run: whatever one of them does before the turn of the one that has the tangents counts.

use betty_runtime::multilevel;
use burn::tensor::Tensor;

use crate::level::Vector;
use crate::run::{Batch, above_both, above_swapped, compare, follow_top, low, mid, stream, top, valley};
use crate::unrolled::square;

fn aside(mid: &Vector, top: &Vector, batch: Batch) -> Tensor<1> {
    valley(mid.x.val(), top.x.val().cos() + batch.mul_scalar(0.2)) + square(mid.x.val() * top.x.val()).mul_scalar(0.1)
}

/// Two levels below one that waits for both, unrolled unless a config says otherwise.
macro_rules! beside {
    ($name:ident, lower: $lower:tt $above:ident, low: $low:tt $follow:ident) => {
        pub(crate) mod $name {
            use super::*;
            multilevel! {
                pub(crate) struct Run;
                level top: Vector { lower: $lower, batch: Batch, loss: $above, optimizer: sgd(lr = 1.0) }
                level mid: Vector {
                    upper: [top], batch: Batch, loss: aside, optimizer: sgd(lr = 0.3), unroll: 3, hypergradient: unrolled,
                }
                level low: Vector {
                    upper: $low, batch: Batch, loss: $follow, optimizer: sgd(lr = 0.3), unroll: 2, hypergradient: unrolled,
                }
            }
            pub(crate) fn program() -> (Run, RunData) {
                let data = RunData { top: stream(0.1), mid: stream(0.5), low: stream(0.9) };
                (Run { top: top(), mid: mid(), low: low() }, data)
            }
        }
    };
}

beside!(siblings, lower: [mid, low] above_both, low: [top] follow_top);
beside!(siblings_swapped, lower: [low, mid] above_swapped, low: [top] follow_top);

/// Where the steps of both begin, and what else they do.
const SETTINGS: [&str; 9] = [
    "{}",
    r#"{ "low": { "start": "initial" } }"#,
    r#"{ "mid": { "start": "initial" } }"#,
    r#"{ "mid": { "unroll": 1 }, "low": { "unroll": 1 } }"#,
    r#"{ "mid": { "optimizer": { "name": "adam", "lr": 0.1 }, "accumulate": 2 }, "low": { "optimizer": { "momentum": 0.6 } } }"#,
    r#"{ "top": { "rounds": 2 }, "mid": { "optimizer": { "momentum": 0.6 } } }"#,
    r#"{ "mid": { "start": "look_ahead", "optimizer": { "momentum": 0.6 } }, "low": { "start": "look_ahead" } }"#,
    r#"{ "top": { "tasks": 2 }, "mid": { "start": "look_ahead" }, "low": { "start": "look_ahead" } }"#,
    r#"{ "top": { "tasks": 2, "rounds": 2 }, "mid": { "start": "initial" }, "low": { "start": "look_ahead" } }"#,
];

/// With the tangents of this level going along with its steps.
pub(crate) fn along(level: &str, json: &str) -> String {
    let mut config: serde_json::Value = serde_json::from_str(json).unwrap();
    config[level]["hypergradient"]["method"] = "forward".into();
    config.to_string()
}

macro_rules! checked {
    ($($test:ident: $name:ident,)*) => {
        $(#[test]
        fn $test() {
            for json in SETTINGS {
                for level in ["mid", "low"] {
                    compare($name::program, (&along(level, json), json), 0, |problem| &mut problem.top);
                }
            }
        })*
    };
}

checked! {
    of_two_levels_beside_each_other: siblings,
    of_two_levels_beside_each_other_the_other_way_round: siblings_swapped,
}
