//! What is special about a case, and how well it must agree.

use burn::tensor::DType;

/// One `#[test]` a line: `name(inputs) = |a| function;`. An option may stand before the `=`: `[kink]` where second
/// derivatives do not exist, `[single]` where Burn computes in single precision whatever it is given, `[f32]` where it
/// refuses doubles, `[eager < 1e-7]` where its eager derivative is only approximate, `[f32 < 1e-5]` where rounding is
/// amplified, `[random]` where values cannot be compared, `[kink, double]` where it
/// computes in double precision whatever it is given, `[kink, sum < 1e-3]` where lanes are summed up in less
/// than double precision.
macro_rules! cases {
    ($($name:ident($($input:expr),* $(,)?) $([$($option:tt)*])? = |$a:ident| $body:expr;)*) => {$(
        #[test]
        fn $name() {
            let options = option!($($($option)*)?);
            $crate::harness::check(stringify!($name), &[$($input),*], options, |$a| $crate::harness::flat($body));
        }
    )*};
}

macro_rules! option {
    () => {
        $crate::harness::Options::default()
    };
    (f32 < $tolerance:literal) => {
        $crate::harness::Options { f32_gradient: Some($tolerance), ..Default::default() }
    };
    (eager < $tolerance:literal) => {
        $crate::harness::Options { eager: Some($tolerance), ..Default::default() }
    };
    (f32) => {
        $crate::harness::Options { only_f32: true, ..Default::default() }
    };
    (noise) => {
        $crate::harness::Options { random: true, only_f32: true, ..Default::default() }
    };
    (single) => {
        $crate::harness::Options { single: true, ..Default::default() }
    };
    (random) => {
        $crate::harness::Options { random: true, ..Default::default() }
    };
    (kink, sum < $tolerance:literal) => {
        $crate::harness::Options { kink: true, sum: Some($tolerance), ..Default::default() }
    };
    (kink, double) => {
        $crate::harness::Options { kink: true, double: true, ..Default::default() }
    };
    (kink) => {
        $crate::harness::Options { kink: true, ..Default::default() }
    };
}

/// What is special about a case.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// How far gradients in single precision may be apart.
    pub(crate) f32_gradient: Option<f64>,
    /// Whether the gradient in single precision is held against one in double precision, see
    /// [`check_single`](super::check_single): what two single precisions may differ by depends on how much a draw cancels.
    pub(crate) against_double: bool,
    /// How far the derivative of Burn's eager autodiff may be off.
    pub(crate) eager: Option<f64>,
    /// How far differences may be off, where high derivatives are large.
    pub(crate) differences: Option<f64>,
    /// How far the gradient of a sum of losses may be off, where it is summed up in a lower precision.
    pub(crate) sum: Option<f64>,
    /// Whether Burn refuses to compute the function in double precision.
    pub(crate) only_f32: bool,
    /// Whether to leave out what needs a second derivative.
    pub(crate) kink: bool,
    /// Whether to leave out differences, because there are kinks nearby.
    pub(crate) rough: bool,
    /// Whether the function computes in single precision whatever it is given.
    pub(crate) single: bool,
    /// Whether the function computes in double precision whatever it is given, which is refused where a device does not.
    pub(crate) double: bool,
    /// Whether the function draws random numbers.
    pub(crate) random: bool,
}

impl Options {
    /// How well gradients agree with Burn's.
    pub(crate) fn gradient(&self, dtype: DType) -> f64 {
        let single = self.f32_gradient.unwrap_or(1e-6);
        if dtype == DType::F64 { self.tolerance(1e-12) } else { single }
    }

    pub(crate) fn tolerance(&self, tolerance: f64) -> f64 {
        if self.single || self.only_f32 { tolerance.max(1e-5) } else { tolerance }
    }
}

/// How well values agree.
pub(crate) fn precision(dtype: DType) -> f64 {
    if dtype == DType::F64 { 1e-12 } else { 1e-6 }
}
