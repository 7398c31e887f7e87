use betty_runtime::multilevel;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

#[derive(Module, Debug)]
struct Net {
    weights: Param<Tensor<1>>,
}

multilevel! {
    struct Program;

    level top: Net {
        lower: [middle],
        batch: Tensor<1>,
        loss: top_loss,
        optimizer: sgd(lr = 0.1),
    }

    level middle: Net {
        upper: [top],
        lower: [bottom],
        batch: Tensor<1>,
        loss: middle_loss,
        optimizer: sgd(lr = 0.1),
        hypergradient: cg(iterations = 10),
    }

    level bottom: Net {
        upper: [middle],
        lower: [base],
        batch: Tensor<1>,
        loss: bottom_loss,
        optimizer: sgd(lr = 0.1),
        unroll: 10,
        hypergradient: unrolled,
    }

    level base: Net {
        upper: [bottom],
        batch: Tensor<1>,
        loss: base_loss,
        optimizer: sgd(lr = 0.1),
        hypergradient: cg(iterations = 10),
    }
}

fn top_loss(_: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn middle_loss(_: &Net, _: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn bottom_loss(_: &Net, _: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn base_loss(_: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn main() {}
