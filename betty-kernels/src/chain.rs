//! Operations that follow one another entry by entry, in one pass over memory: what one of them makes the next finds in the first cache.
//! Each number is rounded as it is where every operation is a pass of its own.

use rayon::prelude::*;

use crate::Number;
use crate::arithmetic::{Arithmetic, with_function};
use crate::entrywise::{Function, Real};
use crate::vectorized::{Instructions, Work};

/// The number of a value: first come the inputs, and then what steps make, in order.
pub type Value = usize;

/// An operation on values of the chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Of two values.
    Of(Arithmetic, Value, Value),
    /// Of a value and a number.
    With(Arithmetic, Value, f64),
    /// `y` where `x` is positive or no number, 0 elsewhere.
    Gate(Value, Value),
    /// `−x`
    Negative(Value),
    /// `x` where it is positive or no number, 0 elsewhere.
    Relu(Value),
    /// The square root.
    Root(Value),
    /// `1 / x`
    Reciprocal(Value),
    /// A function that takes many instructions.
    Function(Function, Value),
}

impl Step {
    /// The values that it reads.
    pub fn reads(self) -> impl Iterator<Item = Value> {
        let (first, second) = match self {
            Step::Of(_, x, y) | Step::Gate(x, y) => (x, Some(y)),
            Step::With(_, x, _)
            | Step::Negative(x)
            | Step::Relu(x)
            | Step::Root(x)
            | Step::Reciprocal(x)
            | Step::Function(_, x) => (x, None),
        };
        std::iter::once(first).chain(second)
    }
}

