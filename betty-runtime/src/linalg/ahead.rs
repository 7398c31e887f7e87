//! Numbers that a solver has computed with before anybody knows them, to be read together.

use super::preconditioner::Checked;
use super::{InnerProductSpace, LinearOperator, Preconditioner, Solution, SolveError};

/// What is known once the numbers of some iterations were read.
pub(super) enum Verdict<T> {
    /// Nothing that ends the iteration.
    Going,
    /// What ended it, by itself, and when.
    Over(T),
    /// Something that a solver that reads every iteration would have looked at twice.
    Doubtful,
}

/// Numbers that wait to be read, in the order in which they are asked for.
pub(super) struct Unread<V: InnerProductSpace>(Vec<V::Scalar>);

impl<V: InnerProductSpace> Unread<V> {
    pub(super) fn new() -> Self {
        Unread(Vec::new())
    }

    pub(super) fn extend(&mut self, scalars: impl IntoIterator<Item = V::Scalar>) {
        self.0.extend(scalars);
    }

    /// All of them, at once.
    pub(super) fn read<E: From<V::Error>>(&mut self) -> Result<std::vec::IntoIter<f64>, SolveError<E>> {
        let read = V::read_all(&std::mem::take(&mut self.0));
        Ok(read.map_err(|error| SolveError::Operator(error.into()))?.into_iter())
    }
}

/// Whether numbers are read after so many of at most `most` iterations.
pub(super) fn is_asked(iterations: usize, every: usize, most: usize) -> bool {
    iterations == most || (iterations > 0 && iterations.is_multiple_of(every))
}

/// How often numbers are read at the most in so many iterations, if nothing is doubtful.
pub(crate) fn readings(iterations: usize, every: usize) -> usize {
    iterations.div_ceil(every).max(1)
}

/// The answer that is found without reading every number, if vectors are where reading takes time and nothing was doubtful; else the
/// one that is found by reading every number, from the same guess.
pub(super) fn else_watched<A: LinearOperator + ?Sized>(
    operator: &mut A,
    mut preconditioner: Option<&mut dyn Preconditioner<A>>,
    guess: Option<A::Vector>,
    every: usize,
    ahead: impl FnOnce(&mut A, Preconditioned<'_, A>, Option<A::Vector>) -> Result<Option<Solved<A>>, SolveError<A::Error>>,
    watched: impl FnOnce(&mut A, Preconditioned<'_, A>, Option<A::Vector>) -> Result<Solved<A>, SolveError<A::Error>>,
) -> Result<Solved<A>, SolveError<A::Error>> {
    if every > 1 {
        // Reborrowed, as it is needed again where something was doubtful.
        let checked = match &mut preconditioner {
            Some(preconditioner) => Some(Checked::new(&mut **preconditioner)),
            None => None,
        };
        if let Some(solution) = ahead(operator, checked, guess.clone())? {
            return Ok(solution);
        }
    }
    watched(operator, preconditioner.map(Checked::new), guess)
}

type Preconditioned<'p, A> = Option<Checked<'p, A>>;
type Solved<A> = Solution<<A as LinearOperator>::Vector>;
