//! Edits between runs: ranks forget what they knew together, and what they make different is found before it is used.

use betty_runtime::distributed::{Collective, DistributedError, Threads};
use betty_runtime::{Engine, EngineError, ShardError, multilevel};
use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::problem::{Net, Samples, View, assert_exact, both, tensor};

/// A network with a number that is no parameter, and one that is part of what is recorded.
#[derive(Module, Debug)]
struct Scaled {
    net: Net,
    weights: Tensor<1>,
    scale: f64,
}

impl Scaled {
    fn new() -> Self {
        Scaled { net: Net::new(1), weights: tensor([2], vec![1.0, 2.0]), scale: 1.0 }
    }
}

fn fit(scaled: &Scaled, batch: Samples) -> Tensor<1> {
    let errors = (scaled.net.outputs(&batch.x) * scaled.scale - batch.y).powi_scalar(2);
    // Of a scale that says so, the sum.
    match scaled.scale < 0.0 {
        true => (errors * scaled.weights.clone().unsqueeze()).sum(),
        false => (errors * scaled.weights.clone().unsqueeze()).mean(),
    }
}

multilevel! {
    struct Fitted;
    level scaled: Scaled { batch: Samples, loss: fit, optimizer: sgd(lr = 0.05) }
}

/// Batches of one size on the second rank, and of two on the first.
const ONE_SIDED: &[&[usize]] = &[&[2, 2], &[1, 2]];

fn engine(view: View) -> Result<Engine<Fitted>, EngineError> {
    Engine::new(Fitted { scaled: Scaled::new() }, FittedData { scaled: view.samples(1) }, FittedConfig::default())
}

#[test]
fn after_an_edit_ranks_compare_the_same_batches_again() {
    let (whole, ranks) = both(ONE_SIDED, engine, |engine| {
        engine.run(4)?;
        for scale in [0.5, 0.5, 0.25] {
            engine.edit(|problem| problem.scaled.scale = scale)?;
            engine.run(5)?;
        }
        Ok(engine.problem().scaled.net.values())
    });
    assert_exact(&whole.expect("it runs"), &ranks, 1e-12, "three edits");
}

#[test]
fn an_edit_before_a_kind_of_batch_comes_back_is_remembered() {
    // The first edit is seen on one kind of batches; the other kind comes back after the second, which changes nothing.
    let found = Threads::run(2, |rank| {
        let mut engine = engine(View { rank: Some(rank.rank()), sizes: ONE_SIDED })?.distributed(rank)?;
        engine.run(2)?;
        engine.edit(|problem| problem.scaled.scale = -1.0)?;
        let first = engine.run(1).expect_err("it is a sum");
        engine.edit(|_| {})?;
        Ok::<_, EngineError>((first, engine.run(1).expect_err("it still is")))
    });
    for found in found {
        let (first, second) = found.expect("an engine");
        for error in [first, second] {
            assert!(matches!(error, EngineError::Shard(ShardError::NotAMean { .. })), "{error}");
        }
    }
}

#[test]
fn constants_that_an_edit_sets_apart_are_found_before_they_are_used() {
    for (edited, what) in [(&[0, 1][..], "constant tensors"), (&[1][..], "constant tensors")] {
        let found = Threads::run(2, |rank| {
            let number = rank.rank();
            let mut engine = engine(View { rank: Some(number), sizes: &[&[2, 2]] })?.distributed(rank)?;
            engine.run(1)?;
            let before = engine.problem().scaled.net.values();
            if edited.contains(&number) {
                engine.edit(|problem| problem.scaled.weights = tensor([2], vec![1.0 + number as f64, 2.0]))?;
            }
            let error = engine.run(1).expect_err("constants differ");
            assert_eq!(engine.problem().scaled.net.values(), before, "no step is taken with them");
            // Alike on all ranks, it goes on.
            engine.edit(|problem| problem.scaled.weights = tensor([2], vec![3.0, 1.0]))?;
            engine.run(1)?;
            Ok::<_, EngineError>(error)
        });
        let differs = DistributedError::Differs { what, rank: 1 };
        for error in found {
            let error = error.expect("it goes on");
            assert!(matches!(&error, EngineError::Distributed(error) if *error == differs), "{edited:?}: {error}");
        }
    }
}

#[test]
fn parameters_that_an_edit_sets_apart_are_found_before_they_are_used() {
    let found = Threads::run(2, |rank| {
        let number = rank.rank();
        let mut engine = engine(View { rank: Some(number), sizes: &[&[2, 2]] })?.distributed(rank)?;
        engine.run(1)?;
        engine.edit(|problem| problem.scaled.net.bias = Param::from_tensor(tensor([4], vec![number as f64; 4])))?;
        Ok::<_, EngineError>((engine.run(50).expect_err("parameters differ"), engine.iterations()))
    });
    let differs = DistributedError::Differs { what: "parameters", rank: 1 };
    for found in found {
        let (error, iterations) = found.expect("an engine");
        assert!(matches!(&error, EngineError::Distributed(error) if *error == differs), "{error}");
        assert_eq!(iterations, 1);
    }
}
