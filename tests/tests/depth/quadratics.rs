//! Quadratic programs of every shape: exact methods must reach the closed form from any point.

use betty_runtime::{CurvatureOf, Engine, HypergradientConfig, Multilevel, ProgramConfig, Stream, multilevel};
use burn::tensor::Tensor;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use crate::level::{Vector, assert_close, matrix, vector};
use crate::reference::Quadratics;
use crate::single_loop::single_loop;

/// `Q` and `q` over the parameters that a loss reads, in the order of its arguments.
pub(crate) type Form = (Tensor<2>, Tensor<1>);

fn form(parts: Vec<Tensor<1>>, (q, linear): Form) -> Tensor<1> {
    let z = Tensor::cat(parts, 0);
    let size = z.shape()[0];
    let column = z.clone().reshape([size, 1]);
    let square = column.clone().transpose().matmul(q).matmul(column).reshape([1]).mul_scalar(0.5);
    square + (z * linear).sum()
}

fn two(a: &Vector, b: &Vector, f: Form) -> Tensor<1> {
    form(vec![a.x.val(), b.x.val()], f)
}

pub(crate) fn three(a: &Vector, b: &Vector, c: &Vector, f: Form) -> Tensor<1> {
    form(vec![a.x.val(), b.x.val(), c.x.val()], f)
}

pub(crate) fn four(a: &Vector, b: &Vector, c: &Vector, d: &Vector, f: Form) -> Tensor<1> {
    form(vec![a.x.val(), b.x.val(), c.x.val(), d.x.val()], f)
}

fn five(a: &Vector, b: &Vector, c: &Vector, d: &Vector, e: &Vector, f: Form) -> Tensor<1> {
    form(vec![a.x.val(), b.x.val(), c.x.val(), d.x.val(), e.x.val()], f)
}

/// How best responses are differentiated; `dense` in those for which nothing else is said.
const WAYS: [&str; 8] = ["dense", "joint", "prepared", "partial", "inexact", "relaxed", "cg", "penalty"];

/// One test: the total gradient of every level of a program equals the closed form, for each list of methods.
macro_rules! program {
    (
        $test:ident, $program:ident, $data:ident, $config:ident, coupling $coupling:literal, tolerance $tolerance:literal;
        $($level:ident: $size:literal, upper $upper:tt, lower $lower:tt, $loss:ident $(, $method:ident)?;)*
    ) => {
        multilevel! {
            struct $program;
            $(level $level: Vector {
                upper: $upper, lower: $lower, batch: Form, loss: $loss, optimizer: sgd(lr = 0.1),
                $(hypergradient: $method,)?
            })*
        }

        #[test]
        fn $test() {
            let mut random = StdRng::seed_from_u64(11);
            let sizes = [$($size),*];
            let mut draw = || random.random_range(-1.0..1.0);
            let form = Quadratics::random(&$program::SCHEDULE, &sizes, $coupling, &mut draw);
            let z: Vec<f64> = (0..sizes.iter().sum()).map(|_| draw()).collect();
            let in_the_middle: Vec<usize> = (0..sizes.len())
                .filter(|&s| $program::SCHEDULE.is_passed(s) && !$program::SCHEDULE.levels[s].sweep.is_empty())
                .collect();
            let exact = form.total_gradients(&$program::SCHEDULE, &[], &z);
            let partial = form.total_gradients(&$program::SCHEDULE, &in_the_middle, &z);
            let level = |name: &str| $program::SCHEDULE.level(name).unwrap();
            let stream = |s: usize| {
                let spec = &$program::SCHEDULE.levels[s];
                let (q, linear) = form.restricted(s, &[&[s], spec.upper, spec.lower].concat());
                Stream::constant((matrix(&q), vector(&linear)))
            };
            // Nested solves of many levels by iterations take their time.
            let ways = if sizes.len() > 5 { &WAYS[..5] } else { &WAYS };
            for &method in ways {
                let problem = $program { $($level: Vector::new(&z[form.part(level(stringify!($level)))]),)* };
                let data = $data { $($level: stream(level(stringify!($level))),)* };
                let mut config = $config::default();
                if method == "penalty" {
                    // Every other level: each sees products that the method of another one has a part in.
                    for level in config.levels_mut().into_iter().step_by(2) {
                        if let Some(HypergradientConfig::Dense(_)) = level.hypergradient {
                            let penalty = r#"{"method": "penalty", "steps": 30, "step_size": 0.22}"#;
                            level.hypergradient = Some(serde_json::from_str(penalty).unwrap());
                        }
                    }
                }
                if method == "joint" || method == "prepared" {
                    let prepare = method == "prepared";
                    for (level, spec) in config.levels_mut().into_iter().zip($program::SCHEDULE.levels) {
                        let joint = json!({
                            "name": "joint", "iterations": 400, "restart": 200, "tolerance": 1e-13, "prepare": prepare,
                        });
                        level.solve = (!spec.sweep.is_empty()).then(|| serde_json::from_value(joint).unwrap());
                    }
                }
                if method == "inexact" || method == "relaxed" {
                    for (level, spec) in config.levels_mut().into_iter().zip($program::SCHEDULE.levels) {
                        let inexact = json!({ "name": "inexact", "tolerance": 1e-12, "prepare": method == "inexact" });
                        level.solve = (!spec.sweep.is_empty()).then(|| serde_json::from_value(inexact).unwrap());
                    }
                }
                if method == "partial" {
                    for &s in &in_the_middle {
                        config.levels_mut()[s].curvature = CurvatureOf::Partial;
                    }
                }
                if method == "cg" {
                    for (level, size) in config.levels_mut().into_iter().zip(sizes) {
                        if let Some(HypergradientConfig::Dense(_)) = level.hypergradient {
                            // As many iterations as unknowns, and one against rounding: no time for detours.
                            let cg = json!({ "method": "cg", "iterations": size + 1, "tolerance": 1e-14 });
                            level.hypergradient = Some(serde_json::from_value(cg).unwrap());
                        }
                    }
                }
                let expected = if method == "partial" { &partial } else { &exact };
                let mut engine = Engine::new(problem, data, config).unwrap();
                for (s, spec) in $program::SCHEDULE.levels.iter().enumerate() {
                    let found = engine.gradient(spec.name).unwrap().gradient.to_vec().unwrap();
                    assert_close(&found, &expected[s], $tolerance);
                }
            }
            if sizes.len() > 4 {
                return;
            }
            // One iteration for every system at each step comes to the solution of the whole program.
            let problem = $program { $($level: Vector::new(&z[form.part(level(stringify!($level)))]),)* };
            let data = $data { $($level: stream(level(stringify!($level))),)* };
            let config = single_loop::<$program>(true);
            let mut engine = Engine::new(problem, data, config).unwrap();
            engine.run(60).unwrap();
            let problem = engine.problem();
            let z: Vec<f64> = [$(&problem.$level,)*].iter().flat_map(|level| level.values()).collect();
            let left = form.total_gradients(&$program::SCHEDULE, &[], &z).concat();
            let largest = left.iter().fold(0.0, |largest: f64, of| largest.max(of.abs()));
            assert!(largest < 1e-7, "{largest:e}");
        }
    };
}

