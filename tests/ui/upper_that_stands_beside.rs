use betty_runtime::multilevel;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

#[derive(Module, Debug)]
struct Net {
    weights: Param<Tensor<1>>,
}

multilevel! {
    struct Program;

    level logits: Net {
        lower: [cell],
        batch: Tensor<1>,
        loss: searched,
        optimizer: sgd(lr = 0.1),
    }

    level penalty: Net {
        upper: [logits],
        lower: [cell],
        batch: Tensor<1>,
        loss: judged,
        optimizer: sgd(lr = 0.1),
    }

    level cell: Net {
        upper: [logits, penalty],
        batch: Tensor<1>,
        loss: fitted,
        optimizer: sgd(lr = 0.1),
        hypergradient: cg(iterations = 10),
    }
}

fn searched(_: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn judged(_: &Net, _: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn fitted(_: &Net, _: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn main() {}
