//! One parameter in several places of a module: it is one in every respect, and so is what is saved of it.

mod statistics;

use betty_runtime::nn::{BatchNorm, BatchNormConfig};
use betty_runtime::{
    Checkpoint, CheckpointError, Engine, EngineError, ModuleError, ProgramConfig, Stream, StreamPosition, multilevel,
    untied,
};
use betty_tests::vectors::{parameter, tensor, values};
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::{Module, Param, ParamGroup};
use burn::tensor::{DType, Device, Tensor};

type Point = Param<Tensor<1>>;

/// A parameter in one place.
#[derive(Module, Debug)]
struct One {
    body: Body,
    own: Point,
}

#[derive(Module, Debug)]
struct Body {
    weight: Point,
}

/// The same in three: one of them in a list beside a parameter that is not tied.
#[derive(Module, Debug)]
struct Three {
    body: Body,
    list: Vec<Point>,
    head: Body,
}

const WEIGHT: [f64; 2] = [0.8, -0.6];
const OWN: [f64; 2] = [0.3, 0.5];
const LAMBDA: [f64; 1] = [0.2];

/// `½Σ(a·b·c − 1)² + ½Σ(own − a)² + λ·Σ(b + c)`
fn fit([a, b, c]: [Tensor<1>; 3], own: Tensor<1>, lambda: Tensor<1>) -> Tensor<1> {
    let product = (a.clone() * b.clone() * c.clone() - 1.0).square().sum() * 0.5;
    product + (own - a).square().sum() * 0.5 + (lambda * (b + c).sum())
}

/// `½Σ(a·b + c)²`
fn judge([a, b, c]: [Tensor<1>; 3]) -> Tensor<1> {
    (a * b + c).square().sum() * 0.5
}

fn of_one(net: &One) -> [Tensor<1>; 3] {
    std::array::from_fn(|_| net.body.weight.val())
}

fn of_three(net: &Three) -> [Tensor<1>; 3] {
    [net.body.weight.val(), net.list[1].val(), net.head.weight.val()]
}

fn fit_one(net: &One, lambda: &Point, _: ()) -> Tensor<1> {
    fit(of_one(net), net.own.val(), lambda.val())
}

fn judge_one(_lambda: &Point, net: &One, _: ()) -> Tensor<1> {
    judge(of_one(net))
}

fn fit_three(net: &Three, lambda: &Point, _: ()) -> Tensor<1> {
    fit(of_three(net), net.list[0].val(), lambda.val())
}

fn judge_three(_lambda: &Point, net: &Three, _: ()) -> Tensor<1> {
    judge(of_three(net))
}

multilevel! {
    struct Single;

    level lambda: Point { lower: [net], batch: (), loss: judge_one, optimizer: sgd(lr = 0.1) }
    level net: One {
        upper: [lambda], batch: (), loss: fit_one, optimizer: sgd(lr = 0.05, momentum = 0.5),
        unroll: 3, start: initial, hypergradient: unrolled,
    }
}

multilevel! {
    struct Tied;

    level lambda: Point { lower: [net], batch: (), loss: judge_three, optimizer: sgd(lr = 0.1) }
    level net: Three {
        upper: [lambda], batch: (), loss: fit_three, optimizer: sgd(lr = 0.05, momentum = 0.5),
        unroll: 3, start: initial, hypergradient: unrolled,
    }
}

fn one() -> One {
    One { body: Body { weight: parameter(&WEIGHT) }, own: parameter(&OWN) }
}

fn three() -> Three {
    let body = Body { weight: parameter(&WEIGHT) };
    Three { list: vec![parameter(&OWN), body.weight.clone()], head: body.clone(), body }
}

fn single(json: &str) -> Engine<Single> {
    let data = SingleData { lambda: Stream::constant(()), net: Stream::constant(()) };
    Engine::new(Single { lambda: parameter(&LAMBDA), net: one() }, data, SingleConfig::from_json(json).unwrap())
        .unwrap()
}

fn engine(net: Three, json: &str) -> Result<Engine<Tied>, EngineError> {
    let data = TiedData { lambda: Stream::constant(()), net: Stream::constant(()) };
    Engine::new(Tied { lambda: parameter(&LAMBDA), net }, data, TiedConfig::from_json(json).unwrap())
}

fn tied(json: &str) -> Engine<Tied> {
    engine(three(), json).unwrap()
}

/// The places of the tied parameter, in the module's order.
fn places(net: &Three) -> [Vec<f64>; 3] {
    [values(&net.body.weight), values(&net.list[1]), values(&net.head.weight)]
}

const OPTIMIZERS: [&str; 6] = [
    r#"{ "name": "sgd", "lr": 0.05 }"#,
    r#"{ "name": "sgd", "lr": 0.05, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1 }"#,
    r#"{ "name": "adam", "lr": 0.02, "weight_decay": 0.1 }"#,
    r#"{ "name": "adamw", "lr": 0.02 }"#,
    r#"{ "name": "rmsprop", "lr": 0.01, "momentum": 0.5 }"#,
    r#"{ "name": "adagrad", "lr": 0.1 }"#,
];

