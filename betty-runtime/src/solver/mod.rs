//! Solvers of the user's own: whatever finds the best response of a level.

use std::any::{Any, type_name};
use std::error::Error;
use std::fmt;

use crate::trace::{AnyBatch, Batch, LevelModule, Place};

/// Why a solver of the user's own found nothing.
pub type SolverFailure = Box<dyn Error + Send + Sync>;

/// Finds the best response of a level of program `P` on a batch `B`: in closed form, with an active set, by another library.
///
/// A program names it with `solver: custom(MySolver)`. It is shown the program as it is: the level's own module, from where it may
/// start, and those of the levels above. It answers the level's module `M` with other parameters, at which the gradient of the
/// level's loss on the batch has to vanish: the level's method differentiates the answer by that, whatever led there (the implicit
/// function theorem, as `custom_root` in JAXopt). The gradient is looked at after every answer, and one that is not small is
/// [`SolverError::NotStationary`](crate::SolverError::NotStationary). What of the module stands still is not looked at, nor are
/// running statistics.
///
/// Functions and closures of program and batch are solvers.
///
/// ```
/// use betty_runtime::{Engine, EngineError, Stream, multilevel};
/// use burn::module::Param;
/// use burn::tensor::{Device, Tensor};
/// use std::convert::Infallible;
///
/// type Point = Param<Tensor<1>>;
///
/// /// ‖x − b‖² + e^λ‖x‖², whose minimum is b/(1 + e^λ).
/// fn shrunk(x: &Point, lambda: &Point, b: Tensor<1>) -> Tensor<1> {
///     (x.val() - b).square().sum() + lambda.val().exp() * x.val().square().sum()
/// }
///
/// fn gap(_lambda: &Point, x: &Point, target: Tensor<1>) -> Tensor<1> {
///     (x.val() - target).square().sum()
/// }
///
/// fn closed_form(program: &Shrinkage, b: &Tensor<1>) -> Result<Point, Infallible> {
///     Ok(Param::from_tensor(b.clone() / (program.lambda.val().exp() + 1.0)))
/// }
///
/// multilevel! {
///     struct Shrinkage;
///     level lambda: Point { lower: [x], batch: Tensor<1>, loss: gap, optimizer: sgd(lr = 0.5) }
///     level x: Point { upper: [lambda], batch: Tensor<1>, loss: shrunk, solver: custom(closed_form), hypergradient: cg }
/// }
///
/// # fn main() -> Result<(), EngineError> {
/// let tensor = |at: [f32; 2]| Tensor::<1>::from_floats(at, &Device::flex());
/// let program = Shrinkage {
///     lambda: Param::from_tensor(Tensor::from_floats([1.0], &Device::flex())),
///     x: Param::from_tensor(tensor([0.0, 0.0])),
/// };
/// let data = ShrinkageData { lambda: Stream::constant(tensor([1.0, 2.0])), x: Stream::constant(tensor([2.0, 4.0])) };
/// let mut engine = Engine::new(program, data, ShrinkageConfig::default())?;
/// engine.run(100)?;
/// // Half of b is the target, so that e^λ becomes 1.
/// assert!(engine.problem().lambda.val().into_scalar::<f32>().abs() < 1e-3);
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the solver of a level; implement `betty_runtime::Solver<{P}, {B}, {M}>` for it, or give a function \
               `fn(&{P}, &{B}) -> Result<{M}, _>`",
    label = "not a solver of this level"
)]
pub trait Solver<P, B, M> {
    /// The level's module with its best response.
    ///
    /// # Errors
    /// Whatever the solver says; the run ends with it.
    fn solve(&self, program: &P, batch: &B) -> Result<M, SolverFailure>;
}

impl<P, B, M, E, F> Solver<P, B, M> for F
where
    F: Fn(&P, &B) -> Result<M, E>,
    E: Into<SolverFailure>,
{
    fn solve(&self, program: &P, batch: &B) -> Result<M, SolverFailure> {
        self(program, batch).map_err(Into::into)
    }
}

/// A solver of any program, batch and module.
pub struct AnySolver {
    solve: Box<Answers>,
    name: &'static str,
}

type Answers = dyn Fn(&dyn Any, &AnyBatch) -> Result<Vec<Place>, SolverFailure>;

impl AnySolver {
    /// The solver of a level with batches `B` and module `M` in program `P`.
    pub fn new<P: 'static, B: Batch, M: LevelModule, S: Solver<P, B, M> + 'static>(solver: S) -> Self {
        let solve = move |program: &dyn Any, batch: &AnyBatch| {
            let program = program.downcast_ref().ok_or("it is the solver of another program")?;
            let batch = batch.downcast().ok_or("it is the solver of a level with other batches")?;
            Ok(solver.solve(program, batch)?.places())
        };
        AnySolver { solve: Box::new(solve), name: type_name::<S>() }
    }

    /// The tensors of the module that it answers.
    pub(crate) fn solve(&self, program: &dyn Any, batch: &AnyBatch) -> Result<Vec<Place>, SolverFailure> {
        (self.solve)(program, batch)
    }
}

impl fmt::Debug for AnySolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
