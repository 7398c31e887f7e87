//! What a recording depends on of a module beside its tensors: rates, flags, names of functions.

use std::collections::hash_map::DefaultHasher;
use std::fmt::{self, Write};
use std::hash::Hasher;

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param, ParamId, Parameter};
use burn::tensor::kind::Basic;
use burn::tensor::{Bool, Device, Int, Tensor};

use super::erased::{AnyMapper, AnyVisitor, map_module, visit_module};

/// A hash of what `Debug` says of a module without its tensors and their identifiers, and of its flags, on which `Debug` is
/// silent.
///
/// Modules with one hash and tensors of the same shapes are recorded alike, as long as `Debug` shows all that a forward pass
/// decides by; it does where it is derived.
pub(crate) fn plain_data<M: Module>(module: &M) -> u64 {
    let mut hash = Hash(DefaultHasher::new());
    // Leaving autodiff makes copies of running states, which clones share; the flags that it disables are read beside it.
    let hollow = hollow(module.valid());
    if write!(hash, "{hollow:?}").is_err() {
        // Somebody's own `Debug` failed; what it said until then is all there is.
        hash.0.write_u8(0);
    }
    visit_module(module, hash.erased());
    hash.0.finish()
}

/// The module with one number in the place of every tensor that has an identifier. Burn's running states keep it, so that every
/// module that shares them has it too.
pub(super) fn hollow<M: Module>(module: M) -> M {
    map_module(module, Hollow.erased())
}

struct Hash(DefaultHasher);

impl Hash {
    #[inline(never)]
    fn erased(&mut self) -> &mut dyn AnyVisitor {
        self
    }
}

impl Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // One text is one hash, into whatever pieces it is cut.
        text.bytes().for_each(|byte| self.0.write_u8(byte));
        Ok(())
    }
}

impl ModuleVisitor for Hash {
    fn visit_flag(&mut self, flag: &Param<Flag>) {
        self.0.write_u8(u8::from(flag.is_enabled()));
    }
}

/// Puts one number in the place of every tensor, and one identifier in that of all.
struct Hollow;

impl Hollow {
    #[inline(never)]
    fn erased(&mut self) -> &mut dyn AnyMapper {
        self
    }
}

fn emptied<const D: usize, K: Basic>(param: Param<Tensor<D, K>>) -> Param<Tensor<D, K>>
where
    Tensor<D, K>: Parameter,
{
    let (_, _, mapper) = param.consume();
    Param::from_mapped_value(ParamId::from(0), Tensor::empty([1; D], &Device::flex()), mapper)
}

impl ModuleMapper for Hollow {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        emptied(param)
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        emptied(param)
    }

    fn map_bool<const D: usize>(&mut self, param: Param<Tensor<D, Bool>>) -> Param<Tensor<D, Bool>> {
        emptied(param)
    }

    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        let (_, flag, mapper) = flag.consume();
        Param::from_mapped_value(ParamId::from(0), flag, mapper)
    }
}