/// A module that names the parameter once is the same program, whatever moves it and whatever differentiates that.
#[test]
fn three_places_train_like_one() {
    let methods = [
        r#"{ "method": "unrolled" }"#,
        r#"{ "method": "forward" }"#,
        r#"{ "method": "minres", "iterations": 8 }"#,
        r#"{ "method": "dense", "damping": 0.1 }"#,
    ];
    let cases = OPTIMIZERS.iter().map(|&optimizer| (optimizer, methods[0]));
    for (optimizer, method) in cases.chain(methods.iter().map(|&method| (OPTIMIZERS[1], method))) {
        let json = format!(
            r#"{{ "net": {{ "optimizer": {optimizer}, "hypergradient": {method}, "clip": {{ "norm": 0.7 }} }} }}"#
        );
        let (mut expected, mut found) = (single(&json), tied(&json));
        expected.run(4).unwrap();
        found.run(4).unwrap();
        let (expected, found) = (expected.into_problem(), found.into_problem());
        assert_eq!(places(&found.net), std::array::from_fn(|_| values(&expected.net.body.weight)), "{json}");
        assert_eq!(values(&found.net.list[0]), values(&expected.net.own), "{json}");
        assert_eq!(values(&found.lambda), values(&expected.lambda), "{json}");
        assert_ne!(values(&found.net.body.weight), WEIGHT, "{json}");
    }
}

/// The path by hand: `θ` in three places, with momentum.
#[test]
fn the_gradient_is_the_sum_over_all_places() {
    let mut engine = tied(r#"{ "net": { "start": "kept", "unroll": 5, "hypergradient": { "method": "identity" } } }"#);
    engine.gradient("net").unwrap();
    engine.run(1).unwrap();
    for i in 0..2 {
        let (mut theta, mut own, mut velocity) = (WEIGHT[i], OWN[i], [0.0, 0.0]);
        for _ in 0..5 {
            let gap = theta.powi(3) - 1.0;
            let slopes = [3.0 * theta * theta * gap - (own - theta) + 2.0 * LAMBDA[0], own - theta];
            for (velocity, slope) in velocity.iter_mut().zip(slopes) {
                *velocity = 0.5 * *velocity + slope;
            }
            theta -= 0.05 * velocity[0];
            own -= 0.05 * velocity[1];
        }
        let net = &engine.problem().net;
        for (found, expected) in [values(&net.head.weight)[i], values(&net.list[0])[i]].into_iter().zip([theta, own]) {
            assert!((found - expected).abs() < 1e-15, "{found} is not {expected}");
        }
    }
}

#[test]
fn a_saved_run_goes_on_and_holds_the_parameter_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tied.safetensors");
    let mut whole = tied("{}");
    whole.run(2).unwrap();
    whole.checkpoint().unwrap().save(&file).unwrap();
    whole.run(3).unwrap();
    let mut resumed = tied("{}");
    resumed.resume(&Checkpoint::open(&file).unwrap(), StreamPosition::Start).unwrap();
    resumed.run(3).unwrap();
    assert_eq!(places(&resumed.problem().net), places(&whole.problem().net));
    let bytes = std::fs::read(&file).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("net.body.weight") && !text.contains("net.head.weight") && !text.contains("net.list.1"));
}

/// What a release wrote that trained every place by itself: the checkpoint of a module whose places are not tied.
#[test]
fn an_old_checkpoint_is_read_while_its_places_agree() {
    let apart = || engine(untied(three()), "{}").unwrap();
    let unmoved = apart().checkpoint().unwrap();
    let mut resumed = tied("{}");
    resumed.resume(&unmoved, StreamPosition::Start).unwrap();
    resumed.run(3).unwrap();
    let mut expected = tied("{}");
    expected.run(3).unwrap();
    assert_eq!(places(&resumed.problem().net), places(&expected.problem().net));

    let mut moved = apart();
    moved.run(2).unwrap();
    let saved = moved.checkpoint().unwrap();
    let error = resumed.resume(&saved, StreamPosition::Start).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("`net.body.weight` and `net.list.1` differ") && text.contains("untied"), "{text}");
    match error {
        EngineError::Checkpoint(error) => assert!(matches!(*error, CheckpointError::TiedApart { .. }), "{error}"),
        error => panic!("{error}"),
    }
    assert_eq!(places(&resumed.problem().net), places(&expected.problem().net), "a refused checkpoint changes nothing");
    // The remedy.
    moved.run(2).unwrap();
    let mut went_on = apart();
    went_on.resume(&saved, StreamPosition::Start).unwrap();
    went_on.run(2).unwrap();
    assert_eq!(places(&went_on.problem().net), places(&moved.problem().net));
}

