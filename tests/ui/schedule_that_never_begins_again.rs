use betty_runtime::multilevel;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

#[derive(Module, Debug)]
struct Net {
    weights: Param<Tensor<1>>,
}

multilevel! {
    struct Program;

    level rates: Net {
        lower: [net],
        batch: Tensor<1>,
        loss: rates_loss,
        optimizer: sgd(lr = 0.1),
    }

    level net: Net {
        upper: [rates],
        batch: Tensor<1>,
        loss: net_loss,
        optimizer: sgd(lr = 0.1),
        schedule: linear(steps = 5, restart = true),
        hypergradient: unrolled,
    }
}

fn rates_loss(_: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn net_loss(_: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn main() {}
