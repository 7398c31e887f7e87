//! A level whose best response is differentiated: what determines it, and how.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Blocks, HypergradientMethod, Identity, Trajectory};
use crate::derivatives::{Curvature, Point, Variable};

/// A level whose best response is differentiated.
pub struct BestResponse {
    /// Its parameters, and after them what its conditions are derivatives in; see
    /// [`Lagrangian::own`](crate::derivatives::Lagrangian::own).
    pub(super) own: Rc<[Variable]>,
    /// Its own stops, each after the stops below itself.
    pub(super) below: Rc<[usize]>,
    pub(super) answer: Answer,
}

/// What determines a best response.
pub(super) enum Answer {
    /// The level's total gradient vanishes.
    Stationary { method: Rc<dyn HypergradientMethod>, curvature: Rc<RefCell<Curvature>>, point: Point },
    /// Steps were taken; `sent` is what has been pulled back through them.
    Steps { trajectory: Box<dyn Trajectory>, into: Vec<Variable>, sent: Option<Blocks> },
}

impl BestResponse {
    /// A level at a point where its total gradient vanishes, whose reduced system `method` solves.
    pub fn stationary(
        method: Rc<dyn HypergradientMethod>,
        curvature: Rc<RefCell<Curvature>>,
        point: Point,
        below: Rc<[usize]>,
    ) -> Self {
        let own = curvature.borrow().lagrangian().own().into();
        BestResponse { own, below, answer: Answer::Stationary { method, curvature, point } }
    }

    /// A level whose total gradient is differentiated and whose own system nobody solves.
    pub fn evaluated(curvature: Rc<RefCell<Curvature>>, point: Point, below: Rc<[usize]>) -> Self {
        Self::stationary(Rc::new(Identity { scale: 1.0 }), curvature, point, below)
    }

    /// A level whose parameters are what its steps made of the parameters of the levels `into`.
    pub fn unrolled(level: usize, trajectory: Box<dyn Trajectory>, into: &[usize]) -> Self {
        let into = into.iter().copied().map(Variable::Level).collect();
        let answer = Answer::Steps { trajectory, into, sent: None };
        BestResponse { own: Rc::new([Variable::Level(level)]), below: Rc::new([]), answer }
    }
}
