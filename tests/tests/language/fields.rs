//! All fields of a level, and what may be done with the generated items.

#![deny(warnings, missing_docs)]

use betty_runtime::{Multilevel, ProgramConfig, Stream, multilevel};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

/// A list of numbers.
#[derive(Module, Debug)]
pub struct Numbers {
    values: Param<Tensor<1>>,
}

multilevel! {
    /// All fields at once.
    pub struct Complete;

    level weights: Numbers {
        lower: [net],
        batch: (Tensor<1>, Tensor<2>),
        loss: losses::weights,
        optimizer: adam(lr = 1e-3),
    }

    /// Documented.
    level net: crate::fields::Numbers {
        upper: [weights],
        batch: Vec<Tensor<1>>,
        loss: losses::net::<1>,
        optimizer: sgd(lr = 1, momentum = 0.9, nesterov = true),
        unroll: 10,
        hypergradient: neumann(terms = 5, step_size = 0.01, damping = 0.1, batch = fresh),
        clip: value(0.5),
        accumulate: 2,
    }
}

mod losses {
    use super::*;

    pub(crate) fn weights(_: &Numbers, net: &Numbers, _: (Tensor<1>, Tensor<2>)) -> Tensor<1> {
        net.values.val().sum()
    }

    pub(crate) fn net<const D: usize>(net: &Numbers, weights: &Numbers, _: Vec<Tensor<D>>) -> Tensor<1> {
        (net.values.val() - weights.values.val()).powi_scalar(2).sum()
    }
}

#[test]
fn every_field_of_a_level_arrives() {
    let config = CompleteConfig::default();
    assert_eq!(config.net.unroll, 10);
    assert_eq!(config.net.accumulate, 2);
    assert!(config.validate(&Complete::SCHEDULE).is_ok());
    assert_eq!(Complete::SCHEDULE.level("net"), Some(1));
    assert_eq!(Complete::SCHEDULE.levels[1].module, "crate::fields::Numbers");
    assert_eq!(Complete::SCHEDULE.levels[1].loss, "losses::net::<1>");
    assert_eq!(Complete::SCHEDULE.levels[0].batch, "(Tensor<1>, Tensor<2>)");

    let device = Device::flex();
    let numbers = || Numbers { values: Param::from_tensor(Tensor::ones([2], &device)) };
    let mut program = Complete { weights: numbers(), net: numbers() };
    assert_eq!(program.modules().len(), 2);
    assert_eq!(program.modules_mut().len(), 2);
    let data = CompleteData {
        weights: Stream::constant((Tensor::ones([1], &device), Tensor::ones([1, 1], &device))),
        net: Stream::constant(Vec::new()),
    };
    assert_eq!(Complete::streams(data).len(), 2);
}
