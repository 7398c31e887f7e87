//! Where gradients are compared: all inputs of a loss, on the CPU and in double precision.

use burn::tensor::{Device, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::VerificationError;
use super::source::Source;
use crate::execute::{ReadError, Value};
use crate::trace::{LossInput, Part, Trace};

/// In which way entries are moved.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// By a part of their tensor's size, up or down.
    Around,
    /// By a part of themselves: signs and zeros stay.
    Along,
    /// By a part of their tensor's size, all up.
    Up,
    /// By a part of their tensor's size, all down.
    Down,
}

/// How entries are moved.
#[derive(Clone, Copy)]
struct Moved {
    way: Way,
    /// By which part of their tensor's size.
    fraction: f64,
    /// The length that a tensor is taken for at least.
    least: f64,
    /// What all floats are multiplied by, also those of the batch; without it, only those of modules are moved.
    all: Option<f64>,
}

/// In which order they are tried: at last the one that leaves zeros alone, and so what they hide.
const WAYS: [Way; 4] = [Way::Around, Way::Up, Way::Down, Way::Along];
/// How far entries are moved at first, as a part of their tensor's size, …
const FRACTION: f64 = 0.1;
/// … what that is multiplied by when a loss or gradient is not finite there, …
const SHRINK: f64 = 0.25;
/// … and how often.
const SHRINKS: i32 = 5;

/// What all numbers are multiplied by where Burn's gradient is not finite at any point near: what is beyond the range of a function comes
/// into it.
const SCALES: [f64; 4] = [1.0, 0.125, 0.015625, 0.001953125];

/// A value for every input of a trace.
pub(crate) struct Point {
    sources: Vec<LossInput>,
    values: Vec<Value>,
}

impl Point {
    /// The current parameters, and the batch or a part of it.
    pub(crate) fn of(source: &dyn Source, trace: &Trace, part: Option<Part>) -> Result<Self, ReadError> {
        let sources: Vec<LossInput> = trace.inputs.iter().map(|&(input, _)| input).collect();
        let value = |&input: &LossInput| {
            let is_cut = matches!(input, LossInput::Batch { .. });
            on_host(source.value(input), part.filter(|_| is_cut))
        };
        let values = sources.iter().map(value).collect::<Result<_, _>>()?;
        Ok(Point { sources, values })
    }

    pub(crate) fn values(&self) -> &[Value] {
        &self.values
    }

    /// Points near this one, in the order in which they are tried until something is finite there: every float of a module is moved as
    /// `seed` decides, as far as if its tensor had at least the length `least`, and what is confined to a set is moved back to it.
    ///
    /// # Errors
    /// [`VerificationError`] if what is confined cannot be moved back.
    pub(crate) fn near<'a>(
        &'a self,
        source: &'a dyn Source,
        least: f64,
        seed: u64,
    ) -> impl Iterator<Item = Result<Self, VerificationError>> + 'a {
        (0..=SHRINKS).flat_map(move |shrinks| {
            let fraction = FRACTION * SHRINK.powi(shrinks);
            WAYS.into_iter().map(move |way| self.displaced(source, Moved { way, fraction, least, all: None }, seed))
        })
    }

    /// Points further away, where the floats of the batch are moved as well, and all are made smaller: zeros among them are none there.
    ///
    /// # Errors
    /// As [`near`](Self::near).
    pub(crate) fn elsewhere<'a>(
        &'a self,
        source: &'a dyn Source,
        seed: u64,
    ) -> impl Iterator<Item = Result<Self, VerificationError>> + 'a {
        SCALES.into_iter().flat_map(move |scale| {
            WAYS.into_iter().map(move |way| {
                let moved = Moved { way, fraction: FRACTION, least: 1.0, all: Some(scale) };
                self.displaced(source, moved, seed)
            })
        })
    }

    fn displaced(&self, source: &dyn Source, how: Moved, seed: u64) -> Result<Self, VerificationError> {
        let mut generator = StdRng::seed_from_u64(seed);
        let mut values = self.values.clone();
        for (value, input) in values.iter_mut().zip(&self.sources) {
            let is_moved = how.all.is_some() || matches!(input, LossInput::Leaf { .. });
            if is_moved && value.dtype().is_float() {
                let moved = how.applied(value.to_vec()?, &mut generator);
                *value = Value::from_data(TensorData::new(moved, value.shape()), &Device::flex());
            }
        }
        source.confine(&self.sources, &mut values)?;
        Ok(Point { sources: self.sources.clone(), values })
    }
}

/// A copy on the CPU, floats in f64, and of a tensor of examples only a part.
pub(crate) fn on_host(value: &Value, part: Option<Part>) -> Result<Value, ReadError> {
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

impl Moved {
    /// Entries moved at random by up to `fraction` of their size.
    ///
    /// A tensor of zeros has no size of its own: its entries are taken for those of a vector of length 1.
    fn applied(self, mut values: Vec<f64>, generator: &mut StdRng) -> Vec<f64> {
        let scale = self.all.unwrap_or(1.0);
        let count = values.len().max(1) as f64;
        let square: f64 = values.iter().map(|x| x * x).sum();
        let length = if square == 0.0 { 1.0 } else { square.sqrt().max(self.least) };
        let size = length / count.sqrt();
        for x in &mut values {
            let r: f64 = generator.random_range(-1.0..1.0);
            match self.way {
                Way::Around => *x += self.fraction * size * r,
                Way::Along => *x *= 1.0 + self.fraction * r,
                Way::Up => *x += self.fraction * size * r.abs(),
                Way::Down => *x -= self.fraction * size * r.abs(),
            }
            *x *= scale;
        }
        values
    }
}
