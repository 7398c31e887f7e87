use betty_runtime::multilevel;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

#[derive(Module, Debug)]
struct Net {
    weights: Param<Tensor<1>>,
}

struct Examples {
    inputs: Tensor<1>,
}

multilevel! {
    struct Program;

    level weights: Net {
        lower: [net],
        batch: Examples,
        loss: weights_loss,
        optimizer: sgd(lr = 0.1),
    }

    level net: Net {
        upper: [weights],
        batch: Examples,
        loss: net_loss,
        optimizer: sgd(lr = 0.1),
        groups: {
            weights: { optimizer: sgd(lr = 0.1) },
        },
        hypergradient: cg,
    }
}

fn weights_loss(_: &Net, _: &Net, batch: Examples) -> Tensor<1> {
    batch.inputs
}

fn net_loss(_: &Net, _: &Net, batch: Examples) -> Tensor<1> {
    batch.inputs
}

fn main() {}
