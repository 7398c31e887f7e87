//! `evolution` where the numbers of upper parameters stand further apart than they shall be moved.

use betty_runtime::{Engine, ProgramConfig, Stream, multilevel};
use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};

type Vector = Param<Tensor<1>>;

/// One step of length 1 leads to `λ`.
fn towards(net: &Vector, above: &Vector, _: Tensor<1>) -> Tensor<1> {
    let gap = net.val() - above.val().cast(DType::F32);
    (gap.clone() * gap).sum() * 0.5
}

fn linear(_above: &Vector, net: &Vector, slope: Tensor<1>) -> Tensor<1> {
    (net.val() * slope).sum()
}

multilevel! {
    struct Displaced;
    level above: Vector { lower: [net], batch: Tensor<1>, loss: linear, optimizer: sgd(lr = 1e-30) }
    level net: Vector {
        upper: [above], batch: Tensor<1>, loss: towards, optimizer: sgd(lr = 1.0), hypergradient: evolution,
    }
}

const SLOPE: [f64; 6] = [1.0, -0.5, 0.3, 0.8, -1.2, 0.1];

fn vector(values: &[f64], dtype: DType) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), (&Device::flex(), dtype))
}

/// The estimate over the gradient, along the gradient.
fn estimated(values: &[f64], dtype: DType, sigma: f64) -> f64 {
    let config =
        format!(r#"{{ "net": {{ "hypergradient": {{ "method": "evolution", "pairs": 1000, "sigma": {sigma} }} }} }}"#);
    let problem = Displaced {
        above: Param::from_tensor(vector(values, dtype)),
        net: Param::from_tensor(vector(values, DType::F32)),
    };
    let slope = || Stream::constant(vector(&SLOPE, DType::F32));
    let data = DisplacedData { above: slope(), net: slope() };
    let mut engine = Engine::new(problem, data, DisplacedConfig::from_json(&config).unwrap()).unwrap();
    engine.run(1).unwrap();
    let found = engine.gradient("above").unwrap().gradient.to_vec().unwrap();
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    dot(&found, &SLOPE) / dot(&SLOPE, &SLOPE)
}

#[test]
fn what_would_not_move_is_moved_further() {
    // It is 0.5 to the next number at 100 in bf16, and at 1000 in f16: moved by 0.1 most stay where they are.
    let cases = [
        ([100.0, -90.0, 120.0, 70.0, 65.0, -127.0], DType::BF16, 0.1),
        ([1.5, -1.25, 1.75, 1.0, 1.5, -2.0], DType::BF16, 1e-3),
        ([1000.0, -900.0, 800.0, 600.0, 513.0, -1023.0], DType::F16, 0.1),
        ([100.0, -0.01, 0.5, 3.0, 0.0, -20.0], DType::BF16, 0.1),
        ([100.0, -90.0, 120.0, 70.0, 65.0, -127.0], DType::F32, 0.1),
        ([1.5, -1.25, 1.75, 1.0, 1.5, -2.0], DType::F64, 1e-3),
    ];
    for (values, dtype, sigma) in cases {
        let found = estimated(&values, dtype, sigma);
        // Four times the deviation of a mean of 1000 squares of normal numbers.
        assert!((found - 1.0).abs() <= 4.0 * (2.0_f64 / 1000.0).sqrt(), "{dtype:?} {sigma}: {found}");
    }
}
