use betty_runtime::Batch;
use burn::tensor::Tensor;

#[derive(Clone)]
struct Plain;

#[derive(Clone, Batch)]
struct Images {
    pixels: Tensor<4>,
    plain: Plain,
}

fn main() {}
