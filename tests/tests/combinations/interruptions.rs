//! What an error or an edit between two steps leaves as it was.

use std::io;

use betty_runtime::{Engine, EngineError, ProgramConfig, Stream, multilevel};
use burn::module::Param;
use burn::tensor::Tensor;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::problem::{Knobs, Net, Samples, assert_close, tensor};

fn fit(net: &Net, knobs: &Knobs, batch: Samples) -> Tensor<1> {
    let x = batch.x + knobs.shift.val().unsqueeze();
    net.error(Samples { x, y: batch.y }) + net.second.val().powi_scalar(2).sum() * knobs.penalty.val().exp()
}

fn judge(knobs: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch) + knobs.shift.val().powi_scalar(2).sum() * 0.1
}

multilevel! {
    struct Tuned;
    level knobs: Knobs { lower: [net], batch: Samples, loss: judge, optimizer: adam(lr = 0.1) }
    level net: Net {
        upper: [knobs], batch: Samples, loss: fit, optimizer: sgd(lr = 0.1, momentum = 0.5), unroll: 4,
        hypergradient: unrolled,
    }
}

/// The same batch again and again, with failures in between.
fn failing(seed: u64, at: &'static [usize]) -> Stream<Samples> {
    let random = &mut StdRng::seed_from_u64(seed);
    let batch = Samples { x: tensor([4, 3], random), y: tensor([4, 2], random) };
    Stream::batches((0..).map(move |index| match at.contains(&index) {
        true => Err(io::Error::other("the disk is away")),
        false => Ok(batch.clone()),
    }))
}

fn engine(json: &str, knobs: &'static [usize], net: &'static [usize]) -> Engine<Tuned> {
    let problem = Tuned { knobs: Knobs::new(0), net: Net::new(1) };
    let data = TunedData { knobs: failing(2, knobs), net: failing(3, net) };
    Engine::new(problem, data, TunedConfig::from_json(json).unwrap()).unwrap()
}

fn values(problem: &Tuned) -> Vec<f64> {
    [problem.knobs.values(), problem.net.values()].concat()
}

const STARTS: [&str; 3] = ["kept", "initial", "look_ahead"];

#[test]
fn a_run_that_goes_on_after_an_error_is_the_run_without_it() {
    for start in STARTS {
        for method in ["unrolled", "forward", "minres"] {
            let json = format!(r#"{{ "net": {{ "start": "{start}", "hypergradient": {{ "method": "{method}" }} }} }}"#);
            let mut whole = engine(&json, &[], &[]);
            whole.run(3).unwrap();
            // Where the level above fails, and where the level below does, in the middle of a round.
            for (knobs, net) in [([1].as_slice(), [].as_slice()), (&[], &[2])] {
                let mut interrupted = engine(&json, knobs, net);
                assert!(matches!(interrupted.run(3), Err(EngineError::Data { .. })));
                interrupted.run(3 - interrupted.iterations()).unwrap();
                let of = format!("{start}, {method}, {knobs:?}, {net:?}");
                assert_close(&values(interrupted.problem()), &values(whole.problem()), 1e-13, &of);
            }
        }
    }
}

#[test]
fn an_edit_that_changes_nothing_changes_nothing() {
    for start in STARTS {
        let json = format!(r#"{{ "net": {{ "start": "{start}" }} }}"#);
        let (mut whole, mut edited) = (engine(&json, &[], &[]), engine(&json, &[], &[]));
        whole.run(4).unwrap();
        edited.run(2).unwrap();
        edited.edit(|_| {}).unwrap();
        edited.run(2).unwrap();
        assert_eq!(values(edited.problem()), values(whole.problem()), "{start}");
    }
}

#[test]
fn an_edited_tensor_is_what_a_level_begins_with() {
    let mut engine = engine(r#"{ "net": { "start": "initial", "freeze": ["bias", "second"] } }"#, &[], &[]);
    engine.run(1).unwrap();
    let bias = tensor([4], &mut StdRng::seed_from_u64(9));
    engine.edit(|problem| problem.net.bias = Param::from_tensor(bias.clone())).unwrap();
    engine.run(1).unwrap();
    let found: Vec<f64> = engine.problem().net.bias.val().into_data().try_to_vec().unwrap();
    assert_eq!(found, bias.into_data().try_to_vec::<f64>().unwrap());
}
