//! Parameters above that have no gradient, because the best response below does not depend on them: steps leave them alone, decay
//! included.

use betty_runtime::{Engine, ProgramConfig, Stream, multilevel};
use betty_tests::vectors::{parameter, tensor, values};
use burn::module::{Module, Param};
use burn::tensor::Tensor;

type Vector = Param<Tensor<1>>;

#[derive(Module, Debug)]
struct Net {
    body: Vector,
    head: Vector,
}

impl Net {
    fn new(body: f64, head: f64) -> Self {
        Net { body: parameter(&[body]), head: parameter(&[head]) }
    }

    fn numbers(&self) -> [f64; 2] {
        [values(&self.body)[0], values(&self.head)[0]]
    }
}

fn half_square(x: Tensor<1>) -> Tensor<1> {
    x.square().sum() * 0.5
}

/// Only the body is held near that of the level above.
fn task(net: &Net, meta: &Net, a: Tensor<1>) -> Tensor<1> {
    half_square(net.body.val() - meta.body.val())
        + half_square(net.body.val() + net.head.val() - a)
        + half_square(net.head.val()) * 0.5
}

fn query(_meta: &Net, net: &Net, b: Tensor<1>) -> Tensor<1> {
    half_square(net.body.val() * net.head.val() - b)
}

multilevel! {
    struct Proximal;

    level meta: Net { lower: [net], batch: Tensor<1>, loss: query, optimizer: adam(lr = 0.01, weight_decay = 0.1) }
    level net: Net {
        upper: [meta], start: from(meta), batch: Tensor<1>, loss: task, optimizer: sgd(lr = 0.2), unroll: 4, hypergradient: dense,
    }
}

fn proximal(json: &str) -> [f64; 2] {
    let problem = Proximal { meta: Net::new(0.7, -1.3), net: Net::new(9.0, 9.0) };
    let data = ProximalData { meta: Stream::constant(tensor(&[0.4])), net: Stream::constant(tensor(&[1.1])) };
    let mut engine = Engine::new(problem, data, ProximalConfig::from_json(json).unwrap()).unwrap();
    engine.run(3).unwrap();
    engine.into_problem().meta.numbers()
}

