//! A level whose best response is differentiated: what determines it, and how.

use std::cell::RefCell;
use std::rc::Rc;

use super::batches::Batches;
use super::moved::Moved;
use super::{HypergradientMethod, Identity, Trajectory};
use crate::derivatives::{Curvature, Point, Variable};

/// A level whose best response is differentiated.
pub struct BestResponse(pub(super) Answer);

/// What determines a best response.
pub(super) enum Answer {
    /// The level's total gradient vanishes.
    Stationary(Stationary),
    /// Steps were taken.
    Steps(Steps),
}

/// A level whose total gradient vanishes.
pub(super) struct Stationary {
    /// Its parameters, and after them what its conditions are derivatives in; see
    /// [`Lagrangian::own`](crate::derivatives::Lagrangian::own).
    pub(super) own: Rc<[Variable]>,
    /// Its own stops, each after the stops below itself.
    pub(super) below: Rc<[usize]>,
    pub(super) method: Rc<dyn HypergradientMethod>,
    pub(super) batches: Batches,
    /// Which of its parameters the answer moves in, if it is solved for and does not in all.
    pub(super) moved: Option<Rc<Moved>>,
}

/// Steps that were taken, and have not been gone through. Going through them uses them up: they are no matrix that could be
/// multiplied with one vector after the other.
pub(super) struct Steps {
    pub(super) trajectory: Box<dyn Trajectory>,
    /// The levels that they depend on.
    pub(super) into: Vec<Variable>,
}

impl BestResponse {
    /// A level at a point where its total gradient vanishes, whose reduced system `method` solves.
    pub fn stationary(
        method: Rc<dyn HypergradientMethod>,
        curvature: Rc<RefCell<Curvature>>,
        point: Point,
        below: Rc<[usize]>,
    ) -> Self {
        Self::averaged(Some(method), vec![(curvature, point)], below)
    }

    /// A level at a point where the mean of total gradients on several batches vanishes; without a method it is an
    /// [evaluated](Self::evaluated) one.
    pub(crate) fn averaged(
        method: Option<Rc<dyn HypergradientMethod>>,
        batches: Vec<(Rc<RefCell<Curvature>>, Point)>,
        below: Rc<[usize]>,
    ) -> Self {
        let (is_solved, batches) = (method.is_some(), Batches(batches));
        let method = method.unwrap_or_else(|| Rc::new(Identity { scale: 1.0 }));
        let moved = if is_solved { batches.moved() } else { None };
        BestResponse(Answer::Stationary(Stationary { own: batches.own(), below, method, batches, moved }))
    }

    /// A level whose total gradient is differentiated and whose own system nobody solves.
    pub fn evaluated(curvature: Rc<RefCell<Curvature>>, point: Point, below: Rc<[usize]>) -> Self {
        Self::averaged(None, vec![(curvature, point)], below)
    }

    /// A level whose parameters are what its steps made of the parameters of the levels `into`.
    pub fn unrolled(trajectory: Box<dyn Trajectory>, into: &[usize]) -> Self {
        let into = into.iter().copied().map(Variable::Level).collect();
        BestResponse(Answer::Steps(Steps { trajectory, into }))
    }
}
