//! Plain tensors of modules in a run: they stand still, belong to the program, and follow an edit of it.

use betty_runtime::{Batch, Checkpoint, Engine, EngineError, ProgramConfig, Stream, StreamPosition, multilevel};
use betty_tests::vectors::{tensor, values};
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};

type Point = Param<Tensor<1>>;

#[derive(Module, Debug)]
struct Held {
    target: Tensor<1>,
    x: Point,
    order: Vec<Tensor<1, Int>>,
}

#[derive(Module, Debug)]
struct Bare {
    x: Point,
}

/// What [`Held`] holds, as data.
#[derive(Batch, Clone)]
struct Given {
    upper: (Tensor<1>, Tensor<1, Int>),
    lower: (Tensor<1>, Tensor<1, Int>),
}

fn order(values: [i32; 3]) -> Tensor<1, Int> {
    Tensor::from_ints(values, &Device::flex())
}

const UPPER: ([f64; 3], [i32; 3]) = ([0.5, -0.5, 0.1], [2, 1, 0]);
const LOWER: ([f64; 3], [i32; 3]) = ([1.5, 0.7, -0.9], [1, 2, 0]);
const X: [f64; 3] = [0.3, -0.2, 0.6];
const LAMBDA: [f64; 3] = [0.4, 0.1, -0.3];

fn held((target, turned): ([f64; 3], [i32; 3]), x: &[f64; 3]) -> Held {
    Held { target: tensor(&target), x: Param::from_tensor(tensor(x)), order: vec![order(turned)] }
}

fn fit(x: Tensor<1>, (target, order): (Tensor<1>, Tensor<1, Int>), lambda: Tensor<1>) -> Tensor<1> {
    (x.clone().select(0, order) - target).tanh().square().sum() * 0.5 + (lambda.exp() * x.square()).sum() * 0.1
}

fn judge(x: Tensor<1>, (target, order): (Tensor<1>, Tensor<1, Int>)) -> Tensor<1> {
    (x.select(0, order) - target).square().sum() * 0.5
}

fn of(held: &Held) -> (Tensor<1>, Tensor<1, Int>) {
    (held.target.clone(), held.order[0].clone())
}

fn fit_held(net: &Held, lambda: &Held, _: ()) -> Tensor<1> {
    fit(net.x.val(), of(net), lambda.x.val() + of(lambda).0 * 0.1)
}

fn judge_held(lambda: &Held, net: &Held, _: ()) -> Tensor<1> {
    judge(net.x.val(), of(lambda))
}

fn fit_bare(net: &Bare, lambda: &Bare, given: Given) -> Tensor<1> {
    fit(net.x.val(), given.lower, lambda.x.val() + given.upper.0 * 0.1)
}

fn judge_bare(_lambda: &Bare, net: &Bare, given: Given) -> Tensor<1> {
    judge(net.x.val(), given.upper)
}

multilevel! {
    struct Holding;

    level lambda: Held { lower: [net], batch: (), loss: judge_held, optimizer: adam(lr = 0.1) }
    level net: Held {
        upper: [lambda], batch: (), loss: fit_held, optimizer: sgd(lr = 0.2, momentum = 0.5),
        unroll: 3, start: initial, hypergradient: unrolled,
    }
}

multilevel! {
    struct Giving;

    level lambda: Bare { lower: [net], batch: Given, loss: judge_bare, optimizer: adam(lr = 0.1) }
    level net: Bare {
        upper: [lambda], batch: Given, loss: fit_bare, optimizer: sgd(lr = 0.2, momentum = 0.5),
        unroll: 3, start: initial, hypergradient: unrolled,
    }
}

fn holding(upper: ([f64; 3], [i32; 3]), lower: ([f64; 3], [i32; 3]), json: &str) -> Engine<Holding> {
    let data = HoldingData { lambda: Stream::constant(()), net: Stream::constant(()) };
    let problem = Holding { lambda: held(upper, &LAMBDA), net: held(lower, &X) };
    Engine::new(problem, data, HoldingConfig::from_json(json).unwrap()).unwrap()
}