/// Where the entries of an input are.
#[derive(Clone, Debug)]
pub enum Input<'a, T> {
    /// One after the other, in the order of the result.
    Dense(&'a [T]),
    /// So far from one another in each dimension of the result; the first of them stands first.
    Strided(&'a [T], Vec<usize>),
    /// In the memory of this output, which is written over them.
    Output(usize),
}

/// A float type that chains exist for: `f32` or `f64`.
pub trait Chained: Real {
    /// [`Chain::run`]. What is generic is compiled where it is used, and this here.
    #[doc(hidden)]
    fn run_chain(
        of: &Chain,
        shape: &[usize],
        inputs: &[Input<'_, Self>],
        outputs: Vec<Option<&mut [Self]>>,
    ) -> Vec<Vec<Self>>;
}

macro_rules! chained {
    ($number:ty) => {
        impl Chained for $number {
            fn run_chain(
                of: &Chain,
                shape: &[usize],
                inputs: &[Input<'_, Self>],
                outputs: Vec<Option<&mut [Self]>>,
            ) -> Vec<Vec<Self>> {
                of.run_in(shape, inputs, outputs)
            }
        }
    };
}

chained!(f32);
chained!(f64);

/// Entries that are computed at a time: values of a few chains fit into the first cache.
const TILE: usize = 1024;
/// Entries that one thread computes at a time.
const BLOCK: usize = 1 << 14;
/// Operations below which a second thread is not worth it.
const SMALL: usize = 1 << 18;

/// Steps, and which of their values are results.
#[derive(Clone, Debug)]
pub struct Chain {
    inputs: usize,
    steps: Vec<Step>,
    outputs: Vec<Value>,
    /// Which result each step makes.
    results: Vec<Option<usize>>,
    /// Where each step writes what is no result.
    registers: Vec<usize>,
    /// How many of those there are.
    width: usize,
}

impl Chain {
    /// The most steps, and the most inputs, of a chain.
    pub const MOST: usize = 24;

    /// A chain of these steps, at most [`MOST`](Self::MOST), each of which reads inputs and what steps before it make.
    pub fn new(inputs: usize, steps: Vec<Step>, outputs: Vec<Value>) -> Self {
        let last = |value| last_read(&steps, value);
        let mut free: Vec<usize> = Vec::new();
        let mut registers: Vec<usize> = Vec::with_capacity(steps.len());
        let mut width = 0;
        for (number, step) in steps.iter().enumerate() {
            registers.push(free.pop().unwrap_or_else(|| {
                width += 1;
                width - 1
            }));
            // What is read for the last time makes room for the next step: a step does not write over what it reads.
            let mut over: Vec<Value> = step.reads().filter(|&read| last(read) == Some(number)).collect();
            over.dedup();
            free.extend(over.into_iter().filter(|&value| value >= inputs).map(|value| registers[value - inputs]));
        }
        let result = |step: usize| outputs.iter().position(|&value| value == inputs + step);
        let results = (0..steps.len()).map(result).collect();
        Chain { inputs, steps, outputs, results, registers, width }
    }

    /// Whether an output may be written over an input: nothing reads that any more once it is made.
    pub fn may_replace(&self, input: Value, output: usize) -> bool {
        last_read(&self.steps, input).is_none_or(|step| self.inputs + step <= self.outputs[output])
    }

    /// Computes the results for an array of this shape: each into the memory of an output where that is given, the others, in order, as
    /// vectors of their own.
    ///
    /// # Panics
    /// When inputs or outputs are not as many, or shorter, than the chain and the shape say.
    pub fn run<T: Chained>(
        &self,
        shape: &[usize],
        inputs: &[Input<'_, T>],
        outputs: Vec<Option<&mut [T]>>,
    ) -> Vec<Vec<T>> {
        T::run_chain(self, shape, inputs, outputs)
    }

    pub(crate) fn run_in<T: Chained>(
        &self,
        shape: &[usize],
        inputs: &[Input<'_, T>],
        outputs: Vec<Option<&mut [T]>>,
    ) -> Vec<Vec<T>> {
        let length: usize = shape.iter().product();
        let is_fresh = |output: &&Option<&mut [T]>| output.is_none();
        let mut made: Vec<Vec<T>> = outputs.iter().filter(is_fresh).map(|_| vec![T::default(); length]).collect();
        let mut fresh = made.iter_mut();
        let mut parts: Vec<Part<'_, '_, T>> = (0..length.div_ceil(BLOCK))
            .map(|number| Part { chain: self, inputs, shape, first: number * BLOCK, outputs: Vec::new() })
            .collect();
        for memory in outputs.into_iter().filter_map(|output| output.or_else(|| fresh.next().map(Vec::as_mut_slice))) {
            assert_eq!(memory.len(), length, "an output has the shape of the chain");
            parts.iter_mut().zip(memory.chunks_mut(BLOCK)).for_each(|(part, memory)| part.outputs.push(memory));
        }
        let instructions = Instructions::best();
        if length * self.steps.len() < SMALL {
            parts.into_iter().for_each(|part| instructions.run(part));
        } else {
            parts.into_par_iter().for_each(|part| instructions.run(part));
        }
        made
    }
}

/// The last step that reads a value.
fn last_read(steps: &[Step], value: Value) -> Option<usize> {
    steps.iter().rposition(|step| step.reads().any(|read| read == value))
}

/// What one thread computes.
struct Part<'a, 'b, T> {
    chain: &'a Chain,
    inputs: &'a [Input<'a, T>],
    shape: &'a [usize],
    first: usize,
    outputs: Vec<&'b mut [T]>,
}

/// Where a value is.
#[derive(Clone, Copy)]
enum Place<'a, T> {
    Given(&'a [T]),
    Register(usize),
    Output(usize),
}

impl<T: Chained> Work for Part<'_, '_, T> {
    #[inline(always)]
    fn run<const FUSED: bool>(mut self) {
        let Part { chain, inputs, shape, first, .. } = self;
        let length = self.outputs.first().map_or(0, |output| output.len());
        let mut registers: Vec<Vec<T>> = vec![vec![T::default(); TILE.min(length)]; chain.width];
        let mut gathered: Vec<(usize, Gathered<'_, T>)> = Vec::new();
        let mut places: Vec<Place<'_, T>> = Vec::with_capacity(inputs.len() + chain.steps.len());
        for input in inputs {
            places.push(match input {
                Input::Dense(entries) => Place::Given(&entries[first..][..length]),
                Input::Output(output) => Place::Output(*output),
                Input::Strided(entries, strides) => {
                    gathered.push((registers.len(), Gathered::new(entries, shape, strides, first)));
                    registers.push(vec![T::default(); TILE.min(length)]);
                    Place::Register(registers.len() - 1)
                }
            });
        }
        // What stands in an output's memory may be read by the step that makes it.
        let is_over = |output: &usize| inputs.iter().any(|input| matches!(input, Input::Output(of) if of == output));
        for (result, &register) in chain.results.iter().zip(&chain.registers) {
            let direct = result.filter(|output| !is_over(output));
            places.push(direct.map_or(Place::Register(register), Place::Output));
        }
        for start in (0..length).step_by(TILE) {
            let size = TILE.min(length - start);
            for (register, gathered) in &mut gathered {
                gathered.next(&mut registers[*register][..size]);
            }
            for (number, &step) in chain.steps.iter().enumerate() {
                match places[inputs.len() + number] {
                    Place::Output(output) => {
                        let out = std::mem::take(&mut self.outputs[output]);
                        computed(step, at(&places, &registers, &self.outputs, start, size), &mut out[start..][..size]);
                        self.outputs[output] = out;
                    }
                    Place::Register(register) => {
                        let mut out = std::mem::take(&mut registers[register]);
                        computed(step, at(&places, &registers, &self.outputs, start, size), &mut out[..size]);
                        if let Some(output) = chain.results[number] {
                            self.outputs[output][start..][..size].copy_from_slice(&out[..size]);
                        }
                        registers[register] = out;
                    }
                    Place::Given(_) => {}
                }
            }
        }
    }
}

/// The values of a tile.
#[inline(always)]
fn at<'a, T>(
    places: &'a [Place<'a, T>],
    registers: &'a [Vec<T>],
    outputs: &'a [&mut [T]],
    start: usize,
    size: usize,
) -> impl Fn(Value) -> &'a [T] {
    move |value| match places[value] {
        Place::Given(entries) => &entries[start..][..size],
        Place::Register(register) => &registers[register][..size],
        Place::Output(output) => &outputs[output][start..][..size],
    }
}

/// An input that does not lie in the order of the result, read from one entry on.
struct Gathered<'a, T> {
    entries: &'a [T],
    /// Size, stride and index in each dimension; those that are one run of memory are one.
    outer: Vec<[usize; 3]>,
    /// The same of the last one.
    run: [usize; 3],
    /// Where the run begins.
    place: usize,
}

impl<'a, T: Number> Gathered<'a, T> {
    fn new(entries: &'a [T], shape: &[usize], strides: &[usize], first: usize) -> Self {
        let mut outer: Vec<[usize; 3]> = Vec::new();
        for (&size, &stride) in shape.iter().zip(strides).filter(|(size, _)| **size != 1) {
            match outer.last_mut() {
                Some([length, step, _]) if *step == size * stride => (*length, *step) = (*length * size, stride),
                _ => outer.push([size, stride, 0]),
            }
        }
        let (mut rest, mut place) = (first, 0);
        for [size, stride, index] in outer.iter_mut().rev() {
            (rest, *index) = (rest / *size, rest % *size);
            place += *index * *stride;
        }
        let run = outer.pop().unwrap_or([1, 0, 0]);
        Gathered { entries, outer, run, place: place - run[1] * run[2] }
    }

    /// Writes the next entries.
    #[inline(always)]
    fn next(&mut self, mut out: &mut [T]) {
        let [length, stride, _] = self.run;
        while !out.is_empty() {
            let within = self.run[2];
            // As many whole runs as there are in the dimension around them.
            let around = self.outer.last().map_or([1, 0, 0], |&around| around);
            let runs = (out.len() / length).min(around[0] - around[2]);
            if within == 0 && runs > 0 {
                let (now, later) = out.split_at_mut(runs * length);
                for (number, run) in now.chunks_exact_mut(length).enumerate() {
                    self.copy(self.place + number * around[1], stride, run);
                }
                self.step(runs);
                out = later;
                continue;
            }
            let (now, later) = out.split_at_mut(out.len().min(length - within));
            self.copy(self.place + within * stride, stride, now);
            self.run[2] += now.len();
            if self.run[2] == length {
                self.run[2] = 0;
                self.step(1);
            }
            out = later;
        }
    }

    /// Writes a run, or a part of one.
    #[inline(always)]
    fn copy(&self, start: usize, stride: usize, out: &mut [T]) {
        if stride == 0 {
            let entry = self.entries[start];
            for out in out {
                *out = entry;
            }
        } else if stride == 1 {
            for (out, &entry) in out.iter_mut().zip(&self.entries[start..]) {
                *out = entry;
            }
        } else {
            for (out, &entry) in out.iter_mut().zip(self.entries[start..].iter().step_by(stride)) {
                *out = entry;
            }
        }
    }

    /// Goes so many runs on, not beyond the dimension around them.
    #[inline(always)]
    fn step(&mut self, runs: usize) {
        let mut by = runs;
        for [size, stride, index] in self.outer.iter_mut().rev() {
            *index += by;
            self.place += by * *stride;
            if *index < *size {
                break;
            }
            self.place -= *size * *stride;
            (*index, by) = (0, 1);
        }
    }
}

/// Writes what a step makes of a tile.
#[inline(always)]
fn computed<'a, T: Chained>(step: Step, at: impl Fn(Value) -> &'a [T], out: &mut [T]) {
    match step {
        Step::Of(of, x, y) => with_function!(of, f => both(at(x), at(y), out, f)),
        Step::With(of, x, number) => {
            let y = T::of(number);
            with_function!(of, f => each(at(x), out, |x| f(x, y)));
        }
        Step::Gate(x, y) => both(at(x), at(y), out, T::gate),
        Step::Negative(x) => each(at(x), out, |x| -x),
        Step::Relu(x) => each(at(x), out, |x| x.gate(x)),
        Step::Root(x) => each(at(x), out, T::root),
        Step::Reciprocal(x) => {
            let one = T::of(1.0);
            each(at(x), out, |x| one / x);
        }
        Step::Function(function, x) => {
            out.copy_from_slice(at(x));
            T::replace(function, out);
        }
    }
}

