//! Checkpoints go from device to device.

use std::path::Path;

use betty_runtime::{Checkpoint, Engine, HypergradientConfig, StreamPosition};
use betty_tests::devices::other;
use burn::tensor::Device;

use crate::apart;
use crate::problem::{Cleaning, engine, parameters};

fn on(device: &Device) -> Engine<Cleaning> {
    let mut method: HypergradientConfig = "cg".parse().unwrap();
    if let HypergradientConfig::Cg(cg) = &mut method {
        (cg.damping, cg.warm_start) = (1.0, true);
    }
    engine(device, &method)
}

/// Three iterations from a checkpoint, on a device.
fn resumed(file: &Path, device: &Device) -> Vec<f64> {
    let mut engine = on(device);
    engine.resume(&Checkpoint::open(file).unwrap(), StreamPosition::Start).unwrap();
    engine.run(3).unwrap();
    parameters(&mut engine)
}

#[test]
fn a_run_goes_on_where_it_was_saved_and_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let (here, there) = (Device::flex(), other());
    for (saved, goes_on) in [(&here, &there), (&there, &here)] {
        let mut engine = on(saved);
        engine.run(2).unwrap();
        engine.checkpoint().unwrap().save(&file).unwrap();
        engine.run(3).unwrap();
        let whole = parameters(&mut engine);
        assert_eq!(resumed(&file, saved), whole, "{saved:?}");
        let difference = apart(&resumed(&file, goes_on), &whole);
        println!("saved on {saved:?}: {difference:.1e}");
        assert!(difference < 1e-3, "saved on {saved:?}: {difference:.1e}");
    }
}