#[test]
fn parts_name_all_places_or_none() {
    // All three: as if there were no list.
    let mut all = tied(r#"{ "net": { "train": ["body", "list", "head"] } }"#);
    let mut expected = tied("{}");
    all.run(2).unwrap();
    expected.run(2).unwrap();
    assert_eq!(places(&all.problem().net), places(&expected.problem().net));
    // None: all stand still.
    let mut none = tied(r#"{ "net": { "freeze": ["body", "list.1", "head.weight"] } }"#);
    none.run(2).unwrap();
    assert_eq!(places(&none.problem().net), std::array::from_fn(|_| WEIGHT.to_vec()));
    assert_ne!(values(&none.problem().net.list[0]), OWN);
    // Some.
    for part in [r#""train": ["body", "list"]"#, r#""freeze": ["head"]"#] {
        let error = engine(three(), &format!(r#"{{ "net": {{ {part} }} }}"#)).err().unwrap();
        assert_eq!(
            error.to_string(),
            "`body.weight` and `head.weight` of level `net` are one parameter, because they have one identifier, but \
             `train` and `freeze` let only `body.weight` move; say the same of both, or make two parameters of them with \
             `betty_runtime::untied`"
        );
        assert!(matches!(error, EngineError::Module(ModuleError::TiedSelection { .. })));
        let mut apart = engine(untied(three()), &format!(r#"{{ "net": {{ {part} }} }}"#)).unwrap();
        apart.run(2).unwrap();
        let [body, _, head] = places(&apart.problem().net);
        assert_eq!(head, WEIGHT);
        assert_ne!(body, WEIGHT);
    }
}

/// `no_grad` says of a copy that it stands still; the others are one all the same.
#[test]
fn a_frozen_copy_stands_still() {
    let net = three();
    let net = Three { head: net.head.clone().no_grad(), ..net };
    let mut engine = engine(net, "{}").unwrap();
    engine.run(3).unwrap();
    let [body, list, head] = places(&engine.problem().net);
    assert_eq!((&body, head), (&list, WEIGHT.to_vec()));
    assert_ne!(body, WEIGHT);
}

#[test]
fn places_that_hold_different_numbers_are_no_one_parameter() {
    let net = three();
    let head = Body { weight: net.head.weight.clone().map(|tensor| tensor + 1.0) };
    let error = engine(Three { head: head.clone(), ..net.clone() }, "{}").err().unwrap();
    assert!(
        matches!(&error, EngineError::Module(ModuleError::TiedApart { one, other, .. }) if one == "body.weight" && other == "head.weight")
    );
    assert!(error.to_string().contains("they differ in their numbers"), "{error}");
    let longer = Body { weight: net.head.weight.clone().map(|_| tensor(&[1.0])) };
    let error = engine(Three { head: longer, ..net.clone() }, "{}").err().unwrap();
    assert!(error.to_string().contains("they differ in shape"), "{error}");
    // The remedy.
    let apart = Three { head: untied(head), ..net };
    engine(apart, "{}").unwrap().run(1).unwrap();
}

#[test]
fn an_edit_of_all_places_is_an_edit_of_the_parameter() {
    let mut engine = tied("{}");
    engine.run(1).unwrap();
    engine
        .edit(|program| {
            let weight = program.net.body.weight.clone().map(|tensor| tensor * 0.5);
            program.net.list[1] = weight.clone();
            program.net.head.weight = weight.clone();
            program.net.body.weight = weight;
        })
        .unwrap();
    engine.run(2).unwrap();
    let [body, list, head] = places(&engine.problem().net);
    assert!(body == list && list == head, "{body:?} {list:?} {head:?}");
    let error =
        engine.edit(|program| program.net.head = Body { weight: program.net.head.weight.clone().map(|x| x + 1.0) });
    assert!(matches!(error, Err(EngineError::Module(ModuleError::TiedApart { .. }))));
}

#[test]
fn a_group_of_rates_may_name_any_place() {
    let moved = |group: &str| {
        let scheduler = ModuleLrScheduler::new(0.05).with_group(ParamGroup::from_predicate(group), 0.01);
        let mut engine = tied("{}").scheduler("net", scheduler).unwrap();
        engine.run(1).unwrap();
        places(&engine.problem().net)
    };
    assert_eq!(moved("body"), moved("head"));
    assert_ne!(moved("head"), moved("nothing"));
}

/// Levels are modules of their own, whatever identifiers they share: a lower level begun from a clone of the upper one moves by
/// itself.
#[test]
fn levels_share_nothing() {
    let mut engine = {
        let lambda = parameter(&LAMBDA);
        let net = Three {
            list: vec![lambda.clone(), lambda.clone()],
            body: Body { weight: lambda.clone() },
            head: Body { weight: lambda.clone() },
        };
        let data = TiedData { lambda: Stream::constant(()), net: Stream::constant(()) };
        Engine::new(Tied { lambda, net }, data, TiedConfig::default()).unwrap()
    };
    engine.run(2).unwrap();
    let problem = engine.problem();
    let [body, list, head] = places(&problem.net);
    assert!(body == list && list == head);
    assert_ne!(body, values(&problem.lambda));
}