/// A solution of the loss does not depend on where the steps to it began.
#[test]
fn a_start_is_no_part_of_a_solution() {
    for method in ["dense", "cg", "neumann", "identity", "finite_difference", "penalty", "sama"] {
        let [body, head] = proximal(&format!(r#"{{ "net": {{ "hypergradient": {{ "method": "{method}" }} }} }}"#));
        assert_ne!(body, 0.7, "{method}");
        assert_eq!(head, -1.3, "{method}");
    }
    // Nor do the last steps, where there were more.
    let [_, head] = proximal(r#"{ "net": { "hypergradient": { "method": "unrolled", "truncate": 3 } } }"#);
    assert_eq!(head, -1.3);
    let [_, head] = proximal(r#"{ "net": { "hypergradient": { "method": "unrolled", "truncate": 4 } } }"#);
    assert_ne!(head, -1.3);
}

#[derive(Module, Debug)]
struct Rates {
    x: Vector,
    log_lr: Vector,
    log_decay: Vector,
}

fn near(net: &Vector, rates: &Rates, a: Tensor<1>) -> Tensor<1> {
    half_square(net.val() - a - rates.x.val())
}

fn judged(_rates: &Rates, net: &Vector, b: Tensor<1>) -> Tensor<1> {
    half_square(net.val() - b)
}

multilevel! {
    struct Learned;

    level rates: Rates { lower: [net], batch: Tensor<1>, loss: judged, optimizer: sgd(lr = 0.1, weight_decay = 0.1) }
    level net: Vector {
        upper: [rates], batch: Tensor<1>, loss: near,
        optimizer: sgd(lr = exp(rates.log_lr), weight_decay = exp(rates.log_decay)), unroll: 2, hypergradient: dense,
    }
}

/// A solution depends on the penalty that it is one with, and not on how long the steps to it were.
#[test]
fn a_learning_rate_is_no_part_of_a_solution() {
    let run = |method: &str| {
        let rates = Rates { x: parameter(&[0.3]), log_lr: parameter(&[-1.5]), log_decay: parameter(&[-2.0]) };
        let problem = Learned { rates, net: parameter(&[0.2]) };
        let data = LearnedData { rates: Stream::constant(tensor(&[0.4])), net: Stream::constant(tensor(&[1.1])) };
        let json = format!(r#"{{ "net": {{ "hypergradient": {{ "method": "{method}" }} }} }}"#);
        let mut engine = Engine::new(problem, data, LearnedConfig::from_json(&json).unwrap()).unwrap();
        engine.run(3).unwrap();
        let Rates { x, log_lr, log_decay } = engine.into_problem().rates;
        [&x, &log_lr, &log_decay].map(|of| values(of)[0])
    };
    for method in ["dense", "cg"] {
        let [x, log_lr, log_decay] = run(method);
        assert_eq!(log_lr, -1.5, "{method}");
        assert!(x != 0.3 && log_decay != -2.0, "{method}");
    }
    let [x, log_lr, log_decay] = run("unrolled");
    assert!(x != 0.3 && log_lr != -1.5 && log_decay != -2.0);
}

#[derive(Module, Debug)]
struct Probed {
    body: Vector,
    probe: Vector,
}

fn of_body(net: &Probed, _decay: &Vector, a: Tensor<1>) -> Tensor<1> {
    half_square(net.body.val() - a)
}

fn of_both(_decay: &Vector, net: &Probed, b: Tensor<1>) -> Tensor<1> {
    half_square(net.body.val() - b.clone()) + half_square(net.probe.val() - b)
}

multilevel! {
    struct Decaying;

    level decay: Vector { lower: [net], batch: Tensor<1>, loss: of_both, optimizer: sgd(lr = 0.5) }
    level net: Probed {
        upper: [decay], batch: Tensor<1>, loss: of_body, optimizer: sgd(lr = 0.5, weight_decay = exp(decay)), unroll: 60,
        hypergradient: dense,
    }
}

/// Steps leave alone what the loss does not read, and it has no penalty. The level that learns the penalty is read by no loss.
#[test]
fn what_steps_leave_alone_does_not_decay_in_a_solution() {
    let (a, b, log) = (1.1, 0.4, -1.2_f64);
    // The body comes to rest at a/(1 + δ), so that dC/d log δ = −(θ − b)·a·δ/(1 + δ)².
    let delta = log.exp();
    let expected = -(a / (1.0 + delta) - b) * a * delta / (1.0 + delta).powi(2);
    for method in ["dense", "cg", "minres", "unrolled"] {
        let net = Probed { body: parameter(&[0.2]), probe: parameter(&[3.0]) };
        let problem = Decaying { decay: parameter(&[log]), net };
        let data = DecayingData { decay: Stream::constant(tensor(&[b])), net: Stream::constant(tensor(&[a])) };
        let json = format!(r#"{{ "net": {{ "hypergradient": {{ "method": "{method}" }} }} }}"#);
        let mut engine = Engine::new(problem, data, DecayingConfig::from_json(&json).unwrap()).unwrap();
        engine.run(1).unwrap();
        if method == "dense" {
            let check = engine.verify_hypergradient("decay").unwrap();
            assert!(check.relative_error < 1e-9, "{check}");
            // The step above has moved the penalty a little; the probe would have δ·3 in it.
            assert!(check.responses[0].gradient_norm < 0.05, "{check}");
        }
        let Decaying { decay, net } = engine.into_problem();
        assert_eq!(values(&net.probe), [3.0]);
        let found = (log - values(&decay)[0]) / 0.5;
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}: {method}");
    }
}
