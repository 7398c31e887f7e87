//! Whether products in 16 bits pay: time, bytes and error of gradients and Hessian products against products in f32.
//!
//! Ratios of shortest times of turns taken one after the other: `cargo bench --workspace --bench precision -- MLP`, where
//! the word picks models by their names.

use std::time::Instant;

use betty_runtime::__private::derivatives::{Curvature, Lagrangian, Loss, Point, Variable};
use betty_runtime::Batch;
use betty_runtime::execute::{Value, Vector};
use betty_runtime::trace::{AnyBatch, LevelModule, LossInput, trace};
use betty_tests::devices::chosen_or_cpu;
use betty_tests::models::{Encoder, Group, ResNet, cross_entropy};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::gelu;
use burn::tensor::{DType, Device, Distribution, Int, Tensor, TensorData};

/// The system's allocator gives large tensors back at once and takes a page fault for every page at the next step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many turns the ratios are taken from.
const ROUNDS: usize = 12;
const MODEL: Variable = Variable::Level(0);
const TYPES: [Option<DType>; 3] = [None, Some(DType::BF16), Some(DType::F16)];

#[derive(Module, Debug)]
struct Mlp {
    first: Linear,
    second: Linear,
    third: Linear,
}

impl Mlp {
    fn new(inputs: usize, width: usize, device: &Device) -> Self {
        let layer = |from, to| LinearConfig::new(from, to).init(device);
        Mlp { first: layer(inputs, width), second: layer(width, width), third: layer(width, 10) }
    }

    fn loss(&self, (x, labels): (Tensor<2>, Tensor<1, Int>)) -> Tensor<1> {
        let hidden = gelu(self.second.forward(gelu(self.first.forward(x))));
        cross_entropy(self.third.forward(hidden), labels)
    }
}

/// A loss compiled in one type.
struct Compiled {
    loss: Loss,
    curvature: Curvature,
    point: Point,
    /// Shortest times of a gradient, a Hessian product from scratch, and its linear part.
    shortest: [f64; 3],
}

