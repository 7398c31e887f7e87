//! The same iteration where inner products are not at hand: its rotations are numbers that nobody knows yet, and what would have ended it
//! is found out every few iterations.
//!
//! Once the recurrence's residual is small enough, the answer stays what it was. The true one is formed then, and where it is on the way;
//! where something is doubtful, the answer is not used.

use super::super::ahead::is_asked;
use super::super::guess::begin_unread;
use super::super::operator::{apply_damped, unread};
use super::super::preconditioner::Checked;
use super::super::rounded::reachable;
use super::super::{InnerProductSpace, LinearOperator, Scalar as _, Solution, SolveError};
use super::watch::{Event, Look, Watch};
use super::{MinresOptions, is_measured};

type NumberOf<A> = <<A as LinearOperator>::Vector as InnerProductSpace>::Scalar;

/// The solution, or none where numbers have to be looked at one by one.
pub(super) fn run<A: LinearOperator + ?Sized>(
    operator: &mut A,
    mut preconditioner: Option<Checked<'_, A>>,
    b: &A::Vector,
    guess: Option<A::Vector>,
    (options, every): (&MinresOptions, usize),
) -> Result<Option<Solution<A::Vector>>, SolveError<A::Error>> {
    let MinresOptions { iterations: most, damping, .. } = *options;
    let tolerance = reachable(options.tolerance, b);
    let squared = unread::<A>(b, b)?;
    let Some(begun) = begin_unread(operator, damping, b, guess, &squared)? else { return Ok(None) };
    let limit = squared.clone() * (tolerance * tolerance).into();
    let guess = begun.is_guess.then(|| begun.x.clone());
    let mut watch = Watch::new(b, (most, tolerance), guess, (squared, limit.clone()));
    let (one, zero) = (|| NumberOf::<A>::from(1.0), || NumberOf::<A>::from(0.0));
    let mut state = State {
        x: begun.x,
        v: begun.r.clone(),
        previous: b.zero(),
        w: b.zero(),
        w_previous: b.zero(),
        beta: zero(),
        eta: begun.square.sqrt(),
        rotation: (one(), zero()),
        rotation_previous: (one(), zero()),
        claimed: begun.square.sqrt(),
        measure: begun.square,
        prepared: None,
    };
    let mut stepped = state.start(operator, &mut preconditioner, &mut watch);
    for iterations in 0..=most {
        if stepped.is_ok() {
            watch.note(Event::Claim(state.claimed.clone(), state.measure.clone()));
            if iterations > 0 && (iterations == most || is_measured(iterations)) {
                stepped = state.measured(operator, damping, b).map(|event| watch.note(event));
            }
        }
        if stepped.is_err() || is_asked(iterations, every, most) {
            let mut look = watch.look::<A::Error>()?;
            if matches!(look, Look::Claimed) {
                let event = state.measured(operator, damping, b)?;
                watch.note(event);
                look = watch.look::<A::Error>()?;
            }
            match look {
                Look::Going => stepped?,
                Look::Over(solution) => return Ok(Some(solution)),
                Look::Claimed | Look::Doubtful => return Ok(None),
            }
        }
        stepped = state.step(operator, &mut preconditioner, (damping, &limit), &mut watch);
    }
    Ok(None)
}

/// Where the iteration stands; as in [`watched`](super::watched).
struct State<V: InnerProductSpace> {
    x: V,
    v: V,
    previous: V,
    w: V,
    w_previous: V,
    beta: V::Scalar,
    eta: V::Scalar,
    rotation: (V::Scalar, V::Scalar),
    rotation_previous: (V::Scalar, V::Scalar),
    /// The residual's norm as the recurrence has it, but for its sign, …
    claimed: V::Scalar,
    /// … and its square; 0 from the iteration on in which it was small enough.
    measure: V::Scalar,
    /// `P⁻¹·v`, and the residual.
    prepared: Option<(V, V)>,
}

