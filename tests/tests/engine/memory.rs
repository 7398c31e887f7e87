//! Devices without memory.

use betty_runtime::execute::Vector;
use betty_runtime::hypergradient::{HypergradientError, Solved, System};
use betty_runtime::{Engine, EngineError, HypergradientMethod, Stream, StreamPosition, multilevel};
use burn::tensor::{DType, Tensor};

use crate::finite::{Point, Slopes, below, point, tensor, values};

/// A method whose device has no memory left, or is broken, when a batch says so.
#[derive(Debug)]
struct Exhausted;

impl HypergradientMethod for Exhausted {
    fn name(&self) -> &'static str {
        "exhausted"
    }

    fn solve(&self, _: &mut System<'_>, v: &Vector, _: Option<Vector>) -> Result<Solved, HypergradientError> {
        match v.to_vec()?[0] {
            2.0 => panic!("out of device memory allocating 4096 bytes"),
            3.0 => panic!("the cable came off"),
            _ => Ok(Solved { x: v.clone(), residual: None }),
        }
    }
}

fn scaled(_high: &Point, low: &Point, slopes: Slopes) -> Tensor<1> {
    (low.x.val() * slopes.of).sum()
}

multilevel! {
    struct OnSmallDevice;

    level high: Point { lower: [low], batch: Slopes, loss: scaled, optimizer: sgd(lr = 0.5) }
    level low: Point {
        upper: [high], batch: Slopes, loss: below, optimizer: sgd(lr = 0.25), hypergradient: custom(Exhausted),
    }
}

#[test]
fn a_device_without_memory_leaves_the_state_as_it_was() {
    let slopes = |first: f64| Slopes { of: tensor(&[first, 0.0], DType::F32) };
    let run = |batches: &[f64], unroll: usize| {
        let problem = OnSmallDevice { high: point(&[1.0, 1.0], DType::F32), low: point(&[0.5, 0.5], DType::F32) };
        let batches: Vec<_> = batches.iter().map(|&first| Ok::<_, std::io::Error>(slopes(first))).collect();
        let data = OnSmallDeviceData { high: Stream::batches(batches), low: Stream::constant(slopes(1.0)) };
        let mut config = OnSmallDeviceConfig::default();
        config.low.unroll = unroll;
        Engine::new(problem, data, config).unwrap()
    };
    let mut failing = run(&[1.0, 2.0, 3.0, 1.0], 1);
    failing.run(1).unwrap();
    let error = failing.run(1).unwrap_err();
    let EngineError::OutOfMemory { level, planned, .. } = &error else { panic!("{error}") };
    assert!(level == "high" && *planned > 0, "{error}");
    assert!(error.to_string().contains("4096 bytes") && error.to_string().contains("smaller batches"), "{error}");
    let error = failing.run(1).unwrap_err();
    assert!(
        matches!(&error, EngineError::Panicked { level, reason, .. } if level == "high" && reason.contains("cable"))
    );
    failing.run(1).unwrap();
    // The level below took its step for each batch of the level above, which took two in all.
    let saved = failing.checkpoint().unwrap();
    assert_eq!((saved.steps("high"), saved.steps("low")), (Some(2), Some(4)));
    let mut first = run(&[1.0], 1);
    first.run(1).unwrap();
    let mut whole = run(&[1.0, 1.0], 3);
    whole.resume(&first.checkpoint().unwrap(), StreamPosition::Start).unwrap();
    whole.run(1).unwrap();
    assert_eq!(values(&failing.problem().low), values(&whole.problem().low));
    assert_eq!(values(&failing.problem().high), values(&whole.problem().high));
}
