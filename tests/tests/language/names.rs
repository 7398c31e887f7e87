//! Names that the generated code could have used itself.

use betty_runtime::{Batch, Multilevel, multilevel};
use burn::module::{Module, Param};
use burn::tensor::Tensor;

#[derive(Module, Debug)]
struct Vec {
    weights: Param<Tensor<1>>,
}

#[derive(Clone, Batch)]
struct Box<M, const D: usize> {
    mapper: M,
    tensor: Tensor<D>,
}

multilevel! {
    struct Program;

    level batch: Vec {
        lower: [data],
        batch: Box<Tensor<1>, 2>,
        loss: loss,
        optimizer: adamw(lr = 0.1),
    }

    level data: Vec {
        upper: [batch],
        lower: [r#type],
        batch: Box<usize, 2>,
        loss: tracer,
        optimizer: adamw(lr = 0.1),
        hypergradient: identity(scale = 0.1),
    }

    level r#type: Vec {
        upper: [data],
        batch: Tensor<1>,
        loss: level,
        optimizer: adamw(lr = 0.1),
        hypergradient: dense,
    }
}

fn loss(_: &Vec, data: &Vec, _: Box<Tensor<1>, 2>) -> Tensor<1> {
    data.weights.val().sum()
}

fn tracer(data: &Vec, _: &Vec, _: &Vec, _: Box<usize, 2>) -> Tensor<1> {
    data.weights.val().sum()
}

fn level(own: &Vec, _: &Vec, _: Tensor<1>) -> Tensor<1> {
    own.weights.val().sum()
}

#[test]
fn generated_code_takes_no_name_from_the_program() {
    assert_eq!(Program::SCHEDULE.level("type"), Some(2));
}

/// Short names, as type parameters have them, at the places that a list of modules more than is listed is tried at.
mod short {
    use super::{Module, Multilevel, Param, Tensor, multilevel};

    #[derive(Module, Debug)]
    struct F {
        weights: Param<Tensor<1>>,
    }

    type R = Tensor<1>;

    multilevel! {
        struct Short;

        level rates: F { lower: [net], batch: R, loss: judge, optimizer: sgd(lr = 0.1) }

        level net: F {
            batch: R,
            loss: fit,
            optimizer: sgd(lr = exp(rates.weights)),
            hypergradient: unrolled,
        }
    }

    fn judge(rates: &F, net: &F, by: R) -> R {
        (rates.weights.val() * net.weights.val() * by).sum()
    }

    fn fit(net: &F, by: R) -> R {
        (net.weights.val() * by).sum()
    }

    #[test]
    fn types_are_called_as_type_parameters_are() {
        assert_eq!(Short::SCHEDULE.level("net"), Some(1));
    }
}
