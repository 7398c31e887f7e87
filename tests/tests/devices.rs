//! Tensors on two real devices at once: what a program on one of them says about a tensor on the other.
//!
//! Needs a build with two of them, `--features ndarray` (a second CPU backend) or `cuda`, `wgpu` or `rocm`; Burn is compiled again
//! for it. On the one device of a plain build, the check itself is tested in `betty-runtime/src/engine/level.rs`.
#![cfg(any(feature = "ndarray", feature = "cuda", feature = "wgpu", feature = "rocm"))]
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use betty_runtime::{Engine, EngineError, Stream, multilevel};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

type Numbers = Param<Tensor<1>>;

fn upper(_upper: &Numbers, lower: &Numbers, target: Tensor<1>) -> Tensor<1> {
    (lower.val() - target).square().mean()
}

fn lower(lower: &Numbers, upper: &Numbers, data: Tensor<1>) -> Tensor<1> {
    (lower.val() - upper.val() * data).square().mean()
}

multilevel! {
    struct Pair;
    level above: Numbers { lower: [below], batch: Tensor<1>, loss: upper, optimizer: sgd(lr = 0.1) }
    level below: Numbers {
        upper: [above], batch: Tensor<1>, loss: lower, optimizer: sgd(lr = 0.1),
        hypergradient: cg(iterations = 3),
    }
}

fn elsewhere() -> Device {
    #[cfg(feature = "ndarray")]
    #[allow(deprecated, reason = "the only second CPU backend that Burn has")]
    return Device::ndarray();
    #[cfg(not(feature = "ndarray"))]
    betty_tests::devices::other()
}

fn ones(device: &Device) -> Tensor<1> {
    Tensor::ones([3], device)
}

fn engine(above: &Device, below: &Device, data: &Device) -> Result<Engine<Pair>, EngineError> {
    let problem = Pair { above: Param::from_tensor(ones(above)), below: Param::from_tensor(ones(below)) };
    let data = PairData { above: Stream::constant(ones(above)), below: Stream::constant(ones(data)) };
    Engine::new(problem, data, PairConfig::default())
}

#[test]
fn parameters_elsewhere_are_named_with_both_places() {
    let (here, there) = (Device::flex(), elsewhere());
    let error = engine(&here, &there, &here).err().unwrap();
    let text = error.to_string();
    assert!(matches!(error, EngineError::WrongDevice { .. }), "{text}");
    for part in ["level `below`", &format!("{here:?}"), &format!("{there:?}"), "`to_device`"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_batch_elsewhere_is_named_and_changes_nothing() {
    let (here, there) = (Device::flex(), elsewhere());
    let mut engine = engine(&here, &here, &there).unwrap();
    let error = engine.run(1).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, EngineError::WrongDevice { .. }), "{text}");
    assert!(text.contains("tensor 0 of the batch of level `below`"), "{text}");
    assert_eq!(engine.problem().below.val().into_data(), ones(&here).into_data());
}

#[test]
fn a_program_moved_as_a_whole_runs_elsewhere() {
    let there = elsewhere();
    let mut engine = engine(&there, &there, &there).unwrap();
    engine.run(2).unwrap();
    assert!(engine.problem().below.devices().contains(&there));
}
