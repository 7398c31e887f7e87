//! Numbers that are expressions of constants.

use betty_runtime::{
    Clip, Engine, EngineError, HypergradientConfig, Multilevel, OptimizerConfig, ProgramConfig, ScheduleConfig, Stream,
    multilevel,
};
use betty_tests::vectors::{parameter, tensor, values};
use burn::module::Param;
use burn::tensor::Tensor;

type Vector = Param<Tensor<1>>;

/// A module of numbers, as programs have them.
mod defaults {
    pub(super) const LR: f64 = 0.5;
    pub(super) const STEPS: usize = 6;

    pub(super) const fn half(number: f64) -> f64 {
        number / 2.0
    }
}

const LIMIT: f64 = 3.0;
/// Named as the generated code would name it.
const VALUE: usize = 1;
const LATE: usize = 2;

multilevel! {
    struct Constant;

    level lambda: Vector {
        lower: [x],
        batch: Tensor<1>,
        loss: judge,
        optimizer: sgd(lr = 2.0 * 0.1, momentum = defaults::half(defaults::LR), nesterov = true),
        warmup: LATE,
        accumulate: VALUE + 1,
        clip: norm(LIMIT),
        project: clamp(low = -LIMIT, high = LIMIT),
    }

    level x: Vector {
        upper: [lambda],
        batch: Tensor<1>,
        loss: fit,
        optimizer: sgd(lr = defaults::LR),
        unroll: defaults::STEPS,
        hypergradient: unrolled(truncate = defaults::STEPS / 2),
    }
}

fn fit(x: &Vector, lambda: &Vector, batch: Tensor<1>) -> Tensor<1> {
    (x.val() - lambda.val() * batch).square().sum()
}

fn judge(_lambda: &Vector, x: &Vector, batch: Tensor<1>) -> Tensor<1> {
    (x.val() - batch).square().sum()
}

#[test]
fn they_are_the_numbers_of_the_program() {
    let config = ConstantConfig::default();
    assert!(config.validate(&Constant::SCHEDULE).is_ok());
    let lambda = &config.lambda;
    let Some(OptimizerConfig::Sgd(sgd)) = &lambda.optimizer else { panic!("{lambda:?}") };
    assert_eq!((sgd.lr.fixed(), sgd.momentum.fixed(), sgd.nesterov), (Some(2.0 * 0.1), Some(0.25), true));
    assert_eq!((lambda.warmup, lambda.accumulate, lambda.clip), (2, 2, Some(Clip::Norm(3.0))));
    let Some(HypergradientConfig::Unrolled(unrolled)) = &config.x.hypergradient else { panic!("{:?}", config.x) };
    assert_eq!((config.x.unroll, unrolled.truncate), (6, Some(3)));
}

/// What numbers mean beside each other is found when the engine is made, as for numbers of a config.
#[test]
fn they_are_held_against_each_other_where_an_engine_is_made() {
    let data = || ConstantData { lambda: Stream::constant(tensor(&[1.0])), x: Stream::constant(tensor(&[1.0])) };
    let problem = || Constant { lambda: parameter(&[0.5]), x: parameter(&[0.0]) };
    assert!(Engine::new(problem(), data(), ConstantConfig::default()).is_ok());
    let mut config = ConstantConfig::default();
    config.x.unroll = 2;
    let error =
        Engine::new(problem(), data(), config).map(drop).expect_err("more steps are differentiated than are taken");
    assert!(matches!(error, EngineError::Config(_)), "{error}");
}

/// Numbers that stand together.
struct Defaults {
    lr: f64,
    unroll: usize,
}

const DEFAULTS: Defaults = Defaults { lr: 0.25, unroll: 4 };
const SEED: u64 = 9;
const FEW: u8 = 2;

multilevel! {
    struct Shared;

    level lambda: Vector {
        lower: [x],
        batch: Tensor<1>,
        loss: judge,
        optimizer: sgd(lr = DEFAULTS.lr),
        schedule: cosine(steps = LATE, rise = LATE + 1),
        warmup: FEW,
    }

    level x: Vector {
        upper: [lambda],
        batch: Tensor<1>,
        loss: fit,
        optimizer: sgd(lr = 2.0 * DEFAULTS.lr),
        unroll: DEFAULTS.unroll,
        hypergradient: nystrom(rank = SEED - 6, damping = 0.1, seed = 1 << 40),
    }
}