impl<V: InnerProductSpace> State<V> {
    fn start<A: LinearOperator<Vector = V> + ?Sized>(
        &mut self,
        operator: &mut A,
        preconditioner: &mut Option<Checked<'_, A>>,
        watch: &mut Watch<'_, V>,
    ) -> Result<(), SolveError<A::Error>> {
        let one = || V::Scalar::from(1.0);
        if let Some(preconditioner) = preconditioner {
            let r = self.v.clone();
            let (mut z, told) = preconditioner.precondition_unread(operator, &r)?;
            let (product, square) = (unread::<A>(&r, &z)?, unread::<A>(&r, &r)?);
            self.eta = product.sqrt();
            watch.note(Event::Prepared(product, square, told));
            z.scale(one() / self.eta.clone());
            self.prepared = Some((z, r));
        }
        self.v.scale(one() / self.eta.clone());
        Ok(())
    }

    fn step<A: LinearOperator<Vector = V> + ?Sized>(
        &mut self,
        operator: &mut A,
        preconditioner: &mut Option<Checked<'_, A>>,
        (damping, limit): (f64, &V::Scalar),
        watch: &mut Watch<'_, V>,
    ) -> Result<(), SolveError<A::Error>> {
        let one = || V::Scalar::from(1.0);
        let along = self.prepared.as_ref().map_or(&self.v, |(z, _)| z);
        let mut next = apply_damped(operator, damping, along)?;
        next.add_scaled(-self.beta.clone(), &self.previous);
        let alpha = unread::<A>(along, &next)?;
        next.add_scaled(-alpha.clone(), &self.v);
        let mut direction = along.clone();
        let mut prepared = None;
        let length = match preconditioner {
            None => unread::<A>(&next, &next)?.sqrt(),
            Some(preconditioner) => {
                let (z, told) = preconditioner.precondition_unread(operator, &next)?;
                let (product, square) = (unread::<A>(&next, &z)?, unread::<A>(&next, &next)?);
                let length = product.sqrt();
                prepared = Some((z, product, square, told));
                length
            }
        };
        let ((cosine, sine), (cosine_previous, sine_previous)) =
            (self.rotation.clone(), self.rotation_previous.clone());
        let beta = self.beta.clone();
        let delta = cosine.clone() * alpha.clone() + -(cosine_previous.clone() * sine.clone() * beta.clone());
        let rho_2 = sine * alpha.clone() + cosine_previous * cosine * beta.clone();
        let rho_3 = sine_previous * beta;
        let rho_1 = delta.hypot(&length);
        self.rotation_previous =
            std::mem::replace(&mut self.rotation, (delta / rho_1.clone(), length.clone() / rho_1.clone()));
        let (cosine, sine) = self.rotation.clone();
        watch.note(Event::Vector { alpha, length: length.clone(), rho_1: rho_1.clone() });

        direction.add_scaled(-rho_3, &self.w_previous);
        direction.add_scaled(-rho_2, &self.w);
        direction.scale(one() / rho_1);
        self.x.add_scaled((cosine.clone() * self.eta.clone()).while_above(&self.measure, limit), &direction);
        self.eta = self.eta.clone() * -sine.clone();
        self.w_previous = std::mem::replace(&mut self.w, direction);

        next.scale(one() / length.clone());
        let square = match (&mut self.prepared, prepared) {
            (Some((z, r)), Some((next_z, product, square, told))) => {
                watch.note(Event::Prepared(product, square, told));
                *z = next_z;
                z.scale(one() / length.clone());
                r.combine(sine.clone() * sine, self.eta.clone() * cosine, &next);
                let square = unread::<A>(r, r)?;
                self.claimed = square.sqrt();
                square
            }
            _ => {
                self.claimed = self.eta.clone();
                self.eta.clone() * self.eta.clone()
            }
        };
        self.measure = square.while_above(&self.measure, limit);
        self.previous = std::mem::replace(&mut self.v, next);
        self.beta = length;
        Ok(())
    }

    /// The answer so far, with the square of its residual.
    fn measured<A: LinearOperator<Vector = V> + ?Sized>(
        &self,
        operator: &mut A,
        damping: f64,
        b: &V,
    ) -> Result<Event<V>, SolveError<A::Error>> {
        let mut r = b.clone();
        r.add_scaled((-1.0).into(), &apply_damped(operator, damping, &self.x)?);
        Ok(Event::Measured(self.x.clone(), unread::<A>(&r, &r)?))
    }
}
