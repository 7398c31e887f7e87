//! What the comparison of a hypergradient with a reference found, and what can be said of it.

use std::fmt::{self, Display, Formatter};

use crate::linalg::Spectrum;

/// How good a hypergradient is: the chosen methods against the derivative of the best responses themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct HypergradientCheck {
    /// The level.
    pub level: &'static str,
    /// Norm of the total gradient by the chosen methods.
    pub norm: f64,
    /// Norm of the total gradient by the reference.
    pub reference_norm: f64,
    /// `‖chosen − reference‖ / ‖reference‖`; not a number where both vanish, as the cosine.
    pub relative_error: f64,
    /// Cosine of the angle between both: 1 where they point the same way.
    pub cosine: f64,
    /// The levels that it passes through.
    pub responses: Vec<ResponseCheck>,
}

/// What was seen of one best response.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseCheck {
    /// The level.
    pub level: &'static str,
    /// The chosen method.
    pub method: &'static str,
    /// The reference method, without damping.
    pub reference: &'static str,
    /// Relative residual that the chosen method reports, if it knows it.
    pub residual: Option<f64>,
    /// Relative residual of the reference, measured; not a number where there was nothing to solve.
    pub reference_residual: f64,
    /// The ends of the spectrum of the (reduced) Hessian, from within; not numbers where the answer is a fixed point, whose matrix
    /// is not symmetric.
    pub spectrum: Spectrum,
    /// Norm of the level's total gradient, which vanishes at a best response; where that is a fixed point, `‖θ − T(θ)‖`.
    pub gradient_norm: f64,
    /// Length of a Newton step relative to the parameters: about how far the level is from its best response, or at least
    /// where the reference did not converge.
    pub distance: f64,
}

/// A reference with a larger residual than this is no measure for others.
const CONVERGED: f64 = 1e-3;

/// An end of a spectrum with a smaller error than this, relative to its value, is where it is seen.
const FOUND: f64 = 0.1;

impl HypergradientCheck {
    /// Whether the reference solved all systems, so that the error and the cosine say how good the chosen methods are.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        self.responses.iter().all(ResponseCheck::has_reference)
    }
}

impl ResponseCheck {
    /// Whether the reference solved the level's system.
    #[must_use]
    pub fn has_reference(&self) -> bool {
        // Where there was nothing to solve, nothing can be wrong.
        self.reference_residual.is_nan() || self.reference_residual <= CONVERGED
    }

    /// What the condition number, largest over smallest eigenvalue, is at least; infinite where the Hessian does not curve
    /// upwards by more than rounding errors say, and not a number where no spectrum is known.
    #[must_use]
    pub fn condition(&self) -> f64 {
        let Spectrum { smallest, largest, rounding, .. } = self.spectrum;
        if largest.value <= 0.0 || smallest.value < -rounding {
            f64::INFINITY
        } else if rounding <= FOUND * smallest.value {
            largest.value / smallest.value
        } else {
            largest.value / (smallest.value + rounding)
        }
    }
}

impl Display for HypergradientCheck {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.responses.iter().find(|response| !response.has_reference()) {
            None if self.norm == 0.0 && self.reference_norm == 0.0 => {
                writeln!(f, "the hypergradient of `{}` vanishes, as the reference does", self.level)?;
                write!(f, "  ")?;
            }
            None => {
                writeln!(f, "the hypergradient of `{}` {}", self.level, self.verdict())?;
                write!(f, "  relative error {:.1e}, cosine {:.4}, ", self.relative_error, self.cosine)?;
            }
            Some(response) => {
                writeln!(
                    f,
                    "the hypergradient of `{}` cannot be judged: the reference did not converge through `{}`; compare it with \
                     differences of whole runs, or add a penalty to the loss of `{}`",
                    self.level, response.level, response.level
                )?;
                write!(f, "  ")?;
            }
        }
        writeln!(f, "norm {:.3e} against {:.3e}", self.norm, self.reference_norm)?;
        self.responses.iter().try_for_each(|response| write!(f, "{response}"))
    }
}