/// An option may be of another type than the constant that it is given.
#[test]
fn fields_of_constants_and_integers_of_any_type() {
    let config = SharedConfig::default();
    assert_eq!(config.lambda.optimizer.as_ref().and_then(|optimizer| optimizer.lr().fixed()), Some(0.25));
    assert_eq!(config.x.optimizer.as_ref().and_then(|optimizer| optimizer.lr().fixed()), Some(0.5));
    let Some(ScheduleConfig::CosineSchedule(cosine)) = &config.lambda.schedule else { panic!("{:?}", config.lambda) };
    assert_eq!((cosine.steps, cosine.rise, config.lambda.warmup, config.x.unroll), (2, 3, 2, 4));
    let Some(HypergradientConfig::Nystrom(nystrom)) = &config.x.hypergradient else { panic!("{:?}", config.x) };
    assert_eq!((nystrom.rank, nystrom.seed), (3, 1 << 40));
}

const STEPS: usize = 2;

macro_rules! tasks {
    ($name:ident, $truncate:expr, $vectorize:literal) => {
        multilevel! {
            struct $name;

            level lambda: Vector {
                lower: [x], batch: Tensor<1>, loss: judge, optimizer: sgd(lr = 0.1), tasks: 3, vectorize: $vectorize,
            }

            level x: Vector {
                upper: [lambda], batch: Tensor<1>, loss: fit, optimizer: sgd(lr = 0.1), unroll: 4,
                hypergradient: unrolled(truncate = $truncate),
            }
        }
    };
}

tasks!(Together, STEPS, true);
tasks!(Alone, 2, false);

/// A constant looks back a number of steps like any number does, so that tasks which go on from each other go one by one.
#[test]
fn a_constant_limits_steps_as_a_number_does() {
    macro_rules! trained {
        ($name:ident, $data:ident) => {{
            let data = $data { lambda: Stream::constant(tensor(&[1.0])), x: Stream::constant(tensor(&[0.7])) };
            let problem = $name { lambda: parameter(&[0.5]), x: parameter(&[0.0]) };
            let mut engine = Engine::new(problem, data, Default::default()).unwrap();
            engine.run(3).unwrap();
            values(&engine.problem().lambda)
        }};
    }
    let together = trained!(Together, TogetherData);
    assert_eq!(together, trained!(Alone, AloneData));
    assert_ne!(together, [0.5]);
}

const UNROLLS: [u32; 3] = [3, 5, 8];
const FAST: bool = true;
const RISE: usize = 4;

/// A constant of a type.
trait Wide {
    const WIDTH: u16;
}

impl Wide for Vector {
    const WIDTH: u16 = 7;
}

multilevel! {
    struct Indexed;

    level lambda: Vector {
        lower: [x],
        batch: Tensor<1>,
        loss: judge,
        optimizer: sgd(lr = if FAST { 0.5 } else { DEFAULTS.lr }),
        schedule: cosine(steps = <Vector as Wide>::WIDTH, rise = if FAST { RISE } else { 10 }),
        warmup: match UNROLLS { [3, ..] => FEW, _ => 0 },
    }

    level x: Vector {
        upper: [lambda],
        batch: Tensor<1>,
        loss: fit,
        optimizer: sgd(lr = 0.1),
        unroll: UNROLLS[1] + [1, 2][0],
        hypergradient: nystrom(rank = { const HALF: usize = RISE / 2; HALF + 2 }, damping = 0.1, seed = size_of::<[u64; 2]>()),
    }
}

/// Elements, branches and constants of types are integers of any type too.
#[test]
fn integers_from_expressions_of_any_shape() {
    let config = IndexedConfig::default();
    assert_eq!(config.lambda.optimizer.as_ref().and_then(|optimizer| optimizer.lr().fixed()), Some(0.5));
    let Some(ScheduleConfig::CosineSchedule(cosine)) = &config.lambda.schedule else { panic!("{:?}", config.lambda) };
    assert_eq!((cosine.steps, cosine.rise, config.lambda.warmup, config.x.unroll), (7, 4, 2, 6));
    let Some(HypergradientConfig::Nystrom(nystrom)) = &config.x.hypergradient else { panic!("{:?}", config.x) };
    assert_eq!((nystrom.rank, nystrom.seed), (4, 16));
}
