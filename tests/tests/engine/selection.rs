//! Frozen and selected parameters: what stands still is read as before and is no variable of its level.

use betty_runtime::nn::BatchNorm;
use betty_runtime::{
    Batch, CheckpointError, ConfigError, Engine, EngineError, Multilevel, ProgramConfig, Stream, StreamPosition,
    multilevel,
};
use betty_runtime::{ModuleError, StartError};
use betty_tests::vectors::{parameter, tensor, values};
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::{Module, Param, ParamGroup};
use burn::nn::BatchNormConfig;
use burn::tensor::{DType, Device, Tensor, TensorData};

type Point = Param<Tensor<1>>;

/// `x` is what is trained, `y` what it is read with.
#[derive(Module, Debug)]
struct Pair {
    y: Point,
    x: Point,
}

#[derive(Module, Debug)]
struct Part {
    x: Point,
}

/// `y` in the program that has it as data.
#[derive(Batch, Clone)]
struct Known {
    y: Tensor<1>,
}

const X: [f64; 2] = [0.3, -0.7];
const Y: [f64; 2] = [0.8, 0.5];
const LAMBDA: [f64; 2] = [0.6, -0.2];
const CURVATURE: [f64; 2] = [1.5, 2.0];
const TARGET: [f64; 2] = [0.1, 0.4];

/// A constant inside of a loss.
fn constant(values: &[f64; 2], beside: &Tensor<1>) -> Tensor<1> {
    Tensor::from_data(TensorData::from(*values), (&beside.device(), DType::F64))
}

/// c = ½ Σ aᵢxᵢ² + ½ (x·y)² − λ·x
fn fit(x: Tensor<1>, y: Tensor<1>, lambda: Tensor<1>) -> Tensor<1> {
    let along = (x.clone() * y).sum();
    let bowl = (constant(&CURVATURE, &x) * x.clone().square()).sum() * 0.5;
    bowl + along.square() * 0.5 - (lambda * x).sum()
}

/// C = ½‖x − t‖² + ½‖y‖²·x₀
fn judge(x: Tensor<1>, y: Tensor<1>) -> Tensor<1> {
    let size = y.square().sum() * 0.5;
    (x.clone() - constant(&TARGET, &x)).square().sum() * 0.5 + size * x.slice(0..1)
}

fn fit_pair(pair: &Pair, lambda: &Pair, _batch: ()) -> Tensor<1> {
    fit(pair.x.val(), pair.y.val(), lambda.x.val() + lambda.y.val())
}

fn judge_pair(_lambda: &Pair, pair: &Pair, _batch: ()) -> Tensor<1> {
    judge(pair.x.val(), pair.y.val())
}

fn fit_part(part: &Part, lambda: &Part, known: Known) -> Tensor<1> {
    fit(part.x.val(), known.y, lambda.x.val())
}

fn judge_part(_lambda: &Part, part: &Part, known: Known) -> Tensor<1> {
    judge(part.x.val(), known.y)
}

multilevel! {
    struct Whole;

    level lambda: Pair { lower: [pair], batch: (), loss: judge_pair, optimizer: adam(lr = 0.1), train: [x] }
    level pair: Pair {
        upper: [lambda], batch: (), loss: fit_pair,
        optimizer: adamw(lr = 0.05, weight_decay = 0.1), clip: norm(0.5), unroll: 3, hypergradient: dense, freeze: [y],
    }
}

multilevel! {
    struct Small;

    level lambda: Part { lower: [part], batch: Known, loss: judge_part, optimizer: adam(lr = 0.1) }
    level part: Part {
        upper: [lambda], batch: Known, loss: fit_part,
        optimizer: adamw(lr = 0.05, weight_decay = 0.1), clip: norm(0.5), unroll: 3, hypergradient: dense,
    }
}

fn pairs() -> Whole {
    Whole {
        lambda: Pair { y: parameter(&[0.0, 0.0]), x: parameter(&LAMBDA) },
        pair: Pair { y: parameter(&Y), x: parameter(&X) },
    }
}

fn whole(problem: Whole, json: &str) -> Result<Engine<Whole>, EngineError> {
    let data = WholeData { lambda: Stream::constant(()), pair: Stream::constant(()) };
    Engine::new(problem, data, WholeConfig::from_json(json).unwrap())
}

