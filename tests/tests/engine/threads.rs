//! A run has the same bits on any number of threads: what is resumed elsewhere goes on as it would have, and ranks stay together.

use betty_runtime::{Batch, Derivatives, Engine, Stream, multilevel};
use burn::module::{Module, Param};
use burn::tensor::activation::tanh;
use burn::tensor::{Device, Tensor, TensorData};

#[derive(Module, Debug)]
struct Net {
    weight: Param<Tensor<2>>,
}

#[derive(Module, Debug)]
struct Decay {
    log: Param<Tensor<1>>,
}

#[derive(Batch, Clone, Debug)]
struct Examples {
    x: Tensor<2>,
    y: Tensor<2>,
}

/// As many entries as Burn adds up on all threads.
const WIDTH: usize = 2048;

fn numbers<const D: usize>(shape: [usize; D], seed: usize, scale: f32) -> Tensor<D> {
    let numbers = (0..shape.iter().product()).map(|i: usize| ((i * 7919 + seed) as f64 * 0.618_034).fract() - 0.49);
    let numbers: Vec<f32> = numbers.map(|x| x as f32 * scale).collect();
    Tensor::from_data(TensorData::new(numbers, shape), &Device::flex())
}

fn error(net: &Net, batch: Examples) -> Tensor<1> {
    (tanh(batch.x.matmul(net.weight.val())) - batch.y).square().mean()
}

fn fit(net: &Net, decay: &Decay, batch: Examples) -> Tensor<1> {
    error(net, batch) + net.weight.val().square().sum() * decay.log.val().exp()
}

fn validation(_: &Decay, net: &Net, batch: Examples) -> Tensor<1> {
    error(net, batch)
}

multilevel! {
    struct Wide;

    level decay: Decay { lower: [net], batch: Examples, loss: validation, optimizer: adam(lr = 0.1) }
    level net: Net {
        upper: [decay], batch: Examples, loss: fit, optimizer: sgd(lr = 0.5, momentum = 0.9), clip: norm(0.1),
        hypergradient: cg(iterations = 2),
    }
}

/// Bits of parameters after a step of each level.
fn trained() -> Vec<u32> {
    let net = Net { weight: Param::from_tensor(numbers([WIDTH, WIDTH], 1, 0.05)) };
    let decay = Decay { log: Param::from_tensor(Tensor::from_floats([-7.0], &Device::flex())) };
    let examples = |seed: usize| {
        Stream::constant(Examples { x: numbers([3, WIDTH], seed, 1.0), y: numbers([3, WIDTH], seed, 0.5) })
    };
    let data = WideData { decay: examples(2), net: examples(3) };
    let mut engine = Engine::new(Wide { decay, net }, data, WideConfig::default()).unwrap().verification(false);
    engine.run(1).unwrap();
    let Wide { decay, net } = engine.problem();
    let bits = |numbers: TensorData| numbers.iter::<f32>().map(f32::to_bits).collect::<Vec<u32>>();
    [bits(decay.log.val().into_data()), bits(net.weight.val().into_data())].concat()
}

#[derive(Module, Debug)]
struct Slope {
    /// One for all channels: its derivative is a sum over all places.
    slope: Param<Tensor<1>>,
}

fn squared(of: &Slope, x: Tensor<4>) -> Tensor<1> {
    (x.clone().clamp_min(0.0) + x.clamp_max(0.0) * of.slope.val().unsqueeze::<4>()).square().mean()
}

/// Bits of the derivative in a number that 4 Mi activations are multiplied by.
fn differentiated() -> Vec<u32> {
    let of = Slope { slope: Param::from_tensor(Tensor::from_floats([0.25], &Device::flex())) };
    let mut derivatives = Derivatives::of(squared, &of, &numbers([17, 64, 62, 63], 6, 1.0)).unwrap();
    // Compared with Burn's on one example.
    derivatives.verification_memory(1).allow_unverified();
    derivatives.gradient().unwrap().to_vec().unwrap().into_iter().map(|x| (x as f32).to_bits()).collect()
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    for run in [trained as fn() -> Vec<u32>, differentiated] {
        let bits = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(run)
        };
        let alone = bits(1);
        for threads in [2, 3, 8] {
            let found = bits(threads);
            let other = found.iter().zip(&alone).filter(|(x, y)| x != y).count();
            assert!(found == alone, "{threads} threads: {other} of {} numbers differ", alone.len());
        }
    }
}
