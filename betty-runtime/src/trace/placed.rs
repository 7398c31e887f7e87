//! Modules in a recording, with a placeholder in the place of every tensor.

use std::collections::HashMap;
use std::iter::Zip;
use std::slice::Iter;
use std::vec::IntoIter;

use burn::module::{Module, ModuleMapper, Param, Parameter};
use burn::tensor::kind::Basic;
use burn::tensor::{Bool, DispatchTensor, Int, Tensor};

use super::constants::place_constants;
use super::erased::{AnyMapper, map_module};
use super::loss::LossInput;
use super::place::{Place, Role, places, tensors};
use super::replace::replace;
use super::statistics::{one_for_each_id, place_statistics};
use super::tracer::Tracer;
use super::updates::first_update;

impl Tracer<'_> {
    /// A copy of `module` in the recording.
    pub(super) fn place_module<M: Module + 'static>(&mut self, level: usize, module: &M) -> M {
        let places = places(module);
        let (placed, names) = place_constants(module, &self.device.clone().without_autodiff());
        self.constants.push((level, names));
        let numbers = tensors(&places);
        let placed = one_for_each_id(|| {
            let places = places.iter().zip(numbers.clone());
            let mut mapper = PlaceModule { tracer: self, level, places, known: HashMap::new() };
            map_module(placed, mapper.erased())
        });
        if places.iter().all(|place| place.role != Role::Statistic) {
            return placed;
        }
        let placed = place_statistics(placed);
        let copy = placed.clone();
        self.updates.push(Box::new(move || Some(LossInput::Leaf { level, index: numbers[first_update(copy)?] })));
        placed
    }
}

struct PlaceModule<'t, 'a, 'p> {
    tracer: &'t mut Tracer<'a>,
    level: usize,
    /// The places that are still to come, each with the number of its tensor.
    places: Zip<Iter<'p, Place>, IntoIter<usize>>,
    /// Tensors that have a placeholder.
    known: HashMap<usize, DispatchTensor>,
}

impl PlaceModule<'_, '_, '_> {
    #[inline(never)]
    fn erased(&mut self) -> &mut dyn AnyMapper {
        self
    }

    fn place<const D: usize, K: Basic>(&mut self, param: Param<Tensor<D, K>>) -> Param<Tensor<D, K>>
    where
        Tensor<D, K>: Parameter,
    {
        let Some((place, index)) = self.places.next() else { return param };
        let (shape, dtype) = (place.value.shape(), place.value.dtype());
        let placeholder = self.known.entry(index).or_insert_with(|| {
            let on_tape = dtype.is_float() && place.role != Role::Statistic;
            self.tracer.place::<D, K>(LossInput::Leaf { level: self.level, index }, shape, dtype, on_tape)
        });
        replace(param, Some(Tensor::from_dispatch(placeholder.clone())))
    }
}

impl ModuleMapper for PlaceModule<'_, '_, '_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.place(param)
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        self.place(param)
    }

    fn map_bool<const D: usize>(&mut self, param: Param<Tensor<D, Bool>>) -> Param<Tensor<D, Bool>> {
        self.place(param)
    }
}
