//! Types of numbers: what the device computes in agrees with the CPU, and what it does not is an error that says so.

use betty_runtime::{Derivatives, DerivativesError, Engine, EngineError, HypergradientConfig, Precision};
use betty_tests::devices::other;
use burn::module::Param;
use burn::tensor::{DType, Device, Tensor};

use crate::apart;
use crate::problem::{Cleaning, config, data, problem};

fn method() -> HypergradientConfig {
    let mut method: HypergradientConfig = "minres".parse().unwrap();
    if let HypergradientConfig::Minres(minres) = &mut method {
        minres.damping = 1.0;
    }
    method
}

fn engine(device: &Device, dtype: DType, precision: Option<Precision>) -> Result<Engine<Cleaning>, EngineError> {
    Ok(Engine::new(problem(device, dtype), data(device, dtype), config(&method(), precision))?.seed(5))
}

fn trained(device: &Device, dtype: DType, precision: Option<Precision>) -> Vec<f64> {
    let mut engine = engine(device, dtype, precision).unwrap();
    engine.run(3).unwrap();
    engine.gradient("weights").unwrap().gradient.to_vec().unwrap()
}

#[test]
fn products_in_16_bits_agree_or_are_refused() {
    let device = other();
    for (precision, dtype) in [(Precision::Bf16, DType::BF16), (Precision::F16, DType::F16)] {
        if !device.supports_dtype(dtype) {
            println!("{precision:?}: not on this device");
            let error = engine(&device, DType::F32, Some(precision)).err().unwrap();
            assert!(matches!(error, EngineError::UnsupportedPrecision { .. }), "{error}");
            assert!(error.to_string().contains(&format!("{dtype:?}").to_lowercase()), "{error}");
            continue;
        }
        let [cpu, found] = [&Device::flex(), &device].map(|of| trained(of, DType::F32, Some(precision)));
        let relative = apart(&found, &cpu);
        println!("{precision:?}: relative difference {relative:.2e}");
        // Sums in another order round to another number of 8 bits, and a rectifier's input to the other side of 0.
        assert!(relative <= 5e-2, "{precision:?}: {relative:.2e}");
    }
}

#[test]
fn parameters_in_other_types_agree_or_are_refused() {
    let device = other();
    for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F16, 0.2), (DType::BF16, 0.5)] {
        match engine(&device, dtype, None) {
            Ok(_) => {
                assert!(device.supports_dtype(dtype), "{dtype:?}");
                let (cpu, found) = (trained(&Device::flex(), dtype, None), trained(&device, dtype, None));
                let relative = apart(&found, &cpu);
                println!("parameters in {dtype:?}: relative difference {relative:.1e}");
                assert!(relative <= tolerance, "{dtype:?}: {relative:.1e}");
            }
            // A device that has numbers of 64 bits may have no functions of them.
            Err(error) => {
                println!("parameters in {dtype:?}: not on this device");
                assert!(dtype == DType::F64 || !device.supports_dtype(dtype), "{dtype:?}");
                let text = error.to_string();
                assert!(matches!(error, EngineError::UnsupportedType { .. }), "{text}");
                for part in ["level `weights`", "`logits`", &format!("{dtype:?}").to_lowercase(), "make it f32"] {
                    assert!(text.contains(part), "{part}: {text}");
                }
            }
        }
    }
}

fn square(x: &Param<Tensor<1>>, _batch: ()) -> Tensor<1> {
    x.val().square().sum()
}

#[test]
fn derivatives_by_themselves_refuse_them_too() {
    let device = other();
    for dtype in [DType::F64, DType::F16, DType::BF16] {
        let module = crate::placed(Param::from_tensor(Tensor::<1>::ones([3], &device)), dtype);
        match Derivatives::of(square, &module, &()) {
            Ok(_) => assert!(device.supports_dtype(dtype), "{dtype:?}"),
            Err(error) => {
                assert!(dtype == DType::F64 || !device.supports_dtype(dtype), "{dtype:?}");
                assert!(matches!(error, DerivativesError::UnsupportedType { .. }), "{error}");
            }
        }
    }
}
