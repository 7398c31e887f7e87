//! Whether the gradient of a new trace is Burn's: at the parameters as they are, and at others near them.
//!
//! At the parameters alone a comparison can say too little: where a head or a factor is zero, everything behind it has gradient
//! zero in both, and a `detach` there is not seen. So both gradients are compared at displaced parameters as well.

use super::point::Point;
use super::source::Source;
use super::{Agreement, Unverified, Verification, VerificationError};
use crate::execute::mix;
use crate::graph::GraphError;
use crate::panic::caught;
use crate::trace::{LossInput, Part, Trace};

/// The displaced points at which gradients are compared: the length that a tensor is taken for at least, when it is moved by a
/// part of it. At the second, tiny tensors are moved as far as if they were not, because behind them as much is hidden as
/// behind zeros.
const POINTS: [f64; 2] = [0.0, 1.0];
/// Floating-point operations that a comparison at one point may take; more are done on a part of the batch.
pub(crate) const OPERATIONS: f64 = 5e10;
/// So many examples are compared however long that takes. What a loss makes of examples together can be missing from the gradient of
/// one: a softmax over one candidate is constant, and one number has no variance.
const FEW: usize = 4;
/// How often a batch is halved at most to make it fit.
const HALVINGS: usize = 20;

/// How much memory there is for a comparison at least.
const LEAST: usize = 1 << 30;
/// How often there is room for the tensors that are no batch.
const TIMES: usize = 10;

/// What became of a comparison.
pub(crate) enum Compared {
    /// The gradients are equal.
    Equal {
        /// Whether both vanish, so that this says nothing of batches of other sizes.
        vanish: bool,
    },
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
    /// How many operations it should take at one point.
    pub(crate) operations: f64,
}

/// What a comparison on a part of the batch came to.
enum OnPart {
    Answer(Compared),
    /// Both gradients vanish, which says nothing of the whole.
    Vanish,
    /// No point was found at which they are finite.
    NotFinite,
    TooLarge,
    /// The loss cannot be computed there.
    Broken(String),
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

impl OnPart {
    /// Why it is no answer on so many examples.
    fn reason(self, kept: usize) -> Option<String> {
        let examples = if kept == 1 { "1 example".to_owned() } else { format!("{kept} examples") };
        match self {
            OnPart::Vanish => Some(format!("the gradient of {examples} vanishes, which says nothing")),
            OnPart::NotFinite => Some(format!("the gradient of {examples} is not finite")),
            OnPart::Broken(reason) => Some(reason),
            OnPart::Answer(_) | OnPart::TooLarge => None,
        }
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
        if whole.cost().operations <= self.operations && whole.fits(memory)? {
            return self.at_points(&whole, trace, None, true);
        }
        let batch = self.source.batch();
        let sizes = sizes(Part::examples(batch).unwrap_or(0));
        let (mut cut, mut larger, mut near) = (None, &sizes[..0], true);
        for (place, &kept) in sizes.iter().enumerate() {
            let operations = if kept <= FEW { f64::INFINITY } else { self.operations };
            let found = self.on_part(kept, memory, operations, near)?;
            near = !matches!(found, OnPart::NotFinite);
            match found {
                OnPart::Answer(compared) => return Ok(compared),
                OnPart::TooLarge => continue,
                OnPart::Vanish | OnPart::NotFinite => larger = &sizes[..place],
                OnPart::Broken(_) => {}
            }
            cut = found.reason(kept);
            break;
        }
        // What says nothing on few examples is compared on more, however long that takes.
        for &kept in larger.iter().rev() {
            match self.on_part(kept, memory, f64::INFINITY, near)? {
                OnPart::Answer(compared) => return Ok(compared),
                OnPart::TooLarge | OnPart::Broken(_) => break,
                found => cut = found.reason(kept),
            }
        }
        let needed = whole.peak()?;
        if needed <= memory {
            // It only takes long.
            return self.at_points(&whole, trace, None, near);
        }
        let least = match (&cut, sizes.last()) {
            (None, Some(&least)) => self.needed(least)?,
            _ => None,
        };
        Ok(Compared::Unchecked(Unverified::TooLarge { needed, least, allowed: memory, cut }))
    }

    /// Compares on the first examples, if that takes no more than so much.
    fn on_part(&self, kept: usize, memory: usize, operations: f64, near: bool) -> Result<OnPart, VerificationError> {
        let part = Part::of(self.source.batch(), kept);
        let trace = match self.source.record(part) {
            Ok(trace) => trace,
            Err(error) => return Ok(OnPart::Broken(error.to_string())),
        };
        let verification = self.prepared(&trace)?;
        if verification.cost().operations > operations || !verification.fits(memory)? {
            return Ok(OnPart::TooLarge);
        }
        Ok(match caught(|| self.at_points(&verification, &trace, part, near)) {
            Ok(compared) => match compared? {
                Compared::Equal { vanish: true } => OnPart::Vanish,
                Compared::Unchecked(_) => OnPart::NotFinite,
                answer => OnPart::Answer(answer),
            },
            // Its tensors point into each other: indices into examples that the part leaves out.
            Err(panic) => OnPart::Broken(format!("the loss cannot be computed: {panic}")),
        })
    }

