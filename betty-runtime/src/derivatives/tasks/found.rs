//! What tasks come to.

use std::rc::Rc;

use crate::execute::{Value, Vector};

/// What was found for all tasks.
pub struct TasksFound {
    /// The mean of the gradients.
    pub gradient: Vector,
    /// The sum of its squares: finite exactly if the gradient is.
    pub square_norm: f64,
    /// Every task.
    pub tasks: Vec<TaskFound>,
    /// Where the last task left each level below: its parameters, and its optimizer's states.
    pub reached: Vec<(Vector, Vec<Value>)>,
    /// Not finite if any entry of those is not.
    pub finiteness: f64,
    /// The lists of other numbers that were read with them.
    pub beside: Vec<Vec<Vec<f64>>>,
}

/// What was found for one task.
pub struct TaskFound {
    /// The loss above.
    pub upper: LossFound,
    /// The steps of every level below, in order.
    pub lower: Vec<Vec<StepFound>>,
}

/// A loss and what it reports.
pub struct LossFound {
    /// Its value.
    pub loss: f64,
    /// Names and values.
    pub metrics: Vec<(Rc<str>, f64)>,
}

/// How a step came about.
pub struct StepFound {
    /// The losses whose gradients were averaged.
    pub losses: Vec<LossFound>,
    /// The sum of squares of the mean gradient.
    pub square_norm: f64,
}

impl LossFound {
    /// Takes the numbers of one loss off the front.
    pub(super) fn take(names: &[Rc<str>], numbers: &mut impl Iterator<Item = f64>) -> Self {
        let mut next = || numbers.next().unwrap_or(f64::NAN);
        let loss = next();
        LossFound { loss, metrics: names.iter().map(|name| (Rc::clone(name), next())).collect() }
    }
}
