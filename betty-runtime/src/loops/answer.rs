//! What a training loop is answered: a gradient, and what came with it.

use std::rc::Rc;

use burn::optim::GradientsParams;

use crate::error::{EngineError, ModuleError};
use crate::execute::Value;
use crate::hypergradient::SolveReport;
use crate::program::Level;
use crate::trace::LevelModule;

/// A gradient of a level, for a Burn optimizer.
#[derive(Debug)]
#[non_exhaustive]
pub struct LevelGradient {
    /// The level's loss.
    pub loss: f64,
    /// What the loss function reports beside the loss: names and values.
    pub metrics: Vec<(Rc<str>, f64)>,
    /// The gradient in the level's parameters, those that `train` and `freeze` leave; none in what nothing reads.
    pub gradient: GradientsParams,
    /// Its norm.
    pub norm: f64,
    /// What it took to pass through each level below, the lowest first.
    pub solves: Vec<Solve>,
    /// What the level's running statistics are after its forward pass.
    pub statistics: Statistics,
}

/// What it took to pass through a level.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Solve {
    /// The level.
    pub through: &'static str,
    /// Hessian-vector products formed.
    pub products: usize,
    /// Relative residual of the linear system, where the method knows it.
    pub residual: Option<f64>,
}

impl Solve {
    pub(super) fn new(through: &'static str, SolveReport { products, residual, .. }: SolveReport) -> Self {
        Solve { through, products, residual }
    }
}

/// The running statistics of a level's module, as a forward pass in training leaves them.
///
/// The forward pass of [`Hypergradient`](crate::Hypergradient) leaves the modules of the loop alone, so a level whose own steps
/// are taken along its gradients has its statistics from here. In a level that the loop trains by a forward pass of its own, that
/// one has moved them already.
///
/// ```no_run
/// # use betty_runtime::{EngineError, LevelModule, LevelGradient};
/// # use burn::module::Module;
/// # use burn::optim::ModuleOptimizer;
/// # fn example<M: Module + 'static>(mut model: M, mut optimizer: ModuleOptimizer, answer: LevelGradient) -> Result<(), EngineError> {
/// model = optimizer.step(0.1, model, answer.gradient);
/// answer.statistics.put_into(&mut model)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Statistics(Vec<(String, Value)>);

impl Statistics {
    pub(super) fn new(statistics: Vec<(usize, Value)>, level: &Level) -> Self {
        Statistics(statistics.into_iter().map(|(index, value)| (level.paths[index].clone(), value)).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts them into the level's module; its parameters stay as they are.
    ///
    /// # Errors
    /// [`ModuleError::OtherModule`] if one of them is not there. The module is then left as it was.
    pub fn put_into(&self, module: &mut impl LevelModule) -> Result<(), EngineError> {
        if self.is_empty() {
            return Ok(());
        }
        let leaves = module.leaves();
        let place = |(path, value): &(String, Value)| {
            let is_it = |leaf: &crate::trace::Leaf| leaf.path == *path && leaf.value.shape() == value.shape();
            let number = leaves.iter().position(is_it);
            let missing = || EngineError::Module(ModuleError::OtherModule { path: path.clone(), shape: value.shape() });
            Ok((number.ok_or_else(missing)?, value.clone()))
        };
        let placed = self.0.iter().map(place).collect::<Result<_, EngineError>>()?;
        module.advance(placed);
        Ok(())
    }
}
