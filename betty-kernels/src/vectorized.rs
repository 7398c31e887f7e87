//! Work compiled for the widest vectors that the processor has.

/// Work that is inlined into code for a set of instructions.
pub(crate) trait Work {
    /// Does it; `FUSED` says that a product and a sum are one instruction.
    ///
    /// Implementations are `#[inline(always)]`, and so is what they call: only then is it compiled for those instructions.
    fn run<const FUSED: bool>(self);
}

/// A set of instructions that kernels are compiled for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Instructions {
    /// AVX-512, with vectors of 64 bytes.
    #[cfg(target_arch = "x86_64")]
    Wide(pulp::x86::V4),
    /// AVX2 with fused products, with vectors of 32 bytes.
    #[cfg(target_arch = "x86_64")]
    Usual(pulp::x86::V3),
    /// What every processor of this kind has.
    Least,
}

impl Instructions {
    /// The best that this processor has.
    pub(crate) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(wide) = pulp::x86::V4::try_new() {
                return Instructions::Wide(wide);
            }
            if let Some(usual) = pulp::x86::V3::try_new() {
                return Instructions::Usual(usual);
            }
        }
        Instructions::Least
    }

    /// All that this processor has.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let more =
            [pulp::x86::V4::try_new().map(Instructions::Wide), pulp::x86::V3::try_new().map(Instructions::Usual)];
        #[cfg(not(target_arch = "x86_64"))]
        let more: [Option<Self>; 0] = [];
        more.into_iter().flatten().chain([Instructions::Least]).collect()
    }

    /// How many bytes a vector has.
    pub(crate) fn bytes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Instructions::Wide(_) => 64,
            #[cfg(target_arch = "x86_64")]
            Instructions::Usual(_) => 32,
            Instructions::Least => 16,
        }
    }

    /// Does the work with these instructions.
    pub(crate) fn run(self, work: impl Work) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Instructions::Wide(wide) => pulp::Simd::vectorize(wide, Fused(work)),
            #[cfg(target_arch = "x86_64")]
            Instructions::Usual(usual) => pulp::Simd::vectorize(usual, Fused(work)),
            // Elsewhere a fused product is a call into a library.
            Instructions::Least if cfg!(target_arch = "aarch64") => work.run::<true>(),
            Instructions::Least => work.run::<false>(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
struct Fused<W>(W);

#[cfg(target_arch = "x86_64")]
impl<W: Work> pulp::WithSimd for Fused<W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        self.0.run::<true>();
    }
}
