use betty_runtime::multilevel;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

#[derive(Module, Debug)]
struct Net {
    weights: Param<Tensor<1>>,
}

multilevel! {
    struct Program;

    level a: Net {
        lower: [b],
        batch: Tensor<1>,
        loss: f,
        optimizer: sgd(lr = 0.1),
    }

    level b: Net {
        lower: [c],
        batch: Tensor<1>,
        loss: f,
        optimizer: sgd(lr = 0.1),
    }

    level c: Net {
        lower: [a],
        batch: Tensor<1>,
        loss: f,
        optimizer: sgd(lr = 0.1),
    }
}

fn f(_: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn main() {}
