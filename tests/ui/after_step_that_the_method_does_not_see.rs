use betty_runtime::multilevel;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

#[derive(Module, Debug)]
struct Net {
    weights: Param<Tensor<1>>,
}

multilevel! {
    struct Program;

    level weights: Net {
        lower: [net],
        batch: Tensor<1>,
        loss: weights_loss,
        optimizer: sgd(lr = 0.1),
    }

    level net: Net {
        upper: [weights],
        batch: Tensor<1>,
        loss: net_loss,
        after_step: rescaled,
        optimizer: sgd(lr = 0.1),
        hypergradient: cg,
    }
}

fn weights_loss(_: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn net_loss(_: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn rescaled(_: Net, _: &Net) -> Net {
    unimplemented!()
}

fn main() {}
