//! Levels that pass nothing on, because their losses read what is above behind `stop_gradient`: two players, each of which follows
//! the gradient of its own loss. Their systems need no solution, and at a saddle have none.

use betty_runtime::{Engine, EngineError, ProgramConfig, Stream, multilevel, stop_gradient};
use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};

type Scalar = Param<Tensor<1>>;

fn scalar(value: f64) -> Scalar {
    Param::from_tensor(Tensor::from_data(TensorData::from([value]), (&Device::flex(), DType::F64)))
}

fn value(scalar: &Scalar) -> f64 {
    scalar.val().into_scalar()
}

/// The direct gradient is `judge`.
fn fool(player: &Scalar, judge: &Scalar, _: ()) -> Tensor<1> {
    player.val() * judge.val()
}

/// With the Hessian −1: what was stopped has no derivative, and no method of positive definite systems solves this one.
fn tell(judge: &Scalar, player: &Scalar, _: ()) -> Tensor<1> {
    judge.val() * stop_gradient(player.val()) - judge.val().square() * 0.5
}

multilevel! {
    struct Players;
    level player: Scalar { lower: [judge], batch: (), loss: fool, optimizer: sgd(lr = 1.0) }
    level judge: Scalar { upper: [player], batch: (), loss: tell, optimizer: sgd(lr = 0.5), hypergradient: cg }
}

fn players(json: &str) -> Result<Engine<Players>, EngineError> {
    let problem = Players { player: scalar(0.3), judge: scalar(-0.4) };
    let data = PlayersData { player: Stream::constant(()), judge: Stream::constant(()) };
    Engine::new(problem, data, PlayersConfig::from_json(json)?)
}

/// With every method that solves a system, alternating steps along direct gradients.
#[test]
fn players_follow_their_direct_gradients() {
    for method in ["cg", "minres", "gmres", "dense", "nystrom", "neumann", "identity", "sama", "penalty", "unrolled"] {
        let mut engine =
            players(&format!(r#"{{ "judge": {{ "hypergradient": {{ "method": "{method}" }} }} }}"#)).unwrap();
        engine.explain().unwrap();
        let (mut player, mut judge) = (0.3, -0.4);
        for _ in 0..3 {
            engine.run(1).unwrap_or_else(|error| panic!("{method}: {error}"));
            judge -= 0.5 * (player - judge);
            player -= judge;
        }
        let found = [value(&engine.problem().player), value(&engine.problem().judge)];
        assert!((found[0] - player).abs() < 1e-14 && (found[1] - judge).abs() < 1e-14, "{method}: {found:?}");
    }
}

/// Nor is there anything that a reference would have to solve.
#[test]
fn nothing_that_passes_on_nothing_is_judged() {
    let mut engine = players("{}").unwrap().unread("judge", "player").unwrap();
    engine.run(2).unwrap();
    let check = engine.verify_hypergradient("player").unwrap();
    assert!(check.is_judged() && check.relative_error == 0.0, "{check}");
}

fn both(player: &Scalar, judge: &Scalar, follower: &Scalar, batch: ()) -> Tensor<1> {
    fool(player, judge, batch) + follower.val() * 3.0
}

/// Comes to rest at half of what it follows.
fn follow(follower: &Scalar, player: &Scalar, _: ()) -> Tensor<1> {
    follower.val().square() - follower.val() * player.val()
}

multilevel! {
    struct Beside;
    level player: Scalar { lower: [judge, follower], batch: (), loss: both, optimizer: sgd(lr = 1.0) }
    level judge: Scalar { upper: [player], batch: (), loss: tell, optimizer: sgd(lr = 0.5), hypergradient: cg }
    level follower: Scalar { upper: [player], batch: (), loss: follow, optimizer: sgd(lr = 0.5), hypergradient: cg }
}

/// A level that passes something on is solved, whatever stands beside it, and however systems are solved.
#[test]
fn what_passes_something_on_is_solved_alone() {
    for solve in ["null", r#"{ "name": "joint" }"#, r#"{ "name": "inexact" }"#] {
        let problem = Beside { player: scalar(0.3), judge: scalar(-0.4), follower: scalar(0.9) };
        let [player, judge, follower] = [(); 3].map(|()| Stream::constant(()));
        let config = BesideConfig::from_json(&format!(r#"{{ "player": {{ "solve": {solve} }} }}"#)).unwrap();
        let mut engine = Engine::new(problem, BesideData { player, judge, follower }, config).unwrap();
        engine.explain().unwrap();
        engine.run(1).unwrap_or_else(|error| panic!("{solve}: {error}"));
        let judge = -0.4 - 0.5 * (0.3 + 0.4);
        let found = value(&engine.problem().player);
        assert!((found - (0.3 - judge - 1.5)).abs() < 1e-6, "{solve}: {found}");
    }
}