fn giving(json: &str) -> Engine<Giving> {
    let part = |(target, turned): ([f64; 3], [i32; 3])| (tensor(&target), order(turned));
    let given = || Stream::constant(Given { upper: part(UPPER), lower: part(LOWER) });
    let bare = |x: &[f64; 3]| Bare { x: Param::from_tensor(tensor(x)) };
    let problem = Giving { lambda: bare(&LAMBDA), net: bare(&X) };
    let data = GivingData { lambda: given(), net: given() };
    Engine::new(problem, data, GivingConfig::from_json(json).unwrap()).unwrap()
}

/// The same numbers from a module and from a batch give the same run, however it is differentiated.
#[test]
fn they_are_read_like_data() {
    for json in [
        r#"{ "net": { "hypergradient": { "method": "unrolled" } } }"#,
        r#"{ "net": { "hypergradient": { "method": "unrolled", "memory": 4 }, "unroll": 9 } }"#,
        r#"{ "net": { "hypergradient": { "method": "forward" } } }"#,
        r#"{ "net": { "hypergradient": { "method": "evolution", "pairs": 2 } } }"#,
        r#"{ "net": { "hypergradient": { "method": "minres" } } }"#,
        r#"{ "net": { "hypergradient": { "method": "finite_difference" } } }"#,
        r#"{ "net": { "hypergradient": { "method": "penalty" } } }"#,
        r#"{ "net": { "hypergradient": { "method": "sama" } } }"#,
        r#"{ "lambda": { "tasks": 3, "vectorize": true } }"#,
        r#"{ "lambda": { "tasks": 3 }, "net": { "accumulate": 2, "precision": "bf16" } }"#,
    ] {
        let (mut found, mut expected) = (holding(UPPER, LOWER, json), giving(json));
        found.run(3).unwrap();
        expected.run(3).unwrap();
        let (found, expected) = (found.into_problem(), expected.into_problem());
        // Tasks that are computed together have their data side by side, and add in another order.
        let tolerance = if json.contains("vectorize") { 1e-14 } else { 0.0 };
        for (x, y) in [(&found.net.x, &expected.net.x), (&found.lambda.x, &expected.lambda.x)] {
            let (x, y) = (values(x), values(y));
            assert!(x.iter().zip(&y).all(|(x, y)| (x - y).abs() <= tolerance), "{json}: {x:?} is not {y:?}");
        }
        assert_ne!(values(&found.lambda.x), LAMBDA, "{json}");
    }
}

#[test]
fn an_edit_of_one_counts_from_then_on() {
    let mut edited = holding(UPPER, LOWER, "{}");
    edited.gradient("net").unwrap();
    edited
        .edit(|program| {
            program.net.target = tensor(&LOWER.0.map(|x| x * 2.0));
            program.lambda.order = vec![order([0, 0, 0])];
        })
        .unwrap();
    edited.run(3).unwrap();
    let mut expected = holding((UPPER.0, [0, 0, 0]), (LOWER.0.map(|x| x * 2.0), LOWER.1), "{}");
    expected.run(3).unwrap();
    assert_eq!(values(&edited.problem().net.x), values(&expected.problem().net.x));
    assert_eq!(values(&edited.problem().lambda.x), values(&expected.problem().lambda.x));
    let target: Vec<f64> = edited.into_problem().net.target.into_data().iter::<f64>().collect();
    assert_eq!(target, LOWER.0.map(|x| x * 2.0));
}

/// Like the data and the numbers of a program: the engine that resumes brings them.
#[test]
fn a_checkpoint_does_not_hold_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let mut whole = holding(UPPER, LOWER, "{}");
    whole.run(2).unwrap();
    whole.checkpoint().unwrap().save(&file).unwrap();
    whole.run(2).unwrap();
    assert!(!String::from_utf8_lossy(&std::fs::read(&file).unwrap()).contains("target"));
    let resume = |lower| {
        let mut engine = holding(UPPER, lower, "{}");
        engine.resume(&Checkpoint::open(&file).unwrap(), StreamPosition::Start).unwrap();
        engine.run(2).unwrap();
        values(&engine.into_problem().lambda.x)
    };
    let expected = values(&whole.into_problem().lambda.x);
    assert_eq!(resume(LOWER), expected);
    assert_ne!(resume(([0.0, 0.0, 0.0], LOWER.1)), expected);
}

