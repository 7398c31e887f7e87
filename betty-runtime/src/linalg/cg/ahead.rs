//! The same iteration where inner products are not at hand: it goes on by numbers that nobody knows yet, and what would have ended it is
//! found out every few iterations.
//!
//! Once `⟨r, r⟩` is small enough, `α` and `β` are 0: the answer stays what it was, however long nobody looks. All else that an iteration
//! is watched for is read off the same numbers afterwards; where something is doubtful, the answer is not used.

use super::super::ahead::{Unread, Verdict, is_asked};
use super::super::guess::begin_unread;
use super::super::operator::{apply_damped, unread};
use super::super::preconditioner::{Checked, Positive, Told};
use super::super::rounded::reachable;
use super::super::{InnerProductSpace, LinearOperator, Outcome, Scalar as _, Solution, SolveError};
use super::{CgOptions, Flatness};

/// The solution, or none where numbers have to be looked at one by one.
pub(super) fn run<A: LinearOperator + ?Sized>(
    operator: &mut A,
    mut preconditioner: Option<Checked<'_, A>>,
    b: &A::Vector,
    guess: Option<A::Vector>,
    (options, every): (&CgOptions, usize),
) -> Result<Option<Solution<A::Vector>>, SolveError<A::Error>> {
    let tolerance = reachable(options.tolerance, b);
    let squared = unread::<A>(b, b)?;
    let begun = begin_unread(operator, options.damping, b, guess, &squared)?;
    let Some(begun) = begun else { return Ok(None) };
    let limit = squared.clone() * (tolerance * tolerance).into();
    let mut watch = Watch::new(b, options.iterations, (squared, limit.clone()));
    let mut state = State { x: begun.x, r: begun.r, rr: begun.square, prepared: None, p: b.zero() };
    if let Err(error) = state.start(operator, &mut preconditioner, &mut watch) {
        return watch.after(error, state.x);
    }
    for iterations in 0..=options.iterations {
        if is_asked(iterations, every, options.iterations) {
            match watch.look::<A::Error>()? {
                Verdict::Going => {}
                Verdict::Over(outcome) => return Ok(Some(watch.solution(state.x, outcome))),
                Verdict::Doubtful => return Ok(None),
            }
        }
        let is_last = iterations + 1 == options.iterations;
        if let Err(error) = state.step(operator, &mut preconditioner, (options.damping, &limit, is_last), &mut watch) {
            return watch.after(error, state.x);
        }
    }
    Ok(None)
}

/// Where the iteration stands.
struct State<V: InnerProductSpace> {
    x: V,
    r: V,
    /// `⟨r, r⟩`
    rr: V::Scalar,
    /// `P⁻¹·r`, and `⟨r, P⁻¹·r⟩`
    prepared: Option<(V, V::Scalar)>,
    p: V,
}

impl<V: InnerProductSpace> State<V> {
    fn start<A: LinearOperator<Vector = V> + ?Sized>(
        &mut self,
        operator: &mut A,
        preconditioner: &mut Option<Checked<'_, A>>,
        watch: &mut Watch<'_, V>,
    ) -> Result<(), SolveError<A::Error>> {
        self.prepare(operator, preconditioner, watch)?;
        self.p = self.prepared.as_ref().map_or(&self.r, |(z, _)| z).clone();
        Ok(())
    }

    /// Preconditions the residual, and tells of both.
    fn prepare<A: LinearOperator<Vector = V> + ?Sized>(
        &mut self,
        operator: &mut A,
        preconditioner: &mut Option<Checked<'_, A>>,
        watch: &mut Watch<'_, V>,
    ) -> Result<(), SolveError<A::Error>> {
        let mut told = None;
        self.prepared = match preconditioner {
            None => None,
            Some(preconditioner) => {
                let (z, of_both) = preconditioner.precondition_unread(operator, &self.r)?;
                told = of_both;
                let rz = unread::<A>(&self.r, &z)?;
                Some((z, rz))
            }
        };
        let rz = self.prepared.as_ref().map(|(_, rz)| rz.clone());
        watch.events.push(Event::Residual(self.rr.clone(), told, rz));
        Ok(())
    }

    fn step<A: LinearOperator<Vector = V> + ?Sized>(
        &mut self,
        operator: &mut A,
        preconditioner: &mut Option<Checked<'_, A>>,
        (damping, limit, is_last): (f64, &V::Scalar, bool),
        watch: &mut Watch<'_, V>,
    ) -> Result<(), SolveError<A::Error>> {
        let product = apply_damped(operator, damping, &self.p)?;
        let curvature = unread::<A>(&self.p, &product)?;
        watch.events.push(Event::Curvature(curvature.clone()));
        let rz = self.prepared.as_ref().map_or(&self.rr, |(_, rz)| rz).clone();
        let alpha = (rz.clone() / curvature).while_above(&self.rr, limit);
        self.x.add_scaled(alpha.clone(), &self.p);
        self.r.add_scaled(-alpha, &product);
        self.rr = unread::<A>(&self.r, &self.r)?;
        if is_last {
            watch.events.push(Event::Residual(self.rr.clone(), None, None));
            return Ok(());
        }
        self.prepare(operator, preconditioner, watch)?;
        let (z, next) = self.prepared.as_ref().map_or((&self.r, &self.rr), |(z, rz)| (z, rz));
        // Where nothing is left, directions stay as short as residuals.
        let beta = (next.clone() / rz).while_above(&self.rr, limit);
        self.p.combine(beta, (1.0).into(), z);
        Ok(())
    }
}

