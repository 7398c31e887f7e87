//! Parameters of every float type.

use betty_runtime::{Derivatives, ParameterVector, output};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, FloatDType, Tensor};

use crate::models::{Mlp, hidden_layer};
use crate::reference::{distance, random};

struct Cast(FloatDType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.cast(self.0))
    }
}

fn loss(net: &Mlp, (x, y): (Tensor<2>, Tensor<2>)) -> Tensor<1> {
    (output(net.forward(x)) - y).square().mean()
}

#[test]
fn every_type_gives_what_doubles_give_but_for_its_rounding() {
    let found = |dtype: FloatDType| {
        let net = hidden_layer().map(&mut Cast(dtype));
        let batch = (random::<2>([6, 3], 2).cast(dtype), random::<2>([6, 3], 3).cast(dtype));
        let mut derivatives = Derivatives::of(loss, &net, &batch).unwrap();
        let theta = derivatives.parameters();
        let v = theta.with_values(&vec![0.25; theta.len()]).unwrap();
        assert_eq!(theta.tensor::<2>("first.weight").unwrap().dtype(), DType::from(dtype));
        let moved: Tensor<2> = derivatives.jvp(&v).unwrap();
        let products = [
            derivatives.gradient().unwrap(),
            derivatives.hessian().unwrap().product(&v).unwrap(),
            derivatives.gauss_newton().unwrap().product(&v).unwrap(),
            derivatives.vjp(moved).unwrap(),
        ];
        products.map(|product: ParameterVector| product.to_vec().unwrap())
    };
    let exact = found(FloatDType::F64);
    for (dtype, rounding) in [(FloatDType::F32, 2e-6), (FloatDType::F16, 1e-2), (FloatDType::BF16, 8e-2)] {
        for (found, exact) in found(dtype).iter().zip(&exact) {
            let gap = distance(found, exact);
            assert!(gap < rounding && gap > 0.0, "{dtype:?}: {gap:e}");
        }
    }
}
