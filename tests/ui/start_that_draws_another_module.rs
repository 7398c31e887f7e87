use betty_runtime::multilevel;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

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
        optimizer: sgd(lr = 0.1),
        start: fresh(my_tensor),
        hypergradient: unrolled,
    }
}

fn my_tensor(_: &Device) -> Param<Tensor<1>> {
    unimplemented!()
}

fn weights_loss(_: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn net_loss(_: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn main() {}