    /// How many bytes a comparison on the first examples takes, if it can be made.
    fn needed(&self, kept: usize) -> Result<Option<usize>, GraphError> {
        let trace = self.source.record(Part::of(self.source.batch(), kept));
        trace.ok().map(|trace| self.prepared(&trace)?.peak()).transpose()
    }

    fn prepared(&self, trace: &Trace) -> Result<Verification, GraphError> {
        Verification::new(trace, |input| self.source.is_parameter(input))
    }

    /// Compares at the parameters as they are and near them; not there if `near` says so and nothing is finite here.
    fn at_points(
        &self,
        verification: &Verification,
        trace: &Trace,
        part: Option<Part>,
        near: bool,
    ) -> Result<Compared, VerificationError> {
        let given = Point::of(self.source, trace, part)?;
        let mut points = Points { verification, is_part: part.is_some(), vanish: true, only_ours: false };
        let near = match points.agree(&given, self.seed, "")? {
            Agreed::Different(difference) => return Ok(Compared::Different(difference)),
            Agreed::Equal => true,
            Agreed::NotFinite => near,
        };
        let mut is_found = false;
        for (number, least) in (0..).zip(POINTS).take_while(|_| near) {
            let seed = mix(self.seed, number);
            let near = given.near(self.source, least, seed);
            match points.first(near, seed, " once parameters are moved a little", true)? {
                Agreed::Equal => is_found = true,
                Agreed::Different(difference) => return Ok(Compared::Different(difference)),
                Agreed::NotFinite => {}
            }
        }
        if is_found {
            return Ok(Compared::Equal { vanish: points.vanish });
        }
        if !points.only_ours {
            return Ok(Compared::Unchecked(Unverified::NotFinite));
        }
        // Near the parameters a rule of Burn's meets numbers of the batch that it answers no number for.
        let elsewhere = given.elsewhere(self.source, self.seed);
        Ok(match points.first(elsewhere, self.seed, " once parameters and batch are moved", false)? {
            Agreed::Equal => Compared::Equal { vanish: points.vanish },
            Agreed::Different(difference) => Compared::Different(difference),
            Agreed::NotFinite => Compared::Unchecked(Unverified::BurnNotFinite),
        })
    }
}

/// What two gradients at one point say.
enum Agreed {
    Equal,
    Different(Difference),
    NotFinite,
}

/// Points at which gradients are compared.
struct Points<'a> {
    verification: &'a Verification,
    /// Whether they are of a part of the batch, so that zeros are looked at more closely.
    is_part: bool,
    /// Whether both gradients vanished wherever they were equal.
    vanish: bool,
    /// Whether somewhere ours was finite, and Burn's was not.
    only_ours: bool,
}

impl Points<'_> {
    /// Compares at the first of these points at which both gradients can be computed and are finite, if there is one; if zeros are
    /// not `enough`, rather at one where they do not vanish.
    fn first(
        &mut self,
        points: impl Iterator<Item = Result<Point, VerificationError>>,
        seed: u64,
        place: &'static str,
        enough: bool,
    ) -> Result<Agreed, VerificationError> {
        let mut zeros = Agreed::NotFinite;
        for moved in points {
            let moved = moved?;
            // Where numbers become indices, they may point beyond the end there.
            let agreed = caught(|| self.agree(&moved, seed, place));
            match agreed.unwrap_or(Ok(Agreed::NotFinite))? {
                Agreed::NotFinite => {}
                Agreed::Equal if self.vanish && !enough => zeros = Agreed::Equal,
                found => return Ok(found),
            }
        }
        Ok(zeros)
    }

    fn agree(&mut self, point: &Point, seed: u64, place: &'static str) -> Result<Agreed, VerificationError> {
        Ok(match self.verification.at(point.values(), seed)? {
            Agreement::NotFinite { ours_is_finite } => {
                self.only_ours |= ours_is_finite;
                Agreed::NotFinite
            }
            Agreement::Equal { difference, zero } => {
                tracing::debug!(difference, "verified a loss against Burn's autodiff{place}");
                self.vanish &= zero || self.is_part && self.verification.vanishes(point.values(), seed)?;
                Agreed::Equal
            }
            Agreement::Different { leaf, difference, rounding } => {
                Agreed::Different(Difference { leaf, difference, rounding, place })
            }
        })
    }
}

/// How many examples are tried, so many or less each time, of a batch of more.
fn sizes(examples: usize) -> Vec<usize> {
    let halved = std::iter::successors(Some(examples / 2), |size| Some(size / 2)).take(HALVINGS);
    let few = (1..=FEW.min(examples.saturating_sub(1))).rev();
    halved.take_while(|&size| size > FEW).chain(few).collect()
}

#[cfg(test)]
mod tests;
