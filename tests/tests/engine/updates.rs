//! Steps on losses that write entries several times: Burn's backward pass takes for granted that none is, ours does not.

use betty_runtime::{Batch, Engine, EngineError, Stream, multilevel};
use burn::module::Param;
use burn::tensor::IndexingUpdateOp::{self, Assign, Max, Min, Mul};
use burn::tensor::{Device, Int, Tensor};

type Vector = Param<Tensor<1>>;

/// Which update, at which entries, and whether a `detach` is hidden in what is written.
#[derive(Batch, Clone, Debug)]
struct Written {
    update: usize,
    at: Tensor<1, Int>,
    hidden: bool,
}

const UPDATES: [IndexingUpdateOp; 4] = [Assign, Max, Min, Mul];

/// The first two numbers, updated by the other four, with the weights 6 and 10.
fn update(theta: &Vector, Written { update, at, hidden }: Written) -> Tensor<1> {
    let (x, mut values) = (theta.val().slice(0..2), theta.val().slice(2..6));
    if hidden {
        values = (values.clone() - 1.0).detach() * 0.5 + values * 0.5 + 0.5;
    }
    let new = x.scatter(0, at, values, UPDATES[update]);
    (new.clone() * Tensor::from_floats([6.0, 10.0], &new.device())).sum()
}

multilevel! {
    struct Update;
    level theta: Vector { batch: Written, loss: update, optimizer: sgd(lr = 1.0) }
}

/// By how much a step moves these numbers.
fn step(update: usize, at: [i64; 4], numbers: [f32; 6], hidden: bool) -> Result<Vec<f32>, EngineError> {
    let device = Device::flex();
    let theta = Param::from_tensor(Tensor::from_floats(numbers, &device));
    let data = UpdateData { theta: Stream::constant(Written { update, at: Tensor::from_ints(at, &device), hidden }) };
    let mut engine = Engine::new(Update { theta }, data, UpdateConfig::default()).unwrap();
    engine.run(1)?;
    let moved: Vec<f32> = engine.problem().theta.val().into_data().iter::<f32>().collect();
    Ok(numbers.iter().zip(moved).map(|(before, after)| before - after).collect())
}

#[test]
fn an_entry_that_is_written_twice_has_the_derivative_of_what_stands_there() {
    let twice = [0, 0, 1, 1];
    let rising = [0.0, 5.0, 1.0, 2.0, 4.0, 7.0];
    let of = |update, numbers| step(update, twice, numbers, false).unwrap();
    assert_eq!(of(0, rising), [0.0, 0.0, 0.0, 6.0, 0.0, 10.0]);
    assert_eq!(of(1, rising), [0.0, 0.0, 0.0, 6.0, 0.0, 10.0]);
    assert_eq!(of(2, rising), [6.0, 0.0, 0.0, 0.0, 10.0, 0.0]);
    // 6·1·2, 10·4·7, 6·0·2, 6·0·1, 10·5·7 and 10·5·4.
    assert_eq!(of(3, rising), [12.0, 280.0, 0.0, 0.0, 350.0, 200.0]);
    // Three values for the second entry, and the largest one first.
    assert_eq!(step(1, [1, 0, 1, 1], [0.0, 5.0, 9.0, 2.0, 4.0, 7.0], false).unwrap(), [0.0, 0.0, 10.0, 6.0, 0.0, 0.0]);
}

#[test]
fn a_detach_is_found_also_where_entries_are_written_twice() {
    for update in 0..UPDATES.len() {
        for at in [[0, 0, 1, 1], [0, 1, 0, 1]] {
            let outcome = step(update, at, [0.0, 5.0, 1.0, 2.0, 4.0, 7.0], true);
            assert!(matches!(outcome, Err(EngineError::Verification { .. })), "{update}: {outcome:?}");
        }
    }
}
