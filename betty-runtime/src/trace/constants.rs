//! Tensors that a module holds as plain fields: its constants.
//!
//! Burn's visitors and mappers pass them by; what reaches them, wherever they are, is a move to another device. So a copy of
//! the module that is hollow, with one number in the place of every tensor that has an identifier, is moved into a recording.
//! What is new there afterwards are the constants, with their values.

use std::ops::RangeInclusive;
use std::vec::IntoIter;

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param, Parameter};
use burn::tensor::kind::Basic;
use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData};
use burn_capture::CapturedGraph;
use burn_ir::TensorId;

use super::device::capture_device;
use super::erased::{AnyMapper, AnyVisitor, map_module, visit_module};
use super::recorded::tensor_id;
use super::replace::replace;
use crate::execute::{ReadError, Value};
use crate::panic::caught;

/// The recording's names of a module's constants.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// What stands for other tensors of the module, and after that the constants.
    all: RangeInclusive<TensorId>,
    constants: RangeInclusive<TensorId>,
}

impl Names {
    /// The constants, in the module's order.
    pub(super) fn of<'c>(
        &self,
        captured: &'c CapturedGraph,
    ) -> impl Iterator<Item = (TensorId, &'c TensorData)> + use<'c> {
        // Both ends are marks.
        let (first, last) = (*self.constants.start(), *self.constants.end());
        let within = captured.values.range(self.constants.clone());
        within.map(|(&id, data)| (id, data)).filter(move |(id, _)| *id != first && *id != last)
    }

    /// Takes everything that was placed out of the recording's values.
    pub(super) fn remove_from(&self, captured: &mut CapturedGraph) {
        captured.values.retain(|id, _| !self.all.contains(id));
    }
}

/// A copy of the module in the recording that `capture`, a device without autodiff, stands for: its constants, and one number
/// in the place of every other tensor.
pub(super) fn place_constants<M: Module>(module: &M, capture: &Device) -> (M, Names) {
    let mut flags = Flags::default();
    visit_module(module, flags.erased());
    let begin = mark(capture);
    // A recording takes no tensor from an autodiff device; leaving autodiff disables all flags.
    let hollow = map_module(module.valid(), Hollow { capture }.erased());
    let first = mark(capture);
    let placed = hollow.to_device(capture);
    let last = mark(capture);
    let placed = map_module(placed, Restore(flags.0.into_iter()).erased());
    (placed, Names { all: begin..=last, constants: first..=last })
}

/// The values of a module's constants on `device`.
///
/// # Errors
/// [`ReadError`] when one of them cannot be copied, or is quantized.
pub(super) fn constants<M: Module>(module: &M, device: &Device) -> Result<Vec<Value>, ReadError> {
    let capture = capture_device(device);
    let mut names = None;
    let captured = caught(|| {
        capture.capture_scope(|scope| {
            names = Some(place_constants(module, &capture).1);
            scope.complete([], [])
        })
    });
    let captured = captured
        .map_err(|panic| ReadError::new(panic.to_string()))?
        .map_err(|error| ReadError::new(error.to_string()))?;
    let of = names.iter().flat_map(|names| names.of(&captured));
    Ok(of.map(|(_, data)| Value::from_data(data.clone(), device)).collect())
}

/// A tensor that is only there to be older than the next.
#[inline(never)] // It would be compiled with every module.
fn mark(capture: &Device) -> TensorId {
    name(one::<1, burn::tensor::Float>(DType::F32, capture))
}

fn one<const D: usize, K: Basic>(dtype: DType, capture: &Device) -> Tensor<D, K> {
    Tensor::from_data(TensorData::full_dtype([1; D], 0, dtype), (capture, dtype))
}

fn name<const D: usize>(tensor: Tensor<D>) -> TensorId {
    tensor_id(&tensor.into_dispatch()).expect("it was made on a capture device")
}

/// Puts one number in the place of every tensor that has an identifier.
struct Hollow<'a> {
    capture: &'a Device,
}

impl Hollow<'_> {
    #[inline(never)]
    fn erased(&mut self) -> &mut dyn AnyMapper {
        self
    }

    fn empty<const D: usize, K: Basic>(&self, param: Param<Tensor<D, K>>) -> Param<Tensor<D, K>>
    where
        Tensor<D, K>: Parameter,
    {
        let dtype = param.dtype();
        replace(param, Some(one(dtype, self.capture)))
    }
}

impl ModuleMapper for Hollow<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.empty(param)
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        self.empty(param)
    }

    fn map_bool<const D: usize>(&mut self, param: Param<Tensor<D, Bool>>) -> Param<Tensor<D, Bool>> {
        self.empty(param)
    }
}

#[derive(Default)]
struct Flags(Vec<bool>);

impl Flags {
    #[inline(never)]
    fn erased(&mut self) -> &mut dyn AnyVisitor {
        self
    }
}

impl ModuleVisitor for Flags {
    fn visit_flag(&mut self, flag: &Param<Flag>) {
        self.0.push(flag.is_enabled());
    }
}

struct Restore(IntoIter<bool>);

impl Restore {
    #[inline(never)]
    fn erased(&mut self) -> &mut dyn AnyMapper {
        self
    }
}

impl ModuleMapper for Restore {
    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        match self.0.next() {
            Some(enabled) => flag.with_value(enabled),
            None => flag,
        }
    }
}
