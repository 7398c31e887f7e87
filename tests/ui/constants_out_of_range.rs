use betty_runtime::multilevel;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

#[derive(Module, Debug)]
struct Net {
    weights: Param<Tensor<1>>,
}

const LR: f64 = -0.1;
const STEPS: usize = 0;
const BACK: i32 = -3;

multilevel! {
    struct Program;

    level weights: Net {
        lower: [net],
        batch: Tensor<1>,
        loss: weights_loss,
        optimizer: sgd(lr = 2.0 * LR),
    }

    level net: Net {
        upper: [weights],
        batch: Tensor<1>,
        loss: net_loss,
        optimizer: sgd(lr = 0.1),
        unroll: STEPS,
        warmup: BACK,
        accumulate: LR,
        hypergradient: cg(damping = f64::NAN, batch = FRESH),
    }
}

fn weights_loss(_: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn net_loss(_: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn main() {}
