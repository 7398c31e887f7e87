//! Arguments of functions under test: what they are made of, and the numbers drawn for them.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::compare::float;

/// One argument of a function under test.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// A parameter with distinct values in this range, away from 0.
    Parameter(Vec<usize>, f64, f64),
    /// A parameter with these values.
    Given(Vec<usize>, Vec<f64>),
    /// A float of the batch.
    Data(Vec<usize>, f64, f64),
    /// Integers of the batch, below a bound.
    Indices(Vec<usize>, usize),
    /// Integers of the batch, below a bound and no two equal along the dimension.
    Apart(Vec<usize>, usize, usize),
}

/// A parameter between −1 and 1.1.
pub(crate) fn x<const D: usize>(shape: [usize; D]) -> Input {
    Input::Parameter(shape.to_vec(), -1.0, 1.1)
}

/// A parameter with values in a range.
pub(crate) fn within<const D: usize>(low: f64, high: f64, shape: [usize; D]) -> Input {
    Input::Parameter(shape.to_vec(), low, high)
}

/// A parameter with given values.
pub(crate) fn given<const D: usize>(shape: [usize; D], values: &[f64]) -> Input {
    Input::Given(shape.to_vec(), values.to_vec())
}

/// A float of the batch between −1 and 1.1.
pub(crate) fn data<const D: usize>(shape: [usize; D]) -> Input {
    Input::Data(shape.to_vec(), -1.0, 1.1)
}

/// Integers of the batch below `bound`.
pub(crate) fn indices<const D: usize>(bound: usize, shape: [usize; D]) -> Input {
    Input::Indices(shape.to_vec(), bound)
}

/// Integers of the batch below `bound`, no two equal along `axis`.
pub(crate) fn apart<const D: usize>(bound: usize, axis: usize, shape: [usize; D]) -> Input {
    Input::Apart(shape.to_vec(), axis, bound)
}

/// The arguments of a function under test, by kind and position.
pub(crate) struct Arguments {
    parameters: Vec<(Vec<usize>, Tensor<1>)>,
    data: Vec<(Vec<usize>, Tensor<1>)>,
    indices: Vec<(Vec<usize>, Tensor<1, Int>)>,
}

impl Arguments {
    /// The `i`-th parameter.
    pub(crate) fn x<const D: usize>(&self, i: usize) -> Tensor<D> {
        let (shape, tensor) = &self.parameters[i];
        tensor.clone().reshape::<D, _>(<[usize; D]>::try_from(shape.as_slice()).unwrap())
    }

    /// The `i`-th float of the batch.
    pub(crate) fn data<const D: usize>(&self, i: usize) -> Tensor<D> {
        let (shape, tensor) = &self.data[i];
        tensor.clone().reshape::<D, _>(<[usize; D]>::try_from(shape.as_slice()).unwrap())
    }

    /// The `i`-th integer tensor of the batch.
    pub(crate) fn indices<const D: usize>(&self, i: usize) -> Tensor<D, Int> {
        let (shape, tensor) = &self.indices[i];
        tensor.clone().reshape::<D, _>(<[usize; D]>::try_from(shape.as_slice()).unwrap())
    }
}

pub(crate) fn count(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// Host numbers of one case.
pub(crate) struct Numbers {
    pub(crate) parameters: Vec<(Vec<usize>, Vec<f64>)>,
    pub(crate) data: Vec<(Vec<usize>, Vec<f64>)>,
    pub(crate) indices: Vec<(Vec<usize>, Vec<i64>)>,
}

impl Numbers {
    pub(crate) fn draw(inputs: &[Input], rng: &mut StdRng) -> Self {
        let mut numbers = Numbers { parameters: Vec::new(), data: Vec::new(), indices: Vec::new() };
        for input in inputs {
            match input {
                Input::Parameter(shape, low, high) => {
                    numbers.parameters.push((shape.clone(), distinct(count(shape), *low, *high, rng)));
                }
                Input::Given(shape, values) => numbers.parameters.push((shape.clone(), values.clone())),
                Input::Data(shape, low, high) => {
                    numbers.data.push((shape.clone(), distinct(count(shape), *low, *high, rng)));
                }
                Input::Apart(shape, axis, bound) => {
                    numbers.indices.push((shape.clone(), apart_along(shape, *axis, *bound, rng)));
                }
                Input::Indices(shape, bound) => {
                    let values = (0..count(shape)).map(|_| rng.random_range(0..*bound as i64)).collect();
                    numbers.indices.push((shape.clone(), values));
                }
            }
        }
        numbers
    }

    pub(crate) fn arguments(
        &self,
        parameters: Vec<Tensor<1>>,
        data: Vec<Tensor<1>>,
        indices: Vec<Tensor<1, Int>>,
    ) -> Arguments {
        fn with<T, N>(of: &[(Vec<usize>, N)], tensors: Vec<T>) -> Vec<(Vec<usize>, T)> {
            of.iter().map(|(shape, _)| shape.clone()).zip(tensors).collect()
        }
        Arguments {
            parameters: with(&self.parameters, parameters),
            data: with(&self.data, data),
            indices: with(&self.indices, indices),
        }
    }

    pub(crate) fn int_tensors(&self, device: &Device) -> Vec<Tensor<1, Int>> {
        let tensor = |(_, values): &(_, Vec<i64>)| {
            Tensor::from_data(TensorData::new(values.clone(), [values.len()]), (device, DType::I64))
        };
        self.indices.iter().map(tensor).collect()
    }

    pub(crate) fn float_tensors(of: &[(Vec<usize>, Vec<f64>)], device: &Device, dtype: DType) -> Vec<Tensor<1>> {
        of.iter().map(|(_, values)| float(values, device, dtype)).collect()
    }
}

/// Values in a range that keep their distance from each other and from 0, in random order.
fn distinct(count: usize, low: f64, high: f64, rng: &mut StdRng) -> Vec<f64> {
    let gap = (high - low) / count as f64;
    let mut values: Vec<f64> = (0..count)
        .map(|k| {
            let value = low + gap * (k as f64 + 0.5 + rng.random_range(-0.2..0.2));
            if value.abs() < 0.01 { value.signum() * (0.01 + value.abs()) } else { value }
        })
        .collect();
    values.shuffle(rng);
    values
}

/// Integers below a bound of which no two along a dimension are equal.
pub(crate) fn apart_along(shape: &[usize], axis: usize, bound: usize, rng: &mut StdRng) -> Vec<i64> {
    let inner: usize = shape[axis + 1..].iter().product();
    let mut values = vec![0; count(shape)];
    for outer in 0..shape[..axis].iter().product() {
        for lane in 0..inner {
            let mut choices: Vec<i64> = (0..bound as i64).collect();
            choices.shuffle(rng);
            for (k, choice) in choices.into_iter().take(shape[axis]).enumerate() {
                values[(outer * shape[axis] + k) * inner + lane] = choice;
            }
        }
    }
    values
}
