//! Visitors and mappers of modules without the rank in their types, so that they are compiled here, once.
//!
//! Burn instantiates a visitor for every rank and kind of tensor where it meets the module: in the crate of the user, and once
//! more for every kind of visitor. Here that crate instantiates one visitor and one mapper, which only pass on what they meet.

use std::any::Any;

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, Int, Tensor};

/// Visits the module with a visitor whose type is not known.
pub(crate) fn visit_module<M: Module>(module: &M, visitor: &mut dyn AnyVisitor) {
    module.visit(&mut Visit(visitor));
}

/// Maps the module with a mapper whose type is not known.
pub(crate) fn map_module<M: Module>(module: M, mapper: &mut dyn AnyMapper) -> M {
    module.map(&mut Map(mapper))
}

/// A visitor. It becomes one in a function without type parameters that is never inlined, which decides where it is compiled.
pub(crate) trait AnyVisitor {
    fn enter(&mut self, name: &str, container: &str);
    fn exit(&mut self, name: &str, container: &str);
    fn flag(&mut self, flag: &Param<Flag>);
    /// `param` is a float parameter of this rank.
    fn float(&mut self, rank: usize, param: &dyn Any);
    fn int(&mut self, rank: usize, param: &dyn Any);
    fn bool(&mut self, rank: usize, param: &dyn Any);
}

/// A mapper, likewise.
pub(crate) trait AnyMapper {
    fn enter(&mut self, name: &str, container: &str);
    fn exit(&mut self, name: &str, container: &str);
    fn flag(&mut self, flag: Param<Flag>) -> Param<Flag>;
    /// `slot` is some float parameter of this rank, which is taken and given back.
    fn float(&mut self, rank: usize, slot: &mut dyn Any);
    fn int(&mut self, rank: usize, slot: &mut dyn Any);
    fn bool(&mut self, rank: usize, slot: &mut dyn Any);
}

/// The most dimensions of a parameter, which are those that Burn restores from a number.
const MOST: usize = 8;

/// Does the same at the rank that a number says.
macro_rules! at_rank {
    ($rank:expr, $d:ident => $body:expr) => {
        at_rank!(@ $rank, $d => $body; 0 1 2 3 4 5 6 7 8)
    };
    (@ $rank:expr, $d:ident => $body:expr; $($number:literal)*) => {
        match $rank {
            $($number => {
                const $d: usize = $number;
                $body
            })*
            // Parameters of more dimensions are refused where a program is compiled.
            _ => {}
        }
    };
}

fn see<T: 'static>(param: &dyn Any, see: impl FnOnce(&T)) {
    if let Some(param) = param.downcast_ref() {
        see(param);
    }
}

fn change<T: 'static>(slot: &mut dyn Any, change: impl FnOnce(T) -> T) {
    if let Some(slot) = slot.downcast_mut::<Option<T>>() {
        *slot = slot.take().map(change);
    }
}

impl<V: ModuleVisitor> AnyVisitor for V {
    fn enter(&mut self, name: &str, container: &str) {
        self.enter_module(name, container);
    }

    fn exit(&mut self, name: &str, container: &str) {
        self.exit_module(name, container);
    }

    fn flag(&mut self, flag: &Param<Flag>) {
        self.visit_flag(flag);
    }

    fn float(&mut self, rank: usize, param: &dyn Any) {
        at_rank!(rank, D => see(param, |param: &Param<Tensor<D>>| self.visit_float(param)));
    }

    fn int(&mut self, rank: usize, param: &dyn Any) {
        at_rank!(rank, D => see(param, |param: &Param<Tensor<D, Int>>| self.visit_int(param)));
    }

    fn bool(&mut self, rank: usize, param: &dyn Any) {
        at_rank!(rank, D => see(param, |param: &Param<Tensor<D, Bool>>| self.visit_bool(param)));
    }
}

impl<M: ModuleMapper> AnyMapper for M {
    fn enter(&mut self, name: &str, container: &str) {
        self.enter_module(name, container);
    }

    fn exit(&mut self, name: &str, container: &str) {
        self.exit_module(name, container);
    }

    fn flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        self.map_flag(flag)
    }

    fn float(&mut self, rank: usize, slot: &mut dyn Any) {
        at_rank!(rank, D => change(slot, |param: Param<Tensor<D>>| self.map_float(param)));
    }

    fn int(&mut self, rank: usize, slot: &mut dyn Any) {
        at_rank!(rank, D => change(slot, |param: Param<Tensor<D, Int>>| self.map_int(param)));
    }

    fn bool(&mut self, rank: usize, slot: &mut dyn Any) {
        at_rank!(rank, D => change(slot, |param: Param<Tensor<D, Bool>>| self.map_bool(param)));
    }
}

struct Visit<'a>(&'a mut dyn AnyVisitor);

impl ModuleVisitor for Visit<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.0.enter(name, container);
    }

    fn exit_module(&mut self, name: &str, container: &str) {
        self.0.exit(name, container);
    }

    fn visit_flag(&mut self, flag: &Param<Flag>) {
        self.0.flag(flag);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.float(rank::<D>(), param);
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.0.int(rank::<D>(), param);
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.0.bool(rank::<D>(), param);
    }
}

struct Map<'a>(&'a mut dyn AnyMapper);

impl ModuleMapper for Map<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.0.enter(name, container);
    }

    fn exit_module(&mut self, name: &str, container: &str) {
        self.0.exit(name, container);
    }

    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        self.0.flag(flag)
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        through(param, |slot| self.0.float(rank::<D>(), slot))
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        through(param, |slot| self.0.int(rank::<D>(), slot))
    }

    fn map_bool<const D: usize>(&mut self, param: Param<Tensor<D, Bool>>) -> Param<Tensor<D, Bool>> {
        through(param, |slot| self.0.bool(rank::<D>(), slot))
    }
}

fn through<T: 'static>(param: T, map: impl FnOnce(&mut dyn Any)) -> T {
    let mut slot = Some(param);
    map(&mut slot);
    slot.expect("a mapper gives back what it takes")
}

fn rank<const D: usize>() -> usize {
    const { assert!(D <= MOST, "a parameter of a level has at most 8 dimensions") };
    D
}