program! {
    two_levels, TwoLevels, TwoLevelsData, TwoLevelsConfig, coupling 0.3, tolerance 1e-10;
    top: 3, upper [], lower [net], two;
    net: 4, upper [top], lower [], two, dense;
}

program! {
    a_chain_of_three, Chain3, Chain3Data, Chain3Config, coupling 0.3, tolerance 1e-9;
    top: 2, upper [], lower [middle, bottom], three;
    middle: 3, upper [top], lower [bottom], three, dense;
    bottom: 4, upper [middle], lower [], two, dense;
}

program! {
    a_chain_whose_top_reads_only_the_middle, Chain3Middle, Chain3MiddleData, Chain3MiddleConfig, coupling 0.3, tolerance 1e-9;
    top: 2, upper [], lower [middle], two;
    middle: 3, upper [top], lower [bottom], three, dense;
    bottom: 4, upper [middle, top], lower [], three, dense;
}

program! {
    a_middle_level_that_depends_on_the_top_through_the_bottom, Through, ThroughData, ThroughConfig, coupling 0.3, tolerance 1e-9;
    top: 2, upper [], lower [middle], two;
    middle: 3, upper [], lower [bottom], two, dense;
    bottom: 4, upper [middle, top], lower [], three, dense;
}

program! {
    a_chain_of_four, Chain4, Chain4Data, Chain4Config, coupling 0.3, tolerance 1e-8;
    top: 2, upper [], lower [high], two;
    high: 3, upper [top], lower [low, bottom], four, dense;
    low: 2, upper [high], lower [bottom], three, dense;
    bottom: 4, upper [low, high], lower [], three, dense;
}

program! {
    two_uppers_of_one_lower, TwoUppers, TwoUppersData, TwoUppersConfig, coupling 0.3, tolerance 1e-10;
    first: 2, upper [], lower [net], two;
    second: 3, upper [], lower [net], two;
    net: 4, upper [first, second], lower [], three, dense;
}

program! {
    two_lowers_of_one_upper, TwoLowers, TwoLowersData, TwoLowersConfig, coupling 0.3, tolerance 1e-10;
    top: 2, upper [], lower [left, right], three;
    left: 3, upper [top], lower [], two, dense;
    right: 4, upper [top], lower [], two, dense;
}

