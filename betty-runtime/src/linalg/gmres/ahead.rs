//! The same process where inner products are not at hand: a basis grows by numbers that nobody knows yet, and its columns are read several
//! at once. Those that are too many are left out.

use super::super::ahead::{Unread, is_asked};
use super::super::guess::begin_unread;
use super::super::operator::{apply_damped, unread};
use super::super::orthogonal::{Column, orthogonalize_unread};
use super::super::rounded::{TRUSTED, negligible, reachable};
use super::super::{InnerProductSpace, LinearOperator, Outcome, Scalar as _, Solution, SolveError};
use super::triangle::Triangle;
use super::{Cycle, GmresOptions, Prepare, residual};

/// The solution, or none where numbers have to be looked at one by one.
pub(super) fn run<A: LinearOperator + ?Sized>(
    operator: &mut A,
    (prepare, is_checked): (&mut Prepare<'_, A>, bool),
    b: &A::Vector,
    guess: Option<A::Vector>,
    (options, every): (&GmresOptions, usize),
) -> Result<Option<Solution<A::Vector>>, SolveError<A::Error>> {
    let tolerance = reachable(options.tolerance, b);
    let squared = unread::<A>(b, b)?;
    let Some(begun) = begin_unread(operator, options.damping, b, guess, &squared)? else { return Ok(None) };
    let (mut x, mut r, mut of_rest) = (begun.x, begun.r, begun.square);
    let (mut scale, mut iterations, mut largest) = (0.0, 0, 0.0);
    loop {
        let most = options.restart.max(1).min(options.iterations - iterations);
        let mut growing = Growing { basis: vec![r.clone()], prepared: Vec::new(), columns: Vec::new() };
        growing.basis[0].scale(<A::Vector as InnerProductSpace>::Scalar::from(1.0) / of_rest.sqrt());
        let mut read: Option<Read> = None;
        let mut grown = Ok(());
        for length in 0..=most {
            if grown.is_err() || is_asked(length, every, most) {
                let mut unread = Unread::<A::Vector>::new();
                if read.is_none() {
                    unread.extend([squared.clone(), of_rest.clone()]);
                }
                let columns = std::mem::take(&mut growing.columns);
                columns.iter().for_each(|column| unread.extend(column.numbers()));
                let mut numbers = unread.read::<A::Error>()?;
                let mut next = || numbers.next().unwrap_or(f64::NAN);
                if read.is_none() {
                    let (square, norm) = (next(), next().sqrt());
                    if square == 0.0 {
                        return Ok(Some(Solution { x: b.zero(), outcome: Outcome::TRIVIAL }));
                    }
                    if !(square.is_finite() && norm.is_finite()) {
                        return Ok(None);
                    }
                    scale = square.sqrt();
                    read = Some(Read { triangle: Triangle::new(norm), norm });
                }
                let Some(read) = &mut read else { return Ok(None) };
                let enough = tolerance * scale;
                for column in columns {
                    if read.triangle.residual() <= enough {
                        break;
                    }
                    let Some((along, before, left)) = column.known(&mut next, b) else { return Ok(None) };
                    largest = f64::max(largest, before);
                    let column = read.triangle.turned(along, left);
                    if column.pivot() <= negligible(largest, b) {
                        return Ok(None);
                    }
                    read.triangle.push(column);
                }
                if read.triangle.residual() <= enough || length == most {
                    break;
                }
                grown?;
            }
            grown = growing.extend(operator, prepare, is_checked, options.damping);
        }
        let Some(Read { triangle, norm }) = read else { return Ok(None) };
        iterations += triangle.len();
        let (mut left, mut is_stuck) = (norm, false);
        if triangle.len() > 0 {
            let expected = triangle.residual();
            let mut next = x.clone();
            let Growing { basis, prepared, .. } = growing;
            Cycle { basis, prepared, triangle, largest }.improve(&mut next);
            let rest = residual(operator, options.damping, b, &next)?;
            let square = unread::<A>(&rest, &rest)?;
            let mut alone = Unread::<A::Vector>::new();
            alone.extend([square.clone()]);
            left = alone.read::<A::Error>()?.next().unwrap_or(f64::NAN).sqrt();
            if !left.is_finite() {
                return Ok(None);
            }
            is_stuck = left > norm || (left > 0.5 * norm && expected <= tolerance * scale);
            if left <= norm {
                (x, r, of_rest) = (next, rest, square);
            }
            let is_trusted = left <= TRUSTED * expected;
            left = left.min(norm);
            if is_stuck && left > 0.5 * scale && !is_trusted {
                return Ok(None);
            }
        }
        let converged = left <= tolerance * scale;
        if converged || is_stuck || iterations == options.iterations {
            return Ok(Some(Solution { x, outcome: Outcome { iterations, residual: left / scale, converged } }));
        }
    }
}

/// What is known of a cycle.
struct Read {
    triangle: Triangle,
    /// The norm of the residual that it began with.
    norm: f64,
}

/// A basis whose columns are not read yet.
struct Growing<V: InnerProductSpace> {
    basis: Vec<V>,
    prepared: Vec<Option<V>>,
    columns: Vec<Column<V::Scalar>>,
}

impl<V: InnerProductSpace> Growing<V> {
    fn extend<A: LinearOperator<Vector = V> + ?Sized>(
        &mut self,
        operator: &mut A,
        prepare: &mut Prepare<'_, A>,
        is_checked: bool,
        damping: f64,
    ) -> Result<(), SolveError<A::Error>> {
        let v = &self.basis[self.basis.len() - 1];
        let prepared = prepare(operator, v)?;
        let z = prepared.as_ref().unwrap_or(v);
        let checked = if is_checked { Some(unread::<A>(z, z)?) } else { None };
        let mut w = apply_damped(operator, damping, z)?;
        let column = orthogonalize_unread::<A>(&mut w, &self.basis, checked)?;
        w.scale(V::Scalar::from(1.0) / column.left.clone());
        self.prepared.push(prepared);
        self.columns.push(column);
        self.basis.push(w);
        Ok(())
    }
}
