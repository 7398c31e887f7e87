//! A level's module seen as a list of tensors.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Bool, Int, Tensor};

use super::{Tracer, tape};
use crate::execute::Value;

/// One tensor of a module.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Where it is inside the module, `encoder.weight` for instance.
    pub path: String,
    /// Burn's identifier of the parameter.
    pub id: ParamId,
    /// Its value.
    pub value: Value,
    /// Whether training moves it: an active float parameter, not frozen, not running state.
    pub trainable: bool,
}

/// A Burn module as the parameters of a level; implemented for every `burn::module::Module`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the parameters of a level; derive `burn::module::Module`",
    label = "not a Burn module"
)]
pub trait LevelModule: 'static {
    /// All tensors, in the module's order.
    fn leaves(&self) -> Vec<Leaf>;

    /// Puts values back in the place of all tensors, in the module's order; missing ones keep theirs.
    fn assign(&mut self, values: Vec<Value>);

    /// A copy for a recording, with a placeholder in the place of every tensor.
    fn traced(&self, level: usize, tracer: &mut Tracer<'_>) -> Self
    where
        Self: Sized;
}

impl<M: Module + 'static> LevelModule for M {
    fn leaves(&self) -> Vec<Leaf> {
        let mut collect = Collect::default();
        let on_autodiff = self.devices().iter().any(|device| device.is_autodiff());
        self.visit(&mut collect);
        // What is frozen is only known to a module that is training; `train` maps a copy there.
        let mut active = Active::default();
        if on_autodiff {
            self.visit(&mut active)
        } else {
            self.clone().train().visit(&mut active);
            tape::forget();
        }
        for (leaf, trainable) in collect.leaves.iter_mut().zip(active.0) {
            leaf.trainable = trainable;
        }
        collect.leaves
    }

    fn assign(&mut self, values: Vec<Value>) {
        let mut assign = Assign { values: values.into_iter() };
        *self = self.clone().map(&mut assign);
    }

    fn traced(&self, level: usize, tracer: &mut Tracer<'_>) -> Self {
        tracer.place_module(level, self)
    }
}

#[derive(Default)]
struct Collect {
    path: Vec<String>,
    leaves: Vec<Leaf>,
}

impl Collect {
    fn push(&mut self, id: ParamId, value: Value) {
        self.leaves.push(Leaf { path: self.path.join("."), id, value, trainable: false });
    }
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
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

#[derive(Default)]
struct Active(Vec<bool>);

impl ModuleVisitor for Active {
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

struct Assign<I> {
    values: I,
}

/// Keeps a parameter's identity and settings while its value is replaced.
fn replace<T: burn::module::Parameter>(param: Param<T>, value: Option<T>) -> Param<T> {
    let (id, old, mapper): (ParamId, T, _) = param.consume();
    Param::from_mapped_value(id, value.unwrap_or(old), mapper)
}

impl<I: Iterator<Item = Value>> ModuleMapper for Assign<I> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        replace(param, self.values.next().map(Value::into_tensor))
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        replace(param, self.values.next().map(Value::into_tensor))
    }

    fn map_bool<const D: usize>(&mut self, param: Param<Tensor<D, Bool>>) -> Param<Tensor<D, Bool>> {
        replace(param, self.values.next().map(Value::into_tensor))
    }
}