program! {
    a_pipeline, Pipeline, PipelineData, PipelineConfig, coupling 0.3, tolerance 1e-10;
    weights: 2, upper [], lower [finetuned], two;
    finetuned: 3, upper [], lower [pretrained], two, dense;
    pretrained: 4, upper [weights], lower [], two, dense;
}

program! {
    a_diamond_whose_bottom_answers_to_nobody, Fork, ForkData, ForkConfig, coupling 0.3, tolerance 1e-10;
    top: 2, upper [], lower [joint], two;
    joint: 3, upper [], lower [left, right], three, dense;
    left: 2, upper [top], lower [], two, dense;
    right: 4, upper [top], lower [], two, dense;
}

program! {
    a_pipeline_below_a_middle_level, Deep, DeepData, DeepConfig, coupling 0.3, tolerance 1e-8;
    top: 2, upper [], lower [middle], two;
    middle: 3, upper [top], lower [finetuned], three, dense;
    finetuned: 2, upper [], lower [pretrained], two, dense;
    pretrained: 3, upper [middle], lower [], two, dense;
}

program! {
    a_diamond, Diamond, DiamondData, DiamondConfig, coupling 0.3, tolerance 1e-9;
    top: 2, upper [], lower [left, right, bottom], four;
    left: 3, upper [top], lower [bottom], three, dense;
    right: 2, upper [top], lower [bottom], three, dense;
    bottom: 4, upper [left, right], lower [], three, dense;
}

program! {
    a_diamond_below_a_middle_level, DeepDiamond, DeepDiamondData, DeepDiamondConfig, coupling 0.3, tolerance 1e-8;
    top: 2, upper [], lower [middle], two;
    middle: 2, upper [top], lower [left, right], four, dense;
    left: 3, upper [middle], lower [bottom], three, dense;
    right: 2, upper [middle], lower [bottom], three, dense;
    bottom: 2, upper [left, right], lower [], three, dense;
}

program! {
    lower_levels_that_read_each_others_answers, Crossed, CrossedData, CrossedConfig, coupling 0.3, tolerance 1e-9;
    top: 2, upper [], lower [left, right], three;
    left: 3, upper [top], lower [a, b], four, dense;
    right: 2, upper [top], lower [a, b], four, dense;
    a: 2, upper [left], lower [], two, dense;
    b: 3, upper [right], lower [], two, dense;
}

program! {
    a_diamond_with_strong_coupling, Strong, StrongData, StrongConfig, coupling 1.2, tolerance 1e-9;
    top: 2, upper [], lower [left, right, bottom], four;
    left: 3, upper [top], lower [bottom], three, dense;
    right: 2, upper [top], lower [bottom], three, dense;
    bottom: 4, upper [left, right], lower [], three, dense;
}

program! {
    a_chain_of_five, Chain5, Chain5Data, Chain5Config, coupling 0.3, tolerance 1e-8;
    top: 2, upper [], lower [high], two;
    high: 2, upper [top], lower [middle], three, dense;
    middle: 1, upper [high], lower [low], three, dense;
    low: 2, upper [middle], lower [bottom], three, dense;
    bottom: 2, upper [low], lower [], two, dense;
}

program! {
    a_chain_of_six, Chain6, Chain6Data, Chain6Config, coupling 0.3, tolerance 1e-8;
    top: 2, upper [], lower [highest], two;
    highest: 1, upper [top], lower [high], three, dense;
    high: 2, upper [highest], lower [low], three, dense;
    low: 1, upper [high], lower [lowest], three, dense;
    lowest: 2, upper [low], lower [bottom], three, dense;
    bottom: 1, upper [lowest], lower [], two, dense;
}

program! {
    a_tree_of_seven, Tree, TreeData, TreeConfig, coupling 0.3, tolerance 1e-8;
    top: 2, upper [], lower [left, right], three;
    left: 2, upper [top], lower [a, b], four, dense;
    right: 1, upper [top], lower [c, d], four, dense;
    a: 1, upper [left], lower [], two, dense;
    b: 2, upper [left], lower [], two, dense;
    c: 2, upper [right], lower [], two, dense;
    d: 1, upper [right], lower [], two, dense;
}

program! {
    a_ladder_of_two_diamonds, Ladder, LadderData, LadderConfig, coupling 0.3, tolerance 1e-8;
    top: 2, upper [], lower [left, right], three;
    left: 1, upper [top], lower [middle], three, dense;
    right: 2, upper [top], lower [middle], three, dense;
    middle: 2, upper [left, right], lower [a, b], five, dense;
    a: 1, upper [middle], lower [bottom], three, dense;
    b: 2, upper [middle], lower [bottom], three, dense;
    bottom: 1, upper [a, b], lower [], three, dense;
}
