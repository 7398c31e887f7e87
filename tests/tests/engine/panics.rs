//! Code that panics: the user's own, and Burn's on what it cannot compute.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use betty_runtime::{Engine, EngineError, Event, Goal, Stream, Validation, multilevel};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::problem::{
    Cleaning, CleaningConfig, CleaningData, Examples, Mlp, TRAIN, Weights, clean, data, engine, examples, first_weight,
    logits, losses, problem, seeded,
};

/// Everything that four iterations lead to.
fn whole() -> End {
    let mut engine = engine(0.0);
    engine.run(4).unwrap();
    (logits(engine.problem()), first_weight(engine.problem()))
}

/// Parameters of both levels.
type End = (Vec<f32>, Vec<f32>);

/// Four iterations, going on after every error; answers the steps of both levels as well.
fn stubbornly(mut engine: Engine<Cleaning>) -> (End, [u64; 2], Vec<EngineError>) {
    let mut errors = Vec::new();
    while engine.iterations() < 4 {
        if let Err(error) = engine.run(4 - engine.iterations()) {
            errors.push(error);
        }
        assert!(errors.len() < 5, "{errors:?}");
    }
    let saved = engine.checkpoint().unwrap();
    let steps = ["weights", "model"].map(|level| saved.steps(level).unwrap());
    ((logits(engine.problem()), first_weight(engine.problem())), steps, errors)
}

#[test]
fn an_observer_that_panics_does_not_disturb_the_schedule() {
    for at in [1, 2, 3] {
        let seen = Cell::new(0);
        let engine = engine(0.0).observe(move |event| {
            if let Event::Step { name: "model", .. } = event {
                seen.set(seen.get() + 1);
                assert!(seen.get() != 2 * at + 1, "the plot is full");
            }
        });
        let (end, steps, errors) = stubbornly(engine);
        assert_eq!((end, steps), (whole(), [4, 12]), "{at}");
        let [EngineError::Observer { reason, .. }] = errors.as_slice() else { panic!("{errors:?}") };
        assert!(reason.contains("the plot is full") && reason.contains("panics.rs:"), "{reason}");
    }
}

#[test]
fn a_validation_that_panics_is_called_again() {
    let calls = Rc::new(Cell::new(0));
    let seen = Rc::clone(&calls);
    let validation = Validation::every(1, Goal::Min, move |_: &Cleaning| {
        seen.set(seen.get() + 1);
        assert!(seen.get() != 2, "no such file");
        Ok(-f64::from(seen.get()))
    });
    let (end, steps, errors) = stubbornly(engine(0.0).validate(validation));
    assert_eq!((end, steps, calls.get()), (whole(), [4, 12], 4));
    let [EngineError::Validation { iteration: 2, source }] = errors.as_slice() else { panic!("{errors:?}") };
    assert!(source.to_string().contains("no such file"), "{source}");
}

#[test]
fn a_stream_that_panics_is_one_that_fails() {
    let batches = (0..).map(|index| {
        assert!(index != 4, "the sector is damaged");
        Ok::<_, io::Error>(examples(TRAIN, 2))
    });
    let engine = Engine::new(
        problem(0.0),
        CleaningData { model: Stream::batches(batches), ..data() },
        CleaningConfig::default(),
    );
    let (end, steps, errors) = stubbornly(engine.unwrap());
    assert_eq!((end, steps), (whole(), [4, 12]));
    let [EngineError::Data { level, source }] = errors.as_slice() else { panic!("{errors:?}") };
    assert!(level == "model" && source.to_string().contains("the sector is damaged"), "{source}");
}

#[test]
fn an_index_out_of_range_names_the_level_and_the_operation() {
    fn integers(values: Vec<i64>) -> Tensor<1, Int> {
        let count = values.len();
        Tensor::from_data(TensorData::new(values, [count]), &Device::flex())
    }
    fn with_index() -> Examples {
        Examples { index: integers((1..=TRAIN as i64).collect()), ..examples(TRAIN, 2) }
    }
    fn with_label() -> Examples {
        Examples { y: integers(vec![3; TRAIN]), ..examples(TRAIN, 2) }
    }
    for (bad, operation) in [(with_index as fn() -> Examples, "`select 0`"), (with_label, "`gather 1`")] {
        // In the first batch, where the gradient is compared with Burn's, and later.
        for at in [0, 4] {
            let batches =
                (0..).map(move |index| Ok::<_, io::Error>(if index == at { bad() } else { examples(TRAIN, 2) }));
            let data = CleaningData { model: Stream::batches(batches), ..data() };
            let (end, steps, errors) = stubbornly(Engine::new(problem(0.0), data, CleaningConfig::default()).unwrap());
            assert_eq!((end, steps), (whole(), [4, 12]));
            let [EngineError::Panicked { level, step, reason }] = errors.as_slice() else { panic!("{errors:?}") };
            assert_eq!((level.as_str(), *step), ("model", at + 1));
            assert!(reason.starts_with(operation) && reason.contains("Look for an index"), "{reason}");
        }
    }
}