fn adapt(net: &Held, meta: &Held, _: ()) -> Tensor<1> {
    fit(net.x.val(), of(net), meta.x.val())
}

fn query(_meta: &Held, net: &Held, _: ()) -> Tensor<1> {
    judge(net.x.val(), of(net))
}

multilevel! {
    struct Meta;

    level meta: Held { lower: [net], batch: (), loss: query, optimizer: sgd(lr = 0.1), tasks: 2 }
    level net: Held {
        upper: [meta], batch: (), loss: adapt, optimizer: sgd(lr = 0.2),
        start: from(meta), unroll: 2, hypergradient: unrolled,
    }
}

/// A level that starts from another takes its parameters, not its constants.
#[test]
fn a_start_leaves_them() {
    let run = |of_meta, json: &str| {
        let problem = Meta { meta: held(of_meta, &LAMBDA), net: held(LOWER, &X) };
        let data = MetaData { meta: Stream::constant(()), net: Stream::constant(()) };
        let mut engine = Engine::new(problem, data, MetaConfig::from_json(json).unwrap()).unwrap();
        engine.run(2).unwrap();
        values(&engine.into_problem().meta.x)
    };
    for json in ["{}", r#"{ "meta": { "vectorize": true } }"#] {
        // Those of the meta level are read by nobody.
        assert_eq!(run(UPPER, json), run(LOWER, json));
    }
    let (one_by_one, together) = (run(UPPER, "{}"), run(UPPER, r#"{ "meta": { "vectorize": true } }"#));
    assert!(one_by_one.iter().zip(&together).all(|(x, y)| (x - y).abs() < 1e-14), "{one_by_one:?} {together:?}");
}

#[derive(Module, Debug)]
struct Skipping {
    x: Point,
    #[module(skip)]
    target: Tensor<1>,
}

fn fit_skipping(net: &Skipping, lambda: &Point, _: ()) -> Tensor<1> {
    (net.x.val() - net.target.clone()).square().sum() + (lambda.val() * net.x.val()).sum()
}

fn judge_skipping(_lambda: &Point, net: &Skipping, _: ()) -> Tensor<1> {
    net.x.val().square().sum()
}

fn fit_elsewhere(net: &Skipping, lambda: &Point, _: ()) -> Tensor<1> {
    let chosen = order([0, 1, 1]);
    net.x.val().select(0, chosen).square().sum() + (lambda.val() * net.x.val()).sum()
}

multilevel! {
    struct Foreign;

    level lambda: Point { lower: [net], batch: (), loss: judge_skipping, optimizer: sgd(lr = 0.1) }
    level net: Skipping { upper: [lambda], batch: (), loss: fit_skipping, optimizer: sgd(lr = 0.1), hypergradient: dense }
}

multilevel! {
    struct Elsewhere;

    level lambda: Point { lower: [net], batch: (), loss: judge_skipping, optimizer: sgd(lr = 0.1) }
    level net: Skipping { upper: [lambda], batch: (), loss: fit_elsewhere, optimizer: sgd(lr = 0.1), hypergradient: dense }
}

/// What no traversal of Burn reaches is named as what it is.
#[test]
fn tensors_from_elsewhere_are_refused() {
    let told = |error: EngineError| {
        let text = error.to_string();
        assert!(text.contains("`net` uses a tensor in `") && text.contains("constants.rs:"), "{text}");
        assert!(text.contains("that is neither part of a module nor of the batch"), "{text}");
        assert!(text.contains("#[module(skip)]") && text.contains("on the device of an argument"), "{text}");
    };
    let net = || Skipping { x: Param::from_tensor(tensor(&X)), target: tensor(&LAMBDA) };
    let lambda = || Param::from_tensor(tensor(&LAMBDA));
    let data = ForeignData { lambda: Stream::constant(()), net: Stream::constant(()) };
    let mut engine = Engine::new(Foreign { lambda: lambda(), net: net() }, data, ForeignConfig::default()).unwrap();
    told(engine.run(1).unwrap_err());
    let data = ElsewhereData { lambda: Stream::constant(()), net: Stream::constant(()) };
    let mut engine = Engine::new(Elsewhere { lambda: lambda(), net: net() }, data, ElsewhereConfig::default()).unwrap();
    told(engine.run(1).unwrap_err());
}
