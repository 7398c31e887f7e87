//! A tensor of a module that forward passes move along, instead of an optimizer.

use std::sync::{Arc, Mutex, PoisonError};

use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param, ParamId,
    RunningState,
};
use burn::tensor::{Device, Tensor};

use crate::trace::{advance, mapped_once};

/// A module's tensor that is no parameter: each forward pass in training may replace it by a function of what it saw.
///
/// Burn's [`RunningState`] serves the same purpose, with the same place in a record. The differences are those that a
/// recording needs: copies made by mapping a module are independent of the original, an advance is an operation of the
/// recorded graph, and nothing is averaged over threads. Clones share one value, as Burn's do; in a level's module, all
/// places that have one identifier do.
///
/// Inside of a program, the engine advances the statistics of a level's own module once for every batch of every real
/// step of that level. Losses of other levels, hypergradients and their products read them and change nothing.
#[derive(Clone, Debug)]
pub struct RunningStatistic<const D: usize> {
    id: ParamId,
    value: Arc<Mutex<Tensor<D>>>,
}

impl<const D: usize> RunningStatistic<D> {
    /// A statistic that starts with this value.
    pub fn new(value: Tensor<D>) -> Self {
        Self::with_id(ParamId::new(), value)
    }

    /// A statistic with a given identifier, to take the place of another one.
    pub fn with_id(id: ParamId, value: Tensor<D>) -> Self {
        RunningStatistic { id, value: Arc::new(Mutex::new(value)) }
    }

    /// Its identifier.
    pub fn id(&self) -> ParamId {
        self.id
    }

    /// The current value; within one forward pass, with every earlier advance.
    pub fn value(&self) -> Tensor<D> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the value by `next`, which has the same shape; no derivative goes through a statistic.
    pub fn advance(&self, next: Tensor<D>) {
        let mut value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        *value = advance(value.clone(), next);
    }

    fn with(&self, value: Tensor<D>) -> Self {
        Self::with_id(self.id, value)
    }
}

impl<const D: usize> Module for RunningStatistic<D> {
    fn collect_devices(&self, mut devices: Devices) -> Devices {
        let device = self.value().device();
        if !devices.contains(&device) {
            devices.push(device);
        }
        devices
    }

    fn fork(self, device: &Device) -> Self {
        self.to_device(device)
    }

    fn to_device(self, device: &Device) -> Self {
        self.with(self.value().to_device(device))
    }

    fn train(self) -> Self {
        self.with(self.value().autodiff())
    }

    fn valid(&self) -> Self {
        self.with(self.value().without_autodiff())
    }

    fn materialize(self) -> Self {
        self
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        visitor.visit_float(&Param::initialized(self.id, self.value()));
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let (id, value, _) = mapper.map_float(Param::initialized(self.id, self.value())).consume();
        // Whatever a mapper does to parameters, a statistic is not one.
        mapped_once(id, Self::with_id(id, value.set_require_grad(false)))
    }
}

impl<const D: usize> ModuleDisplayDefault for RunningStatistic<D> {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_formatted(&"RunningStatistic".to_string()).optional()
    }
}

impl<const D: usize> ModuleDisplay for RunningStatistic<D> {}

impl<const D: usize> From<RunningState<Tensor<D>>> for RunningStatistic<D> {
    fn from(state: RunningState<Tensor<D>>) -> Self {
        struct Id(Option<ParamId>);
        impl ModuleVisitor for Id {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0 = Some(param.id);
            }
        }
        let mut id = Id(None);
        state.visit(&mut id);
        Self::with_id(id.0.unwrap_or_default(), state.value_sync())
    }
}

impl<const D: usize> From<RunningStatistic<D>> for RunningState<Tensor<D>> {
    fn from(statistic: RunningStatistic<D>) -> Self {
        RunningState::with_id(statistic.id, statistic.value())
    }
}
