//! Hyper-cleaning inside of a plain Burn training loop: the loop keeps its modules, its optimizer and its rhythm, and asks for the
//! one gradient that it lacks. The engine, on the same data, ends at the same numbers.

mod problem;
mod training;

use std::process::ExitCode;

use betty_examples::command::Machine;
use betty_examples::data::{Noisy, Split, WrongLabel, digits};
use betty_examples::failure::{Failure, check_positive, finish, show};
use betty_examples::init::linear;
use betty_runtime::LevelModule;
use burn::module::Param;
use burn::tensor::{Device, Tensor};
use clap::Parser;
use rand::SeedableRng;
use rand::rngs::StdRng;

use problem::{Cleaning, Examples, accuracy};
use training::{by_engine, hyper_cleaned, plain};

/// Examples whose labels can be trusted.
const CLEAN: usize = 200;
/// The share of wrong labels.
const NOISE: f64 = 0.4;

/// A plain Burn loop that learns which training labels to believe, beside the engine.
#[derive(Parser)]
struct Options {
    /// Steps of the weights, with ten steps of the classifier each.
    #[arg(long, default_value_t = 30, value_name = "N")]
    steps: u64,
    /// The device.
    #[command(flatten)]
    machine: Machine,
}

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    check_positive(&[("steps", options.steps)])?;
    let device = options.machine.device.open(None)?;
    let Task { noisy, clean, test, start } = Task::new(&device)?;
    let ordinary = plain(start.classifier.clone(), &noisy, 10 * options.steps);
    let own = hyper_cleaned(start.clone(), &noisy, &clean, 10 * options.steps)?;
    let engine = by_engine(start, &noisy, &clean, options.steps)?;
    if options.machine.quiet {
        return Ok(());
    }
    let (differ, all) = differing(&own, &engine);
    show(&format!(
        "test accuracy\n\
         plain loop                 {:.3}\n\
         with ten lines more        {:.3}\n\
         the engine                 {:.3}\n\n\
         loop and engine differ in {differ} of {all} numbers\n",
        accuracy(&ordinary, &test),
        accuracy(&own.classifier, &test),
        accuracy(&engine.classifier, &test),
    ))
}

/// What is trained, and on what.
struct Task {
    noisy: Examples,
    clean: Examples,
    test: Examples,
    start: Cleaning,
}

impl Task {
    fn new(device: &Device) -> Result<Self, Failure> {
        let device = device.clone().autodiff();
        let mut rng = StdRng::seed_from_u64(0);
        let Split { train, clean, test } = Split::thirds(&digits(), CLEAN, &mut rng)?;
        let noisy = Noisy::corrupt(&train, NOISE, WrongLabel::Any, &mut rng)?.examples;
        let start = Cleaning {
            weights: Param::from_tensor(Tensor::zeros([noisy.len()], &device)),
            classifier: linear(noisy.pixels(), noisy.classes(), &mut rng, &device),
        };
        let [noisy, clean, test] = [noisy, clean, test].map(|set| Examples::of(&set, &device));
        Ok(Task { noisy, clean, test, start })
    }
}

/// How many numbers of both programs differ in any bit, and how many there are.
fn differing(one: &Cleaning, other: &Cleaning) -> (usize, usize) {
    let numbers = |of: &Cleaning| {
        let leaves = of.weights.leaves().into_iter().chain(of.classifier.leaves());
        leaves.flat_map(|leaf| leaf.value.to_vec().unwrap_or_default()).map(f64::to_bits).collect::<Vec<_>>()
    };
    let (one, other) = (numbers(one), numbers(other));
    (one.iter().zip(&other).filter(|(x, y)| x != y).count(), one.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_ends_where_the_engine_does_bit_for_bit() {
        let Task { noisy, clean, test, start } = Task::new(&Device::flex()).expect("the digits");
        let own = hyper_cleaned(start.clone(), &noisy, &clean, 150).expect("a loop");
        let engine = by_engine(start.clone(), &noisy, &clean, 15).expect("an engine");
        assert_eq!(differing(&own, &engine), (0, 998 + 650));
        assert!(differing(&own, &start).0 > 1600);
        // What the lines more are for.
        let ordinary = plain(start.classifier, &noisy, 150);
        assert!(accuracy(&own.classifier, &test) > accuracy(&ordinary, &test) + 0.01);
    }
}
