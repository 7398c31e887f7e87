//! Whether the gradient of a new trace is Burn's: at the parameters as they are, and at others near them.
//!
//! At the parameters alone a comparison can say too little: where a head or a factor is zero, everything behind it has gradient
//! zero in both, and a `detach` there is not seen. So both gradients are compared at displaced parameters as well.

mod point;

use burn::tensor::Device;

use super::subject::Subject;
use crate::derivatives::{Agreement, Verification, VerificationError};
use crate::error::{EngineError, Unverified};
use crate::execute::{Value, mix};
use crate::trace::{LossInput, Part, Trace, trace_part};
use point::{Point, Way};

/// The displaced points at which gradients are compared: the length that a tensor is taken for at least, when it is moved by a
/// part of it. At the second, tiny tensors are moved as far as if they were not, because behind them as much is hidden as
/// behind zeros.
const POINTS: [f64; 2] = [0.0, 1.0];
/// How far entries are moved at first, as a part of their tensor's size.
const FRACTION: f64 = 0.1;
/// What that is multiplied by when a loss or gradient is not finite there.
const SHRINK: f64 = 0.25;
/// How often it is.
const SHRINKS: i32 = 5;
/// Floating-point operations that a comparison at one point may take; more are done on a part of the batch.
const OPERATIONS: f64 = 5e10;
/// Into how many parts a batch is cut at most to make it fit.
const SMALLEST: usize = 1 << 20;
/// How often a gradient may be left unchecked.
pub(super) const TRIES: u32 = 5;

/// What a user asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verify {
    /// Whether gradients are compared at all.
    pub(crate) on: bool,
    /// Whether a gradient that could not be compared may be used for good.
    pub(crate) unchecked_allowed: bool,
    /// The most bytes that a comparison may hold.
    pub(crate) memory: usize,
}

impl Default for Verify {
    fn default() -> Self {
        Verify { on: true, unchecked_allowed: false, memory: 1 << 30 }
    }
}

/// What became of a comparison that found no difference.
pub(super) enum Outcome {
    /// The gradients are equal.
    Equal,
    /// They could not be compared.
    Unchecked(Unverified),
}

/// A loss whose trace is compared.
struct Comparison<'a> {
    subject: &'a Subject<'a>,
    device: &'a Device,
}

/// Compares the gradient of a trace of a loss with Burn's.
///
/// # Errors
/// [`EngineError::Verification`] where they differ.
pub(crate) fn verify(
    subject: &Subject<'_>,
    trace: &Trace,
    verify: Verify,
    device: &Device,
) -> Result<Outcome, EngineError> {
    Comparison { subject, device }.verify(trace, verify)
}

impl Comparison<'_> {
    /// Compares the gradient of a trace of this loss with Burn's.
    ///
    /// # Errors
    /// [`EngineError::Verification`] where they differ.
    pub(super) fn verify(&self, trace: &Trace, verify: Verify) -> Result<Outcome, EngineError> {
        let whole = self.prepared(trace)?;
        if self.fits(&whole, verify)? {
            return self.compare(&whole, trace, None);
        }
        let examples = Part::examples(self.subject.batch).unwrap_or(0);
        let mut cut = None;
        let mut parts = 2;
        while parts <= examples.min(SMALLEST) {
            let part = Part::of(self.subject.batch, examples / parts);
            let Subject { functions, level, batch, .. } = *self.subject;
            match trace_part(self.device, self.name(), batch, part, |tracer| functions.loss(level, tracer)) {
                Ok(trace) => {
                    let verification = self.prepared(&trace)?;
                    if self.fits(&verification, verify)? {
                        return self.compare(&verification, &trace, part);
                    }
                }
                Err(error) => {
                    cut = Some(Box::new(error));
                    break;
                }
            }
            parts *= 2;
        }
        let needed = whole.peak().map_err(|error| self.failed(error.into()))?;
        if needed <= verify.memory {
            // It only takes long.
            return self.compare(&whole, trace, None);
        }
        Ok(Outcome::Unchecked(Unverified::TooLarge { needed, allowed: verify.memory, cut }))
    }

    fn name(&self) -> &'static str {
        self.subject.name()
    }

    fn prepared(&self, trace: &Trace) -> Result<Verification, EngineError> {
        let is_parameter = |source| match source {
            LossInput::Leaf { level, index } => self.subject.levels[level].trainable.contains(&index),
            LossInput::Constant { .. } | LossInput::Batch { .. } => false,
        };
        Verification::new(trace, is_parameter).map_err(|error| self.failed(error.into()))
    }

    fn fits(&self, verification: &Verification, verify: Verify) -> Result<bool, EngineError> {
        let is_short = verification.cost().operations <= OPERATIONS;
        Ok(is_short && verification.fits(verify.memory).map_err(|error| self.failed(error.into()))?)
    }

    fn failed(&self, error: VerificationError) -> EngineError {
        match error {
            VerificationError::Graph(source) => EngineError::Graph { level: self.name().into(), source },
            VerificationError::Read(source) => source.into(),
        }
    }

    fn compare(&self, verification: &Verification, trace: &Trace, part: Option<Part>) -> Result<Outcome, EngineError> {
        let given = Point::of(self.subject.levels, self.subject.batch, trace, part)?;
        self.agree(verification, given.values(), self.subject.seed, "")?;
        let mut outcome = Outcome::Unchecked(Unverified::NotFinite);
        for (number, least) in (0..).zip(POINTS) {
            if self.compare_near(verification, &given, least, mix(self.subject.seed, number))? {
                outcome = Outcome::Equal;
            }
        }
        Ok(outcome)
    }

    /// Compares at one displaced point; answers whether one was found at which both gradients are finite.
    fn compare_near(
        &self,
        verification: &Verification,
        given: &Point,
        least: f64,
        seed: u64,
    ) -> Result<bool, EngineError> {
        for shrinks in 0..=SHRINKS {
            for way in [Way::Around, Way::Along, Way::Up, Way::Down] {
                let fraction = FRACTION * SHRINK.powi(shrinks);
                let moved = given.displaced(self.subject.levels, way, fraction, least, seed)?;
                if self.agree(verification, moved.values(), seed, " once parameters are moved a little")? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether both gradients are finite at a point, and so equal.
    fn agree(
        &self,
        verification: &Verification,
        values: &[Value],
        seed: u64,
        place: &'static str,
    ) -> Result<bool, EngineError> {
        let level = self.name();
        match verification.at(values, seed).map_err(|error| self.failed(error))? {
            Agreement::NotFinite => Ok(false),
            Agreement::Equal { difference } => {
                tracing::debug!(level, difference, "verified a loss against Burn's autodiff{place}");
                Ok(true)
            }
            Agreement::Different { leaf, difference, rounding } => {
                let parameter = match leaf {
                    LossInput::Leaf { level, index } => self.subject.levels[level].path(index),
                    LossInput::Constant { level, index } => self.subject.levels[level].constant(index),
                    LossInput::Batch { .. } => "batch".into(),
                };
                Err(EngineError::Verification {
                    level: level.into(),
                    parameter,
                    difference,
                    tolerance: rounding,
                    place,
                })
            }
        }
    }
}
