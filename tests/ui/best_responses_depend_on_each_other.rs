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
        lower: [left, right],
        batch: Tensor<1>,
        loss: top_loss,
        optimizer: sgd(lr = 0.1),
    }

    level left: Net {
        upper: [top],
        lower: [a, b],
        batch: Tensor<1>,
        loss: side_loss,
        optimizer: sgd(lr = 0.1),
        hypergradient: cg(iterations = 10),
    }

    level right: Net {
        upper: [top],
        lower: [a, b],
        batch: Tensor<1>,
        loss: side_loss,
        optimizer: sgd(lr = 0.1),
        hypergradient: cg(iterations = 10),
    }

    level a: Net {
        upper: [left],
        batch: Tensor<1>,
        loss: bottom_loss,
        optimizer: sgd(lr = 0.1),
        hypergradient: cg(iterations = 10),
    }

    level b: Net {
        upper: [right],
        batch: Tensor<1>,
        loss: bottom_loss,
        optimizer: sgd(lr = 0.1),
        hypergradient: cg(iterations = 10),
    }
}

fn top_loss(_: &Net, _: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn side_loss(_: &Net, _: &Net, _: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn bottom_loss(_: &Net, _: &Net, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn main() {}