fn compare<M: Module + 'static, B: Batch>(name: &str, module: &M, batch: &B, loss: impl Fn(&M, B) -> Tensor<1>) {
    if std::env::args().skip(1).any(|wanted| !wanted.starts_with('-') && !name.contains(&wanted)) {
        return;
    }
    let device = chosen_or_cpu();
    let any = AnyBatch::new(batch.clone());
    let recorded = trace(name, &any, |tracer| loss(&tracer.module(0, module), tracer.batch()));
    let recorded = recorded.expect("the loss can be traced");
    let leaves = module.leaves();
    let trainable = |_: usize| (0..leaves.len()).filter(|&i| leaves[i].trainable).collect();
    let value = |source: &LossInput| match *source {
        LossInput::Leaf { index, .. } => leaves[index].value.clone(),
        LossInput::Constant { .. } => unreachable!("no module has plain tensors"),
        LossInput::Batch { index } => any.values()[index].clone(),
    };
    let at: Vec<Value> = recorded.inputs.iter().map(|(source, _)| value(source)).collect();
    let tangent = Vector(leaves.iter().filter(|leaf| leaf.trainable).map(|leaf| leaf.value.clone()).collect());
    let moving = [(MODEL, &tangent)];
    let mut compiled: Vec<Compiled> = TYPES
        .iter()
        .map(|dtype| {
            let mut loss = Loss::new(recorded.clone(), trainable, &device);
            if let Some(dtype) = dtype {
                loss = loss.with_products_in(*dtype).expect("a loss");
            }
            let lagrangian = Lagrangian::new(0, &loss, &[]).expect("a Lagrangian");
            let curvature = Curvature::new(lagrangian, &device).expect("a second derivative");
            Compiled { loss, curvature, point: Point::new(at.clone(), 0), shortest: [f64::INFINITY; 3] }
        })
        .collect();
    let mut found: Vec<(Vector, Vector)> = Vec::new();
    for _ in 0..ROUNDS {
        found.clear();
        for Compiled { loss, curvature, point, shortest } in &mut compiled {
            let mut turn =
                |which: usize, start: Instant| shortest[which] = shortest[which].min(start.elapsed().as_secs_f64());
            let start = Instant::now();
            let gradient = loss.gradient(&[0]).expect("a gradient").run(at.iter().cloned(), 0).expect("a loss");
            turn(0, start);
            let start = Instant::now();
            let mut fresh = Point::new(at.clone(), 0);
            let product = curvature.product(&mut fresh, &moving, &[MODEL]).expect("a product");
            finish(&product);
            turn(1, start);
            let start = Instant::now();
            finish(&curvature.product(point, &moving, &[MODEL]).expect("a product"));
            turn(2, start);
            let product = product.into_iter().next().map(|(_, product)| product);
            found.push((gradient.of.into_iter().next().expect("a gradient"), product.expect("a product")));
        }
    }
    println!("{name}, shortest of {ROUNDS} turns");
    let exact = found[0].clone();
    let times = compiled[0].shortest;
    for ((dtype, compiled), (gradient, product)) in TYPES.iter().zip(&mut compiled).zip(found) {
        let program = compiled.loss.gradient(&[0]).expect("a gradient");
        let (cost, peak) = (program.program().cost(), program.program().peak());
        let [first, second, linear] = [0, 1, 2].map(|i| compiled.shortest[i] / times[i]);
        println!(
            "  {:6} gradient {:8.2} ms, ratios: gradient {first:.2}, product {second:.2}, linearized {linear:.2}; \
             {:.1} MB moved, {:.1} MB at once; off by {:.1e} and {:.1e}",
            dtype.map_or("f32".into(), |dtype| format!("{dtype:?}").to_lowercase()),
            compiled.shortest[0] * 1e3,
            cost.bytes / 1e6,
            peak as f64 / 1e6,
            apart(&gradient, &exact.0),
            apart(&product, &exact.1),
        );
    }
}

/// Waits for a device that answers before it is done.
fn finish(product: &[(Variable, Vector)]) {
    let last = product.last().and_then(|(_, product)| product.0.last());
    last.map(|value| value.to_f64().expect("a number"));
}

/// `‖x − y‖ / ‖y‖`
fn apart(x: &Vector, y: &Vector) -> f64 {
    let mut gap = x.clone();
    gap.add_scaled(-1.0, y);
    let norm = |x: &Vector| x.dot(x).expect("a number").sqrt();
    norm(&gap) / norm(y)
}

fn main() {
    let device = chosen_or_cpu();
    let random = |shape| Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), &device);
    let labels = |count: usize| {
        let labels: Vec<i64> = (0..count as i64).map(|i| i * 7 % 10).collect();
        Tensor::<1, Int>::from_data(TensorData::new(labels, [count]), &device)
    };
    compare(
        "MLP 784-256-256-10, batch 128",
        &Mlp::new(784, 256, &device),
        &(random([128, 784]), labels(128)),
        Mlp::loss,
    );
    let wide = (random([512, 2048]), labels(512));
    compare("MLP 2048-2048-2048-10, batch 512", &Mlp::new(2048, 2048, &device), &wide, Mlp::loss);
    let tokens: Vec<i64> = (0..256).map(|i| i * 7 % 1000).collect();
    let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, [8, 32]), &device);
    compare(
        "transformer, 8 x 32 tokens",
        &Encoder::new(4, 128, 1000, 10, &device),
        &(tokens, labels(8)),
        Encoder::loss,
    );
    let images = Tensor::<4>::random([4, 3, 32, 32], Distribution::Normal(0.0, 1.0), &device);
    compare(
        "ResNet-18 of width 16, 4 images",
        &ResNet::<Group>::new(16, 10, &device),
        &(images, labels(4)),
        ResNet::loss,
    );
}
