//! What is left of a level whose steps begin anew where the data end, and what a question needs to know of the last step.

use betty_runtime::{Checkpoint, Engine, EngineError, ProgramConfig, Stream, StreamPosition, multilevel};
use burn::lr_scheduler::constant::ConstantLr;
use burn::module::Param;
use burn::tensor::{Device, Tensor};

type Point = Param<Tensor<1>>;

fn below(x: &Point, y: &Point, batch: Tensor<1>) -> Tensor<1> {
    (x.val() * batch - y.val()).square().sum()
}

fn above(y: &Point, x: &Point, _batch: ()) -> Tensor<1> {
    (x.val() - 1.0).square().sum() + y.val().square().sum() * 0.1
}

multilevel! {
    struct Anew;
    level y: Point { lower: [x], batch: (), loss: above, optimizer: sgd(lr = 0.1) }
    level x: Point {
        upper: [y], batch: Tensor<1>, loss: below, optimizer: sgd(lr = 0.1, momentum = 0.5), unroll: 3, start: initial,
        hypergradient: unrolled,
    }
}

fn point(at: f32) -> Point {
    Param::from_tensor(Tensor::from_floats([at, -at], &Device::flex()))
}

fn anew(batches: usize, config: &str) -> Engine<Anew> {
    let batch = |number: usize| Tensor::<1>::from_floats([1.0 + 0.1 * number as f32], &Device::flex());
    let x = Stream::batches((0..batches).map(move |number| Ok::<_, std::io::Error>(batch(number))));
    let data = AnewData { y: Stream::constant(()), x };
    let config = AnewConfig::from_json(config).unwrap();
    Engine::new(Anew { y: point(0.7), x: point(0.2) }, data, config).unwrap()
}

fn values(engine: &mut Engine<Anew>) -> Vec<f32> {
    let problem = engine.problem();
    [&problem.y, &problem.x]
        .into_iter()
        .flat_map(|point| point.val().into_data().iter::<f32>().collect::<Vec<_>>())
        .collect()
}

#[test]
fn what_was_trained_is_there_where_the_data_end() {
    let ways = ["unrolled", "forward", "identity"]
        .map(|method| format!(r#"{{ "x": {{ "hypergradient": {{ "method": "{method}" }} }} }}"#));
    for config in &ways {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.safetensors");
        let mut whole = anew(6, config);
        whole.run(2).unwrap();
        let mut short = anew(6, config).save_every(1, &file);
        let error = short.run(5).unwrap_err();
        assert!(matches!(error, EngineError::OutOfData { .. }), "{error}");
        assert_eq!((short.iterations(), values(&mut short)), (2, values(&mut whole)), "{config}");
        let mut saved = anew(12, config);
        saved.resume(&Checkpoint::open(&file).unwrap(), StreamPosition::Start).unwrap();
        assert_eq!((saved.iterations(), values(&mut saved)), (2, values(&mut whole)), "{config}");
        // With more data it goes on as if there had been more from the beginning.
        saved.run(1).unwrap();
        let mut longer = anew(12, config);
        longer.run(3).unwrap();
        assert_eq!(values(&mut saved), values(&mut longer), "{config}");
    }
}

#[test]
fn the_rate_of_the_last_step_is_saved() {
    let config = r#"{ "x": { "start": "kept", "hypergradient": { "method": "sama" } } }"#;
    let scheduled = |batches| anew(batches, config).scheduler("x", ConstantLr::new(1e-3)).unwrap();
    let asked = |engine: &mut Engine<Anew>| engine.gradient("y").unwrap().gradient.to_vec().unwrap();
    let mut first = scheduled(12);
    first.run(2).unwrap();
    let saved = first.checkpoint().unwrap();
    let expected = asked(&mut first);
    let mut second = scheduled(12);
    second.resume(&saved, StreamPosition::Start).unwrap();
    assert_eq!(asked(&mut second), expected);
    assert_ne!(asked(&mut anew(12, config)), expected);
}
