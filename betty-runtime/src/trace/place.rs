//! The tensors of a module, place by place, and which of them are one.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId, Parameter};
use burn::tensor::{Bool, Int, Tensor};

use super::erased::{AnyMapper, AnyVisitor, map_module, visit_module};
use super::tape;
use crate::execute::{ReadError, Value};

/// One place of a module that holds a tensor under an identifier.
#[derive(Clone, Debug)]
pub struct Place {
    /// Where it is inside the module, `encoder.weight` for instance.
    pub path: String,
    /// Burn's identifier.
    pub id: ParamId,
    /// The tensor.
    pub value: Value,
    /// What becomes of it.
    pub role: Role,
}

/// What becomes of a tensor of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A float that training moves.
    Parameter,
    /// A float that forward passes move.
    Statistic,
    /// Nothing: a frozen float, an integer, a bool.
    Still,
}

/// Two places with one identifier that hold different tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Apart {
    /// Path of the first place.
    pub one: String,
    /// Path of the other.
    pub other: String,
    /// In what they differ.
    pub differ: &'static str,
}

/// All places, in the module's order.
pub(super) fn places<M: Module>(module: &M) -> Vec<Place> {
    // What is frozen is only known to a module that is training; `train` puts a copy there.
    let training = module.valid().train();
    let mut places = gathered(module);
    let on_autodiff = module.devices().iter().any(|device| device.is_autodiff());
    let (mut active, mut willing) = (RequireGrad::default(), RequireGrad::default());
    if on_autodiff {
        visit_module(module, active.erased());
    } else {
        visit_module(&training, active.erased());
    }
    // Running statistics refuse to require a gradient, frozen parameters do not.
    visit_module(&map_module(training, Activate.erased()), willing.erased());
    tape::forget();
    for (place, (active, willing)) in places.iter_mut().zip(active.0.into_iter().zip(willing.0)) {
        place.role = match (active, willing) {
            (true, _) => Role::Parameter,
            (false, false) if place.value.dtype().is_float() => Role::Statistic,
            (false, _) => Role::Still,
        };
    }
    places
}

/// All places, in the module's order, whatever becomes of them.
pub(super) fn gathered<M: Module>(module: &M) -> Vec<Place> {
    let mut collect = Collect::default();
    visit_module(module, collect.erased());
    collect.places
}

/// For every place the number of its tensor. What has one identifier and moves is one tensor; what stands still is one at
/// each place, a frozen copy of a parameter that is trained included.
pub(super) fn tensors(places: &[Place]) -> Vec<usize> {
    let mut moving = HashMap::new();
    let mut count = 0;
    let mut fresh = || {
        count += 1;
        count - 1
    };
    let number = |place: &Place| match place.role {
        Role::Still => fresh(),
        role => *moving.entry((place.id, role)).or_insert_with(&mut fresh),
    };
    places.iter().map(number).collect()
}

/// The first two places that are to be one tensor and are not.
///
/// # Errors
/// [`ReadError`] when a tensor cannot be read.
pub(crate) fn apart(places: &[Place]) -> Result<Option<Apart>, ReadError> {
    let numbers = tensors(places);
    for (index, (place, number)) in places.iter().zip(&numbers).enumerate() {
        let Some(first) = numbers[..index].iter().position(|earlier| earlier == number) else { continue };
        let (one, other) = (&places[first].value, &place.value);
        let differ = if one.shape() != other.shape() {
            "shape"
        } else if one.dtype() != other.dtype() {
            "type"
        } else if one.to_data()? != other.to_data()? {
            "their numbers"
        } else {
            continue;
        };
        return Ok(Some(Apart { one: places[first].path.clone(), other: place.path.clone(), differ }));
    }
    Ok(None)
}

/// The module with an identifier of its own for the tensor at every place.
///
/// Places of a level's module that have one identifier are one parameter: weights that are tied. A clone keeps the
/// identifiers of what it was cloned from, and so does what is loaded from one record twice. This makes parameters of their
/// own of them.
///
/// ```
/// # use burn::module::Module;
/// # use burn::nn::{Linear, LinearConfig};
/// # use burn::tensor::Device;
/// # let first = LinearConfig::new(2, 2).init(&Device::flex());
/// let second = betty_runtime::untied(first.clone());
/// assert_ne!(first.weight.id, second.weight.id);
/// ```
pub fn untied<M: Module>(module: M) -> M {
    map_module(module, Rename.erased())
}

#[derive(Default)]
struct Collect {
    path: Vec<String>,
    places: Vec<Place>,
}

impl Collect {
    #[inline(never)]
    fn erased(&mut self) -> &mut dyn AnyVisitor {
        self
    }

    fn push(&mut self, id: ParamId, value: Value) {
        self.places.push(Place { path: self.path.join("."), id, value, role: Role::Still });
    }
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        // Burn names a field as its declaration does: `r#type`.
        self.path.push(name.strip_prefix("r#").unwrap_or(name).to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.push(param.id, Value::from_tensor(param.base()));
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.push(param.id, Value::from_tensor(param.base()));
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.push(param.id, Value::from_tensor(param.base()));
    }
}

/// Which tensors require a gradient.
#[derive(Default)]
struct RequireGrad(Vec<bool>);

impl RequireGrad {
    #[inline(never)]
    fn erased(&mut self) -> &mut dyn AnyVisitor {
        self
    }
}

impl ModuleVisitor for RequireGrad {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.base().is_require_grad());
    }

    fn visit_int<const D: usize>(&mut self, _param: &Param<Tensor<D, Int>>) {
        self.0.push(false);
    }

    fn visit_bool<const D: usize>(&mut self, _param: &Param<Tensor<D, Bool>>) {
        self.0.push(false);
    }
}

struct Activate;

impl Activate {
    #[inline(never)]
    fn erased(&mut self) -> &mut dyn AnyMapper {
        self
    }
}

impl ModuleMapper for Activate {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if param.dtype().is_float() { param.set_require_grad(true) } else { param }
    }
}

struct Rename;

impl Rename {
    #[inline(never)]
    fn erased(&mut self) -> &mut dyn AnyMapper {
        self
    }

    fn rename<T: Parameter>(param: Param<T>) -> Param<T> {
        let (_, tensor, mapper) = param.consume();
        Param::from_mapped_value(ParamId::new(), tensor, mapper)
    }
}

impl ModuleMapper for Rename {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        Self::rename(param)
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        Self::rename(param)
    }

    fn map_bool<const D: usize>(&mut self, param: Param<Tensor<D, Bool>>) -> Param<Tensor<D, Bool>> {
        Self::rename(param)
    }
}