impl HypergradientCheck {
    fn verdict(&self) -> &'static str {
        match (self.relative_error, self.cosine) {
            (error, _) if error < 1e-2 => "agrees with the reference",
            (_, cosine) if cosine > 0.95 => "points the right way, but its length is off",
            (_, cosine) if cosine > 0.5 => "points roughly the right way",
            _ => "does not point the right way; try a more exact method",
        }
    }
}

impl Display for ResponseCheck {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "through `{}` by {}, reference {}", self.level, self.method, self.reference)?;
        match self.residual {
            Some(residual) => write!(f, "  residual {residual:.1e}")?,
            None => write!(f, "  residual unknown")?,
        }
        writeln!(f, ", of the reference {:.1e}", self.reference_residual)?;
        if !self.spectrum.smallest.value.is_nan() {
            self.write_spectrum(f)?;
        }
        let advice = if self.distance < 1e-2 { "" } else { "; let it converge further, with a larger `unroll` say" };
        let about = if self.has_reference() { "about" } else { "at least" };
        writeln!(
            f,
            "  gradient norm {:.1e}, {about} {:.1e} of its parameters away from its best response{advice}",
            self.gradient_norm, self.distance
        )
    }
}

impl ResponseCheck {
    fn write_spectrum(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Spectrum { smallest, largest, rounding, .. } = self.spectrum;
        let found = |value: f64, error: f64| error <= FOUND * value.abs();
        let at_most = if found(smallest.value, smallest.error) { "" } else { "at most " };
        let at_least = if found(largest.value, largest.error) { "" } else { "at least " };
        write!(f, "  eigenvalues from {at_most}{:.2e} to {at_least}{:.2e}", smallest.value, largest.value)?;
        if smallest.value > rounding {
            let bound = if at_most.is_empty() { at_least } else { "at least " };
            writeln!(f, ", condition {bound}{:.1e}", self.condition())
        } else {
            let damping = self.spectrum.damping();
            let what = match smallest.value < -rounding || largest.value <= 0.0 {
                true => "not positive definite here",
                false => "whether it is positive definite is lost in rounding errors here",
            };
            writeln!(f, ": {what}; damp by {damping:.1e}, or use minres or gmres")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::End;

    /// What is said of a spectrum from here to 1, known to this error, of which so much is rounding.
    fn said(smallest: f64, error: f64, rounding: f64) -> (String, f64) {
        let (smallest, largest) = (End { value: smallest, error }, End { value: 1.0, error: rounding });
        let check = ResponseCheck {
            level: "x",
            method: "cg",
            reference: "dense",
            residual: None,
            reference_residual: 1e-7,
            spectrum: Spectrum { smallest, largest, rounding, products: 30 },
            gradient_norm: 0.0,
            distance: 0.0,
        };
        let text = check.to_string();
        (text.lines().nth(2).unwrap_or_default().trim().to_owned(), check.condition())
    }

    #[test]
    fn the_sign_of_rounding_errors_is_no_fact() {
        let single = 1e-6;
        for (smallest, error, expected) in [
            (0.5, single, "eigenvalues from 5.00e-1 to 1.00e0, condition 2.0e0"),
            (0.5, 0.2, "eigenvalues from at most 5.00e-1 to 1.00e0, condition at least 2.0e0"),
            (
                -2.1e-9,
                single,
                "eigenvalues from at most -2.10e-9 to 1.00e0: whether it is positive definite is lost in rounding errors here; damp by \
                 1.0e-3, or use minres or gmres",
            ),
            (
                -0.01,
                single,
                "eigenvalues from -1.00e-2 to 1.00e0: not positive definite here; damp by 2.0e-2, or use minres or gmres",
            ),
            // Not there yet, but below 0 for sure.
            (
                -0.01,
                0.1,
                "eigenvalues from at most -1.00e-2 to 1.00e0: not positive definite here; damp by 2.2e-1, or use minres or gmres",
            ),
        ] {
            assert_eq!(said(smallest, error, single).0, expected);
        }
        assert_eq!(said(-0.01, single, single).1, f64::INFINITY);
        // It may be as large as rounding errors are.
        assert!((said(0.0, single, single).1 - 1e6).abs() < 1e-6);
        assert!((said(0.5, single, single).1 - 2.0).abs() < 1e-12);
    }
}
