//! A program on the CPU is the same in a build that has another device: nothing of it goes there.

use betty_runtime::{Engine, Number, Stream, multilevel};
use burn::module::Param;
use burn::tensor::{Device, Tensor};

type Numbers = Param<Tensor<1>>;

fn loss(x: &Numbers, by: Number) -> Tensor<1> {
    let x = x.val();
    (x.clone() - by.like(&x)).square().sum()
}

multilevel! {
    struct Plain;
    level x: Numbers { batch: Number, loss: loss, optimizer: sgd(lr = 0.5) }
}

#[test]
fn batches_without_tensors_stay_on_the_cpu() {
    let x = Param::from_tensor(Tensor::<1>::from_floats([1.0, 2.0], &Device::flex()));
    let data = PlainData { x: Stream::constant(Number::new(3.0)) };
    let mut engine = Engine::new(Plain { x }, data, PlainConfig::default()).unwrap();
    engine.run(1).unwrap();
    assert_eq!(engine.into_problem().x.val().into_data().try_to_vec::<f32>().unwrap(), [3.0, 3.0]);
}