/// Numbers of an iteration that are read later.
enum Event<S> {
    /// `⟨r, r⟩`, and of a preconditioner what it is checked by, and `⟨r, P⁻¹·r⟩`.
    Residual(S, Option<[S; Told::NUMBERS]>, Option<S>),
    /// `⟨p, A·p⟩`
    Curvature(S),
}

/// What the iteration is watched by.
struct Watch<'b, V: InnerProductSpace> {
    b: &'b V,
    most: usize,
    events: Vec<Event<V::Scalar>>,
    /// `⟨b, b⟩`, and what of it a residual may be, before and after they were read.
    bounds: (V::Scalar, V::Scalar),
    known: Option<(f64, f64)>,
    /// Iterations that were looked at.
    iterations: usize,
    /// The last `⟨r, P⁻¹·r⟩`.
    rz: f64,
    flatness: Flatness,
    largest: Positive,
}

impl<'b, V: InnerProductSpace> Watch<'b, V> {
    fn new(b: &'b V, most: usize, bounds: (V::Scalar, V::Scalar)) -> Self {
        let (flatness, largest) = (Flatness::default(), Positive::default());
        Watch { b, most, events: Vec::new(), bounds, known: None, iterations: 0, rz: 0.0, flatness, largest }
    }

    /// What all that happened since the last time comes to.
    fn look<E: From<V::Error>>(&mut self) -> Result<Verdict<Outcome>, SolveError<E>> {
        let mut unread = Unread::<V>::new();
        if self.known.is_none() {
            unread.extend([self.bounds.0.clone(), self.bounds.1.clone()]);
        }
        for event in &self.events {
            match event {
                Event::Residual(rr, told, rz) => {
                    unread.extend([rr.clone()]);
                    unread.extend(told.iter().flatten().cloned());
                    unread.extend(rz.iter().cloned());
                }
                Event::Curvature(curvature) => unread.extend([curvature.clone()]),
            }
        }
        let mut numbers = unread.read::<E>()?;
        let mut next = || numbers.next().unwrap_or(f64::NAN);
        let (scale, limit) = match self.known {
            Some(known) => known,
            None => *self.known.insert((next(), next())),
        };
        if scale == 0.0 {
            return Ok(Verdict::Over(Outcome::TRIVIAL));
        }
        let mut over = None;
        for event in std::mem::take(&mut self.events) {
            let verdict = match event {
                Event::Residual(_, told, rz) => {
                    let square = next();
                    let told = told.map(|told| told.map(|_| next()));
                    let rz = rz.map(|_| next());
                    if over.is_some() {
                        continue;
                    }
                    self.residual((scale, limit), square, told, rz)
                }
                Event::Curvature(_) => {
                    let curvature = next();
                    // Along no multiple of a direction that is not finite does the answer stay what it was.
                    match over {
                        Some(_) if curvature.is_finite() => continue,
                        Some(_) => Verdict::Doubtful,
                        None => self.curvature(curvature),
                    }
                }
            };
            match verdict {
                Verdict::Going => {}
                Verdict::Over(outcome) => over = Some(outcome),
                Verdict::Doubtful => return Ok(Verdict::Doubtful),
            }
        }
        Ok(over.map_or(Verdict::Going, Verdict::Over))
    }

    fn residual(
        &mut self,
        (scale, limit): (f64, f64),
        square: f64,
        told: Option<[f64; Told::NUMBERS]>,
        rz: Option<f64>,
    ) -> Verdict<Outcome> {
        if !(scale.is_finite() && square.is_finite()) || told.is_some_and(|told| !Told::is_fine(told)) {
            return Verdict::Doubtful;
        }
        let (iterations, converged) = (self.iterations, square <= limit);
        if converged || iterations == self.most {
            return Verdict::Over(Outcome { iterations, residual: (square / scale).sqrt(), converged });
        }
        self.rz = rz.unwrap_or(square);
        let is_positive =
            rz.is_none_or(|rz| rz.is_finite() && self.largest.check::<()>(rz, square, iterations).is_ok());
        if is_positive { Verdict::Going } else { Verdict::Doubtful }
    }

    fn curvature(&mut self, curvature: f64) -> Verdict<Outcome> {
        self.iterations += 1;
        let is_fine = curvature.is_finite() && !self.flatness.is_flat(curvature, self.rz, self.b) && curvature > 0.0;
        if is_fine { Verdict::Going } else { Verdict::Doubtful }
    }

    /// The answer at the end, `x` being where the iteration got to.
    fn solution(&self, x: V, outcome: Outcome) -> Solution<V> {
        let is_trivial = self.known.is_some_and(|(scale, _)| scale == 0.0);
        Solution { x: if is_trivial { self.b.zero() } else { x }, outcome }
    }

    /// What an error comes to that nobody would have met who had looked in time.
    fn after<E: From<V::Error>>(mut self, error: SolveError<E>, x: V) -> Result<Option<Solution<V>>, SolveError<E>> {
        match self.look::<E>()? {
            Verdict::Going => Err(error),
            Verdict::Over(outcome) => Ok(Some(self.solution(x, outcome))),
            Verdict::Doubtful => Ok(None),
        }
    }
}
