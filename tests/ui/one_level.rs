use betty_runtime::multilevel;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

#[derive(Module, Debug)]
struct Net {
    weights: Param<Tensor<1>>,
}

multilevel! {
    struct Program;

    level net: Net {
        batch: Tensor<1>,
        loss: net_loss,
        optimizer: sgd(lr = 0.1),
    }
}

fn net_loss(_: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn main() {}
