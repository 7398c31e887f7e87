//! Peak memory and time of hypergradients through many steps: in reverse with all steps kept and with a budget, forward for
//! every upper parameter and in random directions, and with the steps taken again.
//!
//! Each row is a process of its own, because a process never gives its peak back: `cargo bench -p betty-tests --bench
//! unrolled`. Linux only, where the kernel tells a process its peak.
#![allow(missing_docs, reason = "a program without an interface")]

use std::process::Command;
use std::time::Instant;

use betty_runtime::{Engine, ProgramConfig, Stream, multilevel};
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution, Tensor};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 32;
const WIDTH: usize = 256;

#[derive(Module, Debug)]
struct Net {
    first: Linear,
    second: Linear,
}

type Weights = Param<Tensor<1>>;
type Samples = (Tensor<2>, Tensor<2>);

fn errors(net: &Net, (x, y): Samples) -> Tensor<2> {
    (net.second.forward(relu(net.first.forward(x))) - y).square()
}

fn training(net: &Net, weights: &Weights, batch: Samples) -> Tensor<1> {
    (errors(net, batch) * weights.val().reshape([BATCH, 1])).mean()
}

fn held_out(_weights: &Weights, net: &Net, batch: Samples) -> Tensor<1> {
    errors(net, batch).mean()
}

multilevel! {
    struct Reweighting;
    level weights: Weights { lower: [net], batch: Samples, loss: held_out, optimizer: sgd(lr = 0.1) }
    level net: Net {
        upper: [weights], batch: Samples, loss: training, optimizer: sgd(lr = 0.01, momentum = 0.9),
        hypergradient: unrolled,
    }
}

/// The most memory that this process has held, in MiB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(f64::NAN) / 1024.0
}

/// How `name(option = value)` is written in JSON.
fn json(method: &str) -> String {
    let (name, options) = method.trim_end_matches(')').split_once('(').unwrap_or((method, ""));
    let option = |option: &str| option.split_once(" = ").map(|(name, value)| format!(r#", "{name}": {value}"#));
    let options: String = options.split(", ").filter_map(option).collect();
    format!(r#"{{ "method": "{name}"{options} }}"#)
}

fn measure(steps: &str, method: &str) {
    let device = Device::flex();
    let samples = || {
        let tensor = |width| Tensor::<2>::random([BATCH, width], Distribution::Uniform(-1.0, 1.0), &device);
        Stream::constant((tensor(WIDTH), tensor(10)))
    };
    let problem = Reweighting {
        weights: Param::from_tensor(Tensor::ones([BATCH], &device)),
        net: Net {
            first: LinearConfig::new(WIDTH, WIDTH).init(&device),
            second: LinearConfig::new(WIDTH, 10).init(&device),
        },
    };
    let json = format!(r#"{{ "net": {{ "unroll": {steps}, "hypergradient": {} }} }}"#, json(method));
    let config = ReweightingConfig::from_json(&json).expect("a valid config");
    let data = ReweightingData { weights: samples(), net: samples() };
    let mut engine = Engine::new(problem, data, config).expect("a valid program");
    let start = Instant::now();
    engine.run(1).expect("an iteration");
    println!("| `{method}` | {steps} | {:.0} | {:.2} |", peak(), start.elapsed().as_secs_f64());
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, steps, method] = arguments.as_slice()
        && steps.parse::<u64>().is_ok()
    {
        return measure(steps, method);
    }
    println!("| method | steps | peak MiB | seconds |\n|---|---|---|---|");
    for (steps, method) in [
        ("1", "unrolled"),
        ("100", "unrolled"),
        ("1000", "unrolled"),
        ("100", "unrolled(memory = 20)"),
        ("1000", "unrolled(memory = 64)"),
        ("1000", "unrolled(memory = 200)"),
        ("10000", "unrolled(memory = 64)"),
        ("10000", "unrolled(memory = 200)"),
        ("1", "forward"),
        ("100", "forward"),
        ("1000", "forward"),
        ("100", "forward_gradient(directions = 8)"),
        ("1000", "forward_gradient(directions = 8)"),
        ("10000", "forward_gradient(directions = 8)"),
        ("100", "evolution(pairs = 8)"),
        ("1000", "evolution(pairs = 8)"),
        ("10000", "evolution(pairs = 8)"),
    ] {
        let program = std::env::current_exe().expect("this program");
        let status = Command::new(program).args([steps, method]).status().expect("the program starts again");
        assert!(status.success(), "{steps} steps by {method} failed");
    }
}
