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
        loss: a_loss,
        optimizer: sgd(lr = 0.1),
    }

    level b: Net {
        lower: [c],
        batch: Tensor<1>,
        loss: b_loss,
        optimizer: sgd(lr = 0.1),
    }

    level c: Net {
        upper: [b, a],
        batch: Tensor<1>,
        loss: c_loss,
        optimizer: sgd(lr = 0.1),
        hypergradient: cg(iterations = 10),
    }
}

fn a_loss(_: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn b_loss(_: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn c_loss(_: &Net, _: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn main() {}
