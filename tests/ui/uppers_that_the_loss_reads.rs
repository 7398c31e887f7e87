use betty_runtime::multilevel;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

#[derive(Module, Debug)]
struct Top {
    weights: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct High {
    weights: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct Middle {
    weights: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct Bottom {
    weights: Param<Tensor<1>>,
}

multilevel! {
    struct Program;

    level top: Top {
        lower: [high],
        batch: Tensor<1>,
        loss: top_loss,
        optimizer: sgd(lr = 0.1),
    }

    level high: High {
        upper: [top],
        lower: [middle],
        batch: Tensor<1>,
        loss: high_loss,
        optimizer: sgd(lr = 0.1),
        hypergradient: cg,
    }

    level middle: Middle {
        upper: [high],
        lower: [bottom],
        batch: Tensor<1>,
        loss: middle_loss,
        optimizer: sgd(lr = 0.1),
        hypergradient: cg,
    }

    level bottom: Bottom {
        upper: [middle],
        batch: Tensor<1>,
        loss: bottom_loss,
        optimizer: sgd(lr = 0.1),
        hypergradient: cg,
    }
}

#[derive(Module, Debug)]
struct Twin {
    weights: Param<Tensor<1>>,
}

multilevel! {
    struct Twins;

    level first: Twin {
        lower: [second],
        batch: Tensor<1>,
        loss: first_loss,
        optimizer: sgd(lr = 0.1),
    }

    level second: Twin {
        upper: [first],
        lower: [last],
        batch: Tensor<1>,
        loss: second_loss,
        optimizer: sgd(lr = 0.1),
        hypergradient: cg,
    }

    level last: Bottom {
        upper: [second],
        batch: Tensor<1>,
        loss: last_loss,
        optimizer: sgd(lr = 0.1),
        hypergradient: cg,
    }
}

fn first_loss(_: &Twin, _: &Twin, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn second_loss(_: &Twin, _: &Twin, _: &Bottom, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn last_loss(_: &Bottom, _: &Twin, _: &Twin, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn top_loss(_: &Top, _: &High, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn high_loss(_: &High, _: &Top, _: &Middle, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn middle_loss(_: &Middle, _: &High, _: &Bottom, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn bottom_loss(_: &Bottom, _: &Top, _: &Middle, _: &High, _: Tensor<1>) -> Tensor<1> {
    unimplemented!()
}

fn main() {}
