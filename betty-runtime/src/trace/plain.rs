//! What a recording depends on of a module beside its tensors: rates, flags, names of functions.

use std::collections::hash_map::DefaultHasher;
use std::fmt::{self, Write};
use std::hash::Hasher;

use burn::module::{Flag, Module, ModuleVisitor, Param};

/// A hash of what `Debug` says of a module, and of its flags, on which `Debug` is silent.
///
/// Modules with one hash are recorded alike, as long as `Debug` shows all that a forward pass decides by; it does where it is
/// derived. The reverse does not hold: identifiers of parameters are shown, too.
pub(crate) fn plain_data<M: Module>(module: &M) -> u64 {
    let mut hash = Hash(DefaultHasher::new());
    if write!(hash, "{module:?}").is_err() {
        // Somebody's own `Debug` failed; what it said until then is all there is.
        hash.0.write_u8(0);
    }
    module.visit(&mut hash);
    hash.0.finish()
}

struct Hash(DefaultHasher);

impl Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl ModuleVisitor for Hash {
    fn visit_flag(&mut self, flag: &Param<Flag>) {
        self.0.write_u8(u8::from(flag.is_enabled()));
    }
}
