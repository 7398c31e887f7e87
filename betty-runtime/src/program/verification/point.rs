//! Where gradients are compared: all inputs of a loss, on the CPU and in double precision.

use burn::tensor::{DType, Device, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::error::EngineError;
use crate::execute::{Program, ReadError, Value};
use crate::graph::{Graph, GraphError, NodeId};
use crate::program::Level;
use crate::trace::{AnyBatch, LossInput, Part, Trace};

/// In which way entries are moved.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// By a part of their tensor's size, up or down.
    Around,
    /// By a part of themselves: signs and zeros stay.
    Along,
    /// By a part of their tensor's size, all up.
    Up,
    /// By a part of their tensor's size, all down.
    Down,
}

/// A value for every input of a trace.
pub(crate) struct Point {
    sources: Vec<LossInput>,
    values: Vec<Value>,
}

impl Point {
    /// The current parameters, and a batch or a part of it.
    pub(crate) fn of(
        levels: &[Level],
        batch: &AnyBatch,
        trace: &Trace,
        part: Option<Part>,
    ) -> Result<Self, EngineError> {
        let value = |source: LossInput| match source {
            LossInput::Leaf { level, index } => on_host(&levels[level].leaves[index], None),
            LossInput::Constant { level, index } => on_host(&levels[level].constants[index], None),
            LossInput::Batch { index } => on_host(&batch.values()[index], part),
        };
        let sources: Vec<LossInput> = trace.inputs.iter().map(|&(source, _)| source).collect();
        let values = sources.iter().map(|&source| value(source)).collect::<Result<_, _>>()?;
        Ok(Point { sources, values })
    }

    pub(crate) fn values(&self) -> &[Value] {
        &self.values
    }

    /// A point near this one, as `seed` decides: every float of a module is moved, as far as if its tensor had at least the length
    /// `least`, and where a level confines its parameters to a set, they are moved back to it.
    pub(crate) fn displaced(
        &self,
        levels: &[Level],
        way: Way,
        fraction: f64,
        least: f64,
        seed: u64,
    ) -> Result<Self, EngineError> {
        let mut generator = StdRng::seed_from_u64(seed);
        let mut values = self.values.clone();
        for (value, source) in values.iter_mut().zip(&self.sources) {
            if matches!(source, LossInput::Leaf { .. }) && value.dtype().is_float() {
                let moved = moved(value.to_vec()?, way, fraction, least, &mut generator);
                *value = Value::from_data(TensorData::new(moved, value.shape()), &Device::flex());
            }
        }
        let mut point = Point { sources: self.sources.clone(), values };
        for (number, level) in levels.iter().enumerate() {
            let graph = |source| EngineError::Graph { level: level.name.into(), source };
            point.confine(number, level).map_err(graph)?;
        }
        Ok(point)
    }

    /// Moves the parameters of a level to the set that its config names.
    fn confine(&mut self, number: usize, level: &Level) -> Result<(), GraphError> {
        let Some(set) = &level.config.project else { return Ok(()) };
        let is_parameter = |source: &LossInput| match source {
            LossInput::Leaf { level: of, index } => *of == number && level.trainable.contains(index),
            LossInput::Constant { .. } | LossInput::Batch { .. } => false,
        };
        let places: Vec<usize> = (0..self.sources.len()).filter(|&i| is_parameter(&self.sources[i])).collect();
        let mut graph = Graph::new();
        let inputs: Vec<NodeId> =
            places.iter().map(|&place| graph.input(&self.values[place].shape(), DType::F64)).collect();
        let outputs = set.project(&mut graph, &inputs)?;
        let program = Program::new(&graph, &inputs, &outputs, &Device::flex());
        let confined = program.run(places.iter().map(|&place| self.values[place].clone()), 0);
        places.into_iter().zip(confined).for_each(|(place, value)| self.values[place] = value);
        Ok(())
    }
}

/// A copy on the CPU, floats in f64, and of a tensor of examples only a part.
fn on_host(value: &Value, part: Option<Part>) -> Result<Value, ReadError> {
    let data = value.to_data()?;
    let shape = part.map_or(value.shape(), |part| part.cut(value.shape()));
    let count = shape.iter().product();
    let dtype = value.dtype();
    let data = if dtype.is_float() {
        TensorData::new(data.iter::<f64>().take(count).collect::<Vec<_>>(), shape)
    } else if dtype.is_bool() {
        TensorData::new(data.iter::<bool>().take(count).collect::<Vec<_>>(), shape)
    } else {
        TensorData::new(data.iter::<i64>().take(count).collect::<Vec<_>>(), shape).convert_dtype(dtype)
    };
    Ok(Value::from_data(data, &Device::flex()))
}

/// Entries moved at random by up to `fraction` of their size.
///
/// A tensor of zeros has no size of its own: its entries are taken for those of a vector of length 1.
fn moved(mut values: Vec<f64>, way: Way, fraction: f64, least: f64, generator: &mut StdRng) -> Vec<f64> {
    let count = values.len().max(1) as f64;
    let square: f64 = values.iter().map(|x| x * x).sum();
    let length = if square == 0.0 { 1.0 } else { square.sqrt().max(least) };
    let size = length / count.sqrt();
    for x in &mut values {
        let r: f64 = generator.random_range(-1.0..1.0);
        match way {
            Way::Around => *x += fraction * size * r,
            Way::Along => *x *= 1.0 + fraction * r,
            Way::Up => *x += fraction * size * r.abs(),
            Way::Down => *x -= fraction * size * r.abs(),
        }
    }
    values
}