fn small(json: &str) -> Engine<Small> {
    let known = || Stream::constant(Known { y: tensor(&Y) });
    let problem = Small { lambda: Part { x: parameter(&LAMBDA) }, part: Part { x: parameter(&X) } };
    let data = SmallData { lambda: known(), part: known() };
    Engine::new(problem, data, SmallConfig::from_json(json).unwrap()).unwrap()
}

/// The ways to say that `y` of the lower level stands still.
fn ways() -> [(Whole, &'static str); 3] {
    let by_burn = Whole { pair: Pair { y: parameter(&Y).no_grad(), x: parameter(&X) }, ..pairs() };
    [(pairs(), "[]"), (pairs(), r#"["y"]"#), (by_burn, "[]")].map(|(problem, freeze)| (problem, freeze))
}

#[test]
fn a_selected_part_trains_as_if_it_were_the_whole_module() {
    let methods = [
        r#"{ "method": "cg" }"#,
        r#"{ "method": "nystrom", "rank": 1 }"#,
        r#"{ "method": "sama" }"#,
        r#"{ "method": "finite_difference" }"#,
        r#"{ "method": "unrolled" }"#,
    ];
    for method in methods {
        let mut expected = small(&format!(r#"{{ "part": {{ "hypergradient": {method} }} }}"#));
        expected.run(4).unwrap();
        let expected = expected.into_problem();
        let ways = ways().into_iter().zip([r#"["x"]"#, "null", "null"]);
        for ((problem, freeze), train) in ways {
            let fields = format!(r#""hypergradient": {method}, "freeze": {freeze}, "train": {train}"#);
            let mut engine = whole(problem, &format!(r#"{{ "pair": {{ {fields} }} }}"#)).unwrap();
            engine.run(4).unwrap();
            let found = engine.into_problem();
            assert_eq!(values(&found.pair.x), values(&expected.part.x), "{fields}");
            assert_eq!(values(&found.lambda.x), values(&expected.lambda.x), "{fields}");
            assert_eq!((values(&found.pair.y), values(&found.lambda.y)), (Y.to_vec(), vec![0.0, 0.0]), "{fields}");
        }
    }
}

#[test]
fn a_hypergradient_solves_the_system_of_the_selected_part() {
    let gradient = whole(pairs(), "{}").unwrap().gradient("lambda").unwrap().gradient;
    assert_eq!(gradient.0.len(), 1);
    // H = diag(a) + yyᵀ and ∂²c/∂λ∂x = −I, so dC/dλ = H⁻¹ ∂C/∂x.
    let (a, b, c) = (CURVATURE[0] + Y[0] * Y[0], Y[0] * Y[1], CURVATURE[1] + Y[1] * Y[1]);
    let v = [X[0] - TARGET[0] + 0.5 * (Y[0] * Y[0] + Y[1] * Y[1]), X[1] - TARGET[1]];
    let determinant = a * c - b * b;
    let expected = [(c * v[0] - b * v[1]) / determinant, (a * v[1] - b * v[0]) / determinant];
    let found = gradient.0[0].to_vec().unwrap();
    assert!(found.iter().zip(&expected).all(|(x, y)| (x - y).abs() < 1e-14), "{found:?} is not {expected:?}");
}

#[test]
fn all_parts_together_are_not_the_same() {
    let all = r#"{ "pair": { "freeze": [] }, "lambda": { "train": null } }"#;
    let mut engine = whole(pairs(), all).unwrap();
    let gradient = engine.gradient("lambda").unwrap().gradient;
    assert_eq!(gradient.0.len(), 2);
    engine.run(1).unwrap();
    let moved = engine.into_problem();
    assert_ne!(values(&moved.pair.y), Y);
    assert_ne!(values(&moved.lambda.y), [0.0, 0.0]);
}

#[test]
fn groups_of_parameters_keep_their_paths() {
    let all = r#"{ "pair": { "freeze": [], "optimizer": { "name": "sgd", "lr": 0.1 } } }"#;
    let part = r#"{ "pair": { "freeze": ["y"], "optimizer": { "name": "sgd", "lr": 0.1 } } }"#;
    let moved = |json: &str| {
        let scheduler = ModuleLrScheduler::new(0.5).with_group(ParamGroup::from_predicate("x"), 0.25);
        let mut engine = whole(pairs(), json).unwrap().scheduler("pair", scheduler).unwrap();
        engine.gradient("lambda").unwrap();
        engine.run(1).unwrap();
        values(&engine.into_problem().pair.x)[0] - X[0]
    };
    let alone = {
        let mut engine = whole(pairs(), part).unwrap();
        engine.run(1).unwrap();
        values(&engine.into_problem().pair.x)[0] - X[0]
    };
    assert!((moved(part) - alone).abs() > 1e-3);
    // As long as `y` has its rate of its own, `x` moves otherwise.
    assert_ne!(moved(part), moved(all));
}

#[test]
fn a_resumed_run_goes_on_with_the_same_selection_only() {
    let saved = {
        let mut engine = whole(pairs(), "{}").unwrap();
        engine.run(2).unwrap();
        engine.checkpoint().unwrap()
    };
    let mut through = whole(pairs(), "{}").unwrap();
    through.run(5).unwrap();
    let mut resumed = whole(pairs(), "{}").unwrap();
    resumed.resume(&saved, StreamPosition::Start).unwrap();
    resumed.run(3).unwrap();
    assert_eq!(values(&resumed.problem().pair.x), values(&through.problem().pair.x));
    assert_eq!(values(&resumed.problem().pair.y), Y);

    let mut more = whole(pairs(), r#"{ "pair": { "freeze": [] } }"#).unwrap();
    match more.resume(&saved, StreamPosition::Start).unwrap_err() {
        EngineError::Checkpoint(error) => {
            assert!(matches!(*error, CheckpointError::Missing { ref tensor, .. } if tensor == "optimizer:pair.y:0"));
        }
        error => panic!("{error}"),
    }
    let mut fewer = whole(pairs(), r#"{ "lambda": { "train": ["y"] } }"#).unwrap();
    assert!(matches!(fewer.resume(&saved, StreamPosition::Start), Err(EngineError::Checkpoint(_))));
}

#[test]
fn what_cannot_be_selected() {
    let error = whole(pairs(), r#"{ "pair": { "freeze": ["z"] } }"#).err().unwrap();
    assert!(matches!(error, EngineError::Config(ConfigError::Unknown { .. })));
    let text = "`pair.freeze`: unknown part of the module `z`; known are `x` and `y`";
    assert_eq!(error.to_string(), text);
    for nothing in [r#"{ "pair": { "train": [] } }"#, r#"{ "pair": { "train": ["y"] } }"#] {
        let error = whole(pairs(), nothing).err().unwrap();
        assert!(
            matches!(&error, EngineError::Module(ModuleError::NothingToTrain { level }) if level == "pair"),
            "{error}"
        );
    }
    let error = WholeConfig::from_json(r#"{ "pair": { "train": "x" } }"#).unwrap_err();
    assert!(error.to_string().starts_with("`pair.train` is \"x\"; it must be a list of paths"), "{error}");
}

#[test]
fn freezing_between_runs_is_taken_over() {
    let mut engine = whole(pairs(), r#"{ "pair": { "freeze": [] } }"#).unwrap();
    engine.run(1).unwrap();
    let before = values(&engine.problem().pair.y);
    engine.edit(|problem| problem.pair.y = problem.pair.y.clone().no_grad()).unwrap();
    engine.run(2).unwrap();
    assert_eq!(values(&engine.problem().pair.y), before);
}

fn adapt(pair: &Pair, _batch: ()) -> Tensor<1> {
    let x = pair.x.val();
    fit(x.clone(), pair.y.val(), constant(&LAMBDA, &x))
}

multilevel! {
    struct Meta;

    level meta: Pair { lower: [pair], batch: (), loss: judge_pair, optimizer: sgd(lr = 1.0), freeze: [y] }
    level pair: Pair {
        start: from(meta), batch: (), loss: adapt, optimizer: sgd(lr = 0.3), unroll: 2, hypergradient: unrolled,
        freeze: [y],
    }
}

fn meta(json: &str) -> Result<Engine<Meta>, EngineError> {
    let Whole { pair: meta, .. } = pairs();
    let data = MetaData { meta: Stream::constant(()), pair: Stream::constant(()) };
    let pair = Pair { y: parameter(&[9.0, 9.0]), x: parameter(&[9.0, 9.0]) };
    Engine::new(Meta { meta, pair }, data, MetaConfig::from_json(json).unwrap())
}

#[test]
fn a_selected_part_starts_from_that_of_another_level() {
    let mut engine = meta("{}").unwrap();
    engine.run(1).unwrap();
    let found = engine.into_problem();
    // The steps x ← (I − αH)x + αλ are affine and symmetric.
    let step = |x: [f64; 2]| {
        let along = x[0] * Y[0] + x[1] * Y[1];
        [0, 1].map(|i| x[i] - 0.3 * (CURVATURE[i] * x[i] + along * Y[i] - LAMBDA[i]))
    };
    let without_shift = |x: [f64; 2]| {
        let along = x[0] * Y[0] + x[1] * Y[1];
        [0, 1].map(|i| x[i] - 0.3 * (CURVATURE[i] * x[i] + along * Y[i]))
    };
    let adapted = step(step(X));
    let size = 0.5 * (Y[0] * Y[0] + Y[1] * Y[1]);
    let v = [adapted[0] - TARGET[0] + size, adapted[1] - TARGET[1]];
    let gradient = without_shift(without_shift(v));
    let (moved, start) = (values(&found.meta.x), values(&found.pair.x));
    for i in 0..2 {
        assert!((moved[i] - (X[i] - gradient[i])).abs() < 1e-14, "{moved:?}");
        assert!((start[i] - adapted[i]).abs() < 1e-14, "{start:?}");
    }
    assert_eq!((values(&found.meta.y), values(&found.pair.y)), (Y.to_vec(), Y.to_vec()));
}

#[test]
fn a_level_that_starts_from_another_trains_what_that_trains() {
    let error = meta(r#"{ "meta": { "freeze": [] } }"#).err().unwrap();
    assert!(matches!(error, EngineError::Start(StartError::Selection { .. })));
    let text = error.to_string();
    assert!(text.contains("level `pair` cannot start from `meta`: `y` is trained in `meta` only"), "{text}");
    let error = meta(r#"{ "pair": { "freeze": [] } }"#).err().unwrap();
    assert!(error.to_string().contains("trained in `pair` only"), "{error}");
}

#[derive(Module, Debug)]
struct Normed {
    norm: BatchNorm,
    x: Point,
}

fn normed(net: &Normed, lambda: &Part, inputs: Tensor<2>) -> Tensor<1> {
    let x = net.x.val().unsqueeze::<2>();
    (net.norm.forward(inputs) * x).square().mean() - (lambda.x.val() * net.x.val()).sum()
}

fn read(_lambda: &Part, net: &Normed, inputs: Tensor<2>) -> Tensor<1> {
    (net.norm.forward(inputs) * net.x.val().unsqueeze::<2>()).sum()
}

multilevel! {
    struct Normalized;

    level lambda: Part { lower: [net], batch: Tensor<2>, loss: read, optimizer: sgd(lr = 0.1) }
    level net: Normed {
        upper: [lambda], batch: Tensor<2>, loss: normed, optimizer: sgd(lr = 0.1), hypergradient: cg(damping = 1.0),
        train: [x],
    }
}

#[test]
fn running_statistics_of_a_frozen_layer_advance() {
    let device = Device::flex();
    let inputs = Tensor::<2>::from_data([[1.0_f32, 2.0], [3.0, -2.0]], &device);
    let single = |values: [f32; 2]| Param::from_tensor(Tensor::from_data(values, &device));
    let net = Normed { norm: BatchNormConfig::new(2).init(&device).into(), x: single([0.5, 0.5]) };
    let problem = Normalized { lambda: Part { x: single([1.0, 1.0]) }, net };
    let data = NormalizedData { lambda: Stream::constant(inputs.clone()), net: Stream::constant(inputs) };
    let mut engine = Engine::new(problem, data, <Normalized as Multilevel>::Config::default()).unwrap();
    engine.run(1).unwrap();
    let Normed { norm, x } = engine.into_problem().net;
    let of = |tensor: Tensor<1>| tensor.into_data().try_to_vec::<f32>().unwrap();
    // One tenth of the batch means 2 and 0.
    let means = of(norm.running_mean.value());
    assert!((means[0] - 0.2).abs() < 1e-6 && means[1].abs() < 1e-6, "{means:?}");
    assert_eq!((of(norm.gamma.val()), of(norm.beta.val())), (vec![1.0, 1.0], vec![0.0, 0.0]));
    assert_ne!(of(x.val()), [0.5, 0.5]);
}
