use betty_runtime::Batch;
use burn::tensor::Tensor;

#[derive(Clone, Batch)]
enum Either {
    Left(Tensor<1>),
    Right(Tensor<2>),
}

fn main() {}