macro_rules! mistaken {
    ($program:ident, $data:ident, $config:ident, $loss:ident) => {
        multilevel! {
            struct $program;
            level weights: Weights { lower: [model], batch: Examples, loss: clean, optimizer: sgd(lr = 0.1) }
            level model: Mlp {
                upper: [weights], batch: Examples, loss: $loss, optimizer: sgd(lr = 0.1),
                hypergradient: identity(scale = 1.0),
            }
        }
        impl $program {
            fn error() -> String {
                let device = Device::flex();
                let problem = $program { weights: Weights::new(&device), model: seeded(Mlp::new(&device, 0.0)) };
                let data =
                    $data { weights: Stream::constant(examples(12, 1)), model: Stream::constant(examples(TRAIN, 2)) };
                Engine::new(problem, data, $config::default()).unwrap().run(1).unwrap_err().to_string()
            }
        }
    };
}

mistaken!(Mixed, MixedData, MixedConfig, mixes_types);
mistaken!(Joined, JoinedData, JoinedConfig, joins_types);
mistaken!(Multiplied, MultipliedData, MultipliedConfig, multiplies_types);
mistaken!(Misfit, MisfitData, MisfitConfig, multiplies_what_does_not_fit);
mistaken!(Unequal, UnequalData, UnequalConfig, adds_what_does_not_fit);
mistaken!(Layered, LayeredData, LayeredConfig, feeds_a_layer_what_does_not_fit);

const MIXED: u32 = line!() + 5;
fn mixes_types(model: &Mlp, _weights: &Weights, batch: Examples) -> Tensor<1> {
    let losses = losses(model, &batch);
    let scale = Tensor::<1>::ones([TRAIN], (&batch.x.device(), DType::F64));
    // The line of the mistake is known.
    (losses * scale).mean()
}

const JOINED: u32 = line!() + 3;
fn joins_types(model: &Mlp, _weights: &Weights, batch: Examples) -> Tensor<1> {
    let other = Tensor::<2>::ones([3, 3], (&batch.x.device(), DType::F64));
    Tensor::cat(vec![model.forward(batch.x), other], 0).mean()
}

fn multiplies_types(model: &Mlp, _weights: &Weights, batch: Examples) -> Tensor<1> {
    let other = Tensor::<2>::ones([3, 2], (&batch.x.device(), DType::F64));
    model.forward(batch.x).matmul(other).mean()
}

const MISFIT: u32 = line!() + 2;
fn multiplies_what_does_not_fit(model: &Mlp, _weights: &Weights, batch: Examples) -> Tensor<1> {
    model.forward(batch.x.clone()).matmul(batch.x).mean()
}

const UNEQUAL: u32 = line!() + 2;
fn adds_what_does_not_fit(model: &Mlp, weights: &Weights, batch: Examples) -> Tensor<1> {
    (losses(model, &batch) + weights.logits.val().slice(0..5)).mean()
}

const LAYERED: u32 = line!() + 2;
fn feeds_a_layer_what_does_not_fit(model: &Mlp, _weights: &Weights, batch: Examples) -> Tensor<1> {
    model.first_layer().forward(batch.x.swap_dims(0, 1)).mean()
}

#[test]
fn types_that_are_mixed_are_named_with_the_operation_and_the_line() {
    let text = Mixed::error();
    assert!(text.contains("the loss of level `model` mixes types in `mul`"), "{text}");
    assert!(text.contains(&format!("tests/engine/panics.rs:{MIXED}:")), "{text}");
    assert!(text.contains("it has f32 (a tensor of a module) and f64 (made in the loss)"), "{text}");
    let text = Joined::error();
    assert!(text.contains("in `cat`") && text.contains("f64 (made in the loss)"), "{text}");
    assert!(text.contains(&format!("tests/engine/panics.rs:{JOINED}:")), "{text}");
    // Burn lets this product pass.
    let text = Multiplied::error();
    assert!(text.contains("`mat_mul` needs tensors of one type, but got F32 and F64"), "{text}");
}

#[test]
fn shapes_that_do_not_fit_are_named_with_the_operation_and_the_line() {
    for (text, operation, line) in [
        (Misfit::error(), "Matmul", MISFIT),
        (Unequal::error(), "add", UNEQUAL),
        (Layered::error(), "`forward`", LAYERED),
    ] {
        assert!(text.contains("the loss of level `model` panicked") && text.contains(operation), "{text}");
        assert!(text.contains(&format!("tests/engine/panics.rs:{line}:")), "{text}");
    }
}

#[test]
fn a_panic_of_the_loss_itself_has_its_line() {
    fn fails(_model: &Mlp, _weights: &Weights, _batch: Examples) -> Tensor<1> {
        panic!("my own bug")
    }
    mistaken!(Failing, FailingData, FailingConfig, fails);
    let text = Failing::error();
    assert!(text.contains("my own bug") && text.contains("tests/engine/panics.rs:"), "{text}");
}
