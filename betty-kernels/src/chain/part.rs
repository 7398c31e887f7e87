//! What one thread computes of a chain, tile by tile.

use super::gathered::Gathered;
use super::plan::Chain;
use super::step::{Value, computed};
use crate::entrywise::Real;
use crate::vectorized::Work;

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

/// Entries that are computed at a time: values of a few chains fit into the first cache.
const TILE: usize = 1024;
/// What one thread computes.
pub(super) struct Part<'a, 'b, T> {
    pub(super) chain: &'a Chain,
    pub(super) inputs: &'a [Input<'a, T>],
    pub(super) shape: &'a [usize],
    pub(super) first: usize,
    pub(super) outputs: Vec<&'b mut [T]>,
}

/// Where a value is.
#[derive(Clone, Copy)]
enum Place<'a, T> {
    Given(&'a [T]),
    Register(usize),
    Output(usize),
}

impl<T: Real> Work for Part<'_, '_, T> {
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
