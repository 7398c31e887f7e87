//! A level's module seen as a list of tensors.

use std::vec::IntoIter;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Bool, Device, Int, Tensor};

use super::constants::constants;
use super::erased::{AnyMapper, map_module, visit_module};
use super::given::{Advance, Register};
use super::place::{Place, Role, places, tensors};
use super::replace::replace;
use super::statistics::one_for_each_id;
use super::tracer::Tracer;
use crate::execute::{ReadError, Value};

/// One tensor of a module.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Where it is inside the module, `encoder.weight` for instance: the first of its places.
    pub path: String,
    /// Its other places, if it is tied.
    pub also: Vec<String>,
    /// Burn's identifier of the parameter.
    pub id: ParamId,
    /// Its value.
    pub value: Value,
    /// Whether training moves it: an active float parameter, not frozen, not running state.
    pub trainable: bool,
}

impl Leaf {
    /// The paths of all its places, the first one first.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.path.as_str()).chain(self.also.iter().map(String::as_str))
    }
}

/// A Burn module as the parameters of a level; implemented for every `burn::module::Module`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the parameters of a level; derive `burn::module::Module`",
    label = "not a Burn module"
)]
pub trait LevelModule: 'static {
    /// All places that hold a tensor with an identifier, in the module's order.
    fn places(&self) -> Vec<Place>;

    /// All tensors with an identifier, in the order of their first places. Places with one identifier that training, or
    /// a forward pass, moves are one tensor.
    fn leaves(&self) -> Vec<Leaf> {
        leaves(self.places())
    }

    /// The tensors that the module holds as plain fields, in the module's order, on `device`.
    ///
    /// # Errors
    /// [`ReadError`] when one of them cannot be read.
    fn constants(&self, device: &Device) -> Result<Vec<Value>, ReadError>;

    /// Puts values in the place of all [`leaves`](Self::leaves), in their order; missing ones keep theirs.
    fn assign(&mut self, values: Vec<Value>);

    /// Puts other values in the place of running statistics, by their numbers among the [`leaves`](Self::leaves). All else
    /// stays as it is.
    fn advance(&mut self, statistics: Vec<(usize, Value)>);

    /// Values by the numbers of parameters among the [`leaves`](Self::leaves), as Burn's gradients of these parameters.
    fn gradients(&self, values: Vec<(usize, Value)>) -> GradientsParams;

    /// A copy for a recording, with a placeholder in the place of every tensor.
    fn traced(&self, level: usize, tracer: &mut Tracer<'_>) -> Self
    where
        Self: Sized;
}

impl Tracer<'_> {
    /// The module of level `level`, with a placeholder for every tensor that has an identifier; what the module holds as
    /// plain fields is a constant of the recording. `module` itself stays as it is.
    pub fn module<M: LevelModule>(&mut self, level: usize, module: &M) -> M {
        module.traced(level, self)
    }
}

impl<M: Module + 'static> LevelModule for M {
    fn places(&self) -> Vec<Place> {
        places(self)
    }

    fn constants(&self, device: &Device) -> Result<Vec<Value>, ReadError> {
        constants(self, device)
    }

    fn assign(&mut self, values: Vec<Value>) {
        let mut assign = Assign { numbers: tensors(&self.places()).into_iter(), values };
        *self = one_for_each_id(|| map_module(self.clone(), assign.erased()));
    }

    fn advance(&mut self, statistics: Vec<(usize, Value)>) {
        let mut advance = Advance { numbers: tensors(&self.places()).into_iter(), statistics };
        *self = one_for_each_id(|| map_module(self.clone(), advance.erased()));
    }

    fn gradients(&self, values: Vec<(usize, Value)>) -> GradientsParams {
        let numbers = tensors(&self.places()).into_iter();
        let mut register = Register { numbers, values, gradients: GradientsParams::new() };
        visit_module(self, register.erased());
        register.gradients
    }

    fn traced(&self, level: usize, tracer: &mut Tracer<'_>) -> Self {
        tracer.place_module(level, self)
    }
}

/// The tensors at these places.
pub(crate) fn leaves(places: Vec<Place>) -> Vec<Leaf> {
    let numbers = tensors(&places);
    let mut leaves: Vec<Leaf> = Vec::new();
    for (Place { path, id, value, role }, number) in places.into_iter().zip(numbers) {
        match leaves.get_mut(number) {
            Some(leaf) => leaf.also.push(path),
            None => leaves.push(Leaf { path, also: Vec::new(), id, value, trainable: role == Role::Parameter }),
        }
    }
    leaves
}

struct Assign {
    /// The tensor of every place that is still to come.
    numbers: IntoIter<usize>,
    values: Vec<Value>,
}

impl Assign {
    #[inline(never)]
    fn erased(&mut self) -> &mut dyn AnyMapper {
        self
    }

    fn next(&mut self) -> Option<Value> {
        self.values.get(self.numbers.next()?).cloned()
    }
}

impl ModuleMapper for Assign {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        replace(param, self.next().map(Value::into_tensor))
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        replace(param, self.next().map(Value::into_tensor))
    }

    fn map_bool<const D: usize>(&mut self, param: Param<Tensor<D, Bool>>) -> Param<Tensor<D, Bool>> {
        replace(param, self.next().map(Value::into_tensor))
    }
}