#[inline(always)]
fn both<T: Number>(x: &[T], y: &[T], out: &mut [T], f: impl Fn(T, T) -> T) {
    for ((out, &x), &y) in out.iter_mut().zip(x).zip(y) {
        *out = f(x, y);
    }
}

#[inline(always)]
fn each<T: Number>(x: &[T], out: &mut [T], f: impl Fn(T) -> T) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = f(x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of both signs, with some that are no numbers, infinite, or zeros.
    fn numbers<T: Number>(count: usize, seed: usize) -> Vec<T> {
        let special = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e-40];
        let number =
            |i: usize| if i % 89 < 6 { special[(i + seed) % 6] } else { ((i * seed) as f64 * 0.37).sin() * 4.0 };
        (0..count).map(|i| T::of(number(i))).collect()
    }

    fn step_by_step<T: Chained>(inputs: &[Vec<T>], steps: &[Step]) -> Vec<Vec<T>> {
        let mut values = inputs.to_vec();
        for &step in steps {
            let mut out = vec![T::default(); inputs[0].len()];
            computed(step, |value| &values[value], &mut out);
            values.push(out);
        }
        values
    }

    fn bits<T: Number + Into<f64>>(numbers: &[T]) -> Vec<u64> {
        numbers.iter().map(|&x| x.into()).map(|x: f64| if x.is_nan() { 1 } else { x.to_bits() }).collect()
    }

    /// Reads all inputs, results before others, and values again long after they were made.
    fn steps() -> Vec<Step> {
        vec![
            Step::Of(Arithmetic::Sub, 0, 1),
            Step::Of(Arithmetic::Mul, 3, 2),
            Step::With(Arithmetic::Add, 4, 0.3),
            Step::Relu(5),
            Step::Of(Arithmetic::Mul, 4, 4),
            Step::Root(7),
            Step::Reciprocal(8),
            Step::Gate(6, 9),
            Step::Function(Function::Tanh, 10),
            Step::Negative(11),
            Step::With(Arithmetic::Div, 3, 7.0),
            Step::Of(Arithmetic::Div, 13, 12),
            Step::Of(Arithmetic::Add, 14, 0),
        ]
    }

    fn a_chain_has_the_bits_of_its_steps<T: Chained + Into<f64>>() {
        for shape in [vec![3], vec![5, 7, 2], vec![2, 3, 700], vec![40, 50, 60]] {
            let count: usize = shape.iter().product();
            let dimensions = shape.len();
            let dense: Vec<T> = numbers(count, 3);
            // Seen along the first dimension alone, and turned around.
            let line: Vec<T> = numbers(shape[0], 5);
            let turned: Vec<T> = numbers(count, 7);
            let along: Vec<usize> = (0..dimensions).map(|d| usize::from(d == 0)).collect();
            let turns: Vec<usize> = (0..dimensions).map(|d| shape[..d].iter().product()).collect();
            let seen = |entries: &[T], strides: &[usize]| -> Vec<T> {
                let place = |mut index: usize| {
                    let mut place = 0;
                    for d in (0..dimensions).rev() {
                        place += index % shape[d] * strides[d];
                        index /= shape[d];
                    }
                    place
                };
                (0..count).map(|index| entries[place(index)]).collect()
            };
            let inputs = [dense, seen(&line, &along), seen(&turned, &turns)];
            let expected = step_by_step(&inputs, &steps());
            let chain = Chain::new(3, steps(), vec![4, 10, 15]);
            assert!(chain.may_replace(0, 2) && !chain.may_replace(0, 1) && chain.may_replace(1, 0));
            let given = [Input::Output(2), Input::Strided(&line, along), Input::Strided(&turned, turns)];
            for threads in [1, 3] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
                let mut over = inputs[0].clone();
                let found = pool.install(|| chain.run(&shape, &given, vec![None, None, Some(&mut over)]));
                for (output, value) in found.iter().chain([&over]).zip([4, 10, 15]) {
                    assert_eq!(bits(output), bits(&expected[value]), "{shape:?}, value {value}");
                }
            }
        }
    }

    #[test]
    fn a_chain_has_the_bits_of_its_steps_in_both_types() {
        a_chain_has_the_bits_of_its_steps::<f32>();
        a_chain_has_the_bits_of_its_steps::<f64>();
    }

    #[test]
    fn registers_are_used_again() {
        let steps: Vec<Step> = (0..20).map(|value| Step::Function(Function::Exp, value)).collect();
        assert_eq!(Chain::new(1, steps, vec![20]).width, 2);
    }
}
