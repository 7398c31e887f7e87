//! Whether the gradient of a new trace is Burn's: at the parameters as they are, and at others near them.
//!
//! At the parameters alone a comparison can say too little: where a head or a factor is zero, everything behind it has gradient
//! zero in both, and a `detach` there is not seen. So both gradients are compared at displaced parameters as well.

use super::point::Point;
use super::source::Source;
use super::{Agreement, Unverified, Verification, VerificationError};
use crate::execute::{Value, mix};
use crate::graph::GraphError;
use crate::panic::caught;
use crate::trace::{LossInput, Part, Trace};

/// The displaced points at which gradients are compared: the length that a tensor is taken for at least, when it is moved by a
/// part of it. At the second, tiny tensors are moved as far as if they were not, because behind them as much is hidden as
/// behind zeros.
const POINTS: [f64; 2] = [0.0, 1.0];
/// Floating-point operations that a comparison at one point may take; more are done on a part of the batch.
const OPERATIONS: f64 = 5e10;
/// Into how many parts a batch is cut at most to make it fit.
const SMALLEST: usize = 1 << 20;

/// How much memory there is for a comparison at least.
const LEAST: usize = 1 << 30;
/// How often there is room for the tensors that are no batch.
const TIMES: usize = 10;

/// What became of a comparison.
pub(crate) enum Compared {
    /// The gradients are equal.
    Equal,
    /// They are not.
    Different(Difference),
    /// They could not be compared.
    Unchecked(Unverified),
}

/// Where two gradients lie apart.
pub(crate) struct Difference {
    /// The tensor where they lie furthest apart.
    pub(crate) leaf: LossInput,
    /// How far, relative to the larger of both norms.
    pub(crate) difference: f64,
    /// What rounding can explain of it.
    pub(crate) rounding: f64,
    /// Where that was seen, if not at the parameters as they are.
    pub(crate) place: &'static str,
}

/// A comparison that holds no more than is allowed, with draws as `seed` decides.
pub(crate) struct Comparison<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) seed: u64,
    pub(crate) memory: Memory,
}

/// How many bytes a comparison may hold, if somebody says so.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory(pub(crate) Option<usize>);

impl Memory {
    /// The bytes for this trace: where nobody says anything, as many as its tensors need that are no batch, several times in
    /// double precision (themselves, two gradients, what leads to those), and 1 GiB at least.
    pub(crate) fn bytes(self, trace: &Trace) -> usize {
        let is_batch = |source: LossInput| matches!(source, LossInput::Batch { .. });
        let given = trace.inputs.iter().filter(|&&(source, _)| !is_batch(source));
        let numbers = given.map(|&(_, node)| trace.graph.shape(node).iter().product::<usize>());
        self.of_numbers(numbers.sum())
    }

    fn of_numbers(self, numbers: usize) -> usize {
        self.0.unwrap_or_else(|| numbers.saturating_mul(TIMES * size_of::<f64>()).max(LEAST))
    }
}

impl Comparison<'_> {
    /// Compares the gradient of a trace of this loss with Burn's.
    ///
    /// # Errors
    /// [`VerificationError`] where a gradient cannot be computed.
    pub(crate) fn compare(&self, trace: &Trace) -> Result<Compared, VerificationError> {
        let memory = self.memory.bytes(trace);
        let whole = self.prepared(trace)?;
        if self.fits(&whole, memory)? {
            return self.on_part(&whole, trace, None);
        }
        let batch = self.source.batch();
        let examples = Part::examples(batch).unwrap_or(0);
        let (mut cut, mut least) = (None, None);
        let mut parts = 2;
        while parts <= examples.min(SMALLEST) {
            let part = Part::of(batch, examples / parts);
            match self.source.record(part) {
                Ok(trace) => {
                    let verification = self.prepared(&trace)?;
                    let is_last = parts > examples / 2;
                    if is_last {
                        least = Some(verification.peak()?);
                    }
                    // One example is compared however long that takes.
                    if self.fits(&verification, memory)? || least.is_some_and(|least| least <= memory) {
                        match caught(|| self.on_part(&verification, &trace, part)) {
                            Ok(compared) => return compared,
                            // Its tensors point into each other: indices into examples that the part leaves out.
                            Err(panic) => {
                                cut = Some(format!("the loss cannot be computed: {panic}"));
                                break;
                            }
                        }
                    }
                }
                Err(error) => {
                    cut = Some(error.to_string());
                    break;
                }
            }
            parts *= 2;
        }
        let needed = whole.peak()?;
        if needed <= memory {
            // It only takes long.
            return self.on_part(&whole, trace, None);
        }
        Ok(Compared::Unchecked(Unverified::TooLarge { needed, least, allowed: memory, cut }))
    }

    fn prepared(&self, trace: &Trace) -> Result<Verification, GraphError> {
        Verification::new(trace, |input| self.source.is_parameter(input))
    }

    fn fits(&self, verification: &Verification, memory: usize) -> Result<bool, GraphError> {
        Ok(verification.cost().operations <= OPERATIONS && verification.fits(memory)?)
    }

    fn on_part(
        &self,
        verification: &Verification,
        trace: &Trace,
        part: Option<Part>,
    ) -> Result<Compared, VerificationError> {
        let given = Point::of(self.source, trace, part)?;
        if let Agreed::Different(difference) = agree(verification, given.values(), self.seed, "")? {
            return Ok(Compared::Different(difference));
        }
        let mut found = Compared::Unchecked(Unverified::NotFinite);
        for (number, least) in (0..).zip(POINTS) {
            match self.near(verification, &given, least, mix(self.seed, number))? {
                Agreed::Equal => found = Compared::Equal,
                Agreed::Different(difference) => return Ok(Compared::Different(difference)),
                Agreed::NotFinite => {}
            }
        }
        Ok(found)
    }

    /// Compares at one displaced point at which both gradients can be computed and are finite, if one is found.
    fn near(
        &self,
        verification: &Verification,
        given: &Point,
        least: f64,
        seed: u64,
    ) -> Result<Agreed, VerificationError> {
        for moved in given.near(self.source, least, seed) {
            let moved = moved?;
            // Where parameters become indices, they may point beyond the end there.
            let agreed = caught(|| agree(verification, moved.values(), seed, " once parameters are moved a little"));
            match agreed.unwrap_or(Ok(Agreed::NotFinite))? {
                Agreed::NotFinite => {}
                found => return Ok(found),
            }
        }
        Ok(Agreed::NotFinite)
    }
}

/// What two gradients at one point say.
enum Agreed {
    Equal,
    Different(Difference),
    NotFinite,
}

fn agree(
    verification: &Verification,
    values: &[Value],
    seed: u64,
    place: &'static str,
) -> Result<Agreed, VerificationError> {
    Ok(match verification.at(values, seed)? {
        Agreement::NotFinite => Agreed::NotFinite,
        Agreement::Equal { difference } => {
            tracing::debug!(difference, "verified a loss against Burn's autodiff{place}");
            Agreed::Equal
        }
        Agreement::Different { leaf, difference, rounding } => {
            Agreed::Different(Difference { leaf, difference, rounding, place })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_models_are_compared_without_being_asked_for() {
        assert_eq!(Memory(None).of_numbers(1_000_000), LEAST);
        // The parameters, our gradient, Burn's and the rounded one of a network of a hundred million.
        assert!(Memory(None).of_numbers(100_000_000) >= 5 * 8 * 100_000_000);
        assert_eq!(Memory(Some(600)).of_numbers(100_000_000), 600);
    }
}
