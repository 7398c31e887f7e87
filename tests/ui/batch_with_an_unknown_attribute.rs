use betty_runtime::Batch;
use burn::tensor::Tensor;

#[derive(Clone, Batch)]
struct Images {
    pixels: Tensor<4>,
    #[batch(skp)]
    classes: usize,
}

fn main() {}
