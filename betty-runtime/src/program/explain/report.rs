//! What training will take, in numbers and for people.

use std::fmt::{self, Display, Formatter};

use crate::execute::Cost;

/// What one iteration takes, level by level.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The program's name.
    pub program: &'static str,
    /// In order of declaration.
    pub levels: Vec<LevelCost>,
}

/// What one level takes.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelCost {
    /// The level.
    pub level: &'static str,
    /// Trainable numbers.
    pub parameters: usize,
    /// Steps in one iteration, once all levels are warm.
    pub steps: u64,
    /// The level with whose tasks the steps are computed together, and in whose step they are counted.
    pub within: Option<&'static str>,
    /// Whether ranks find its hypergradients each on its own examples, so that their mean is not that of the joined batch.
    pub is_biased: bool,
    /// The most gradients of one step, where a solver takes it; what a solver of the user's own does itself is not known.
    pub evaluations: Option<usize>,
    /// One step: direct gradients of all batches and tasks, and the optimizer's update; or the most that a solver takes.
    pub step: Cost,
    /// The hypergradients of one step, best response by best response, in the order of the sweep.
    pub responses: Vec<ResponseCost>,
    /// The most bytes that one program of the level holds at once.
    pub peak: usize,
    /// Bytes of steps that are kept to be differentiated.
    pub kept: usize,
    /// Transfers from the device in one step, each of which waits for it, at the most. They are those of an accelerator, or of parameters
    /// of 16 bits: for parameters of 32 and 64 bits in host memory there is nothing to wait for, and solvers look at every number.
    /// [`read_every`](crate::Engine::read_every) takes those away that no method needs for its own decisions.
    pub reads: u64,
}

/// What one pass through a best response takes, at most.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseCost {
    /// The level whose best response it is.
    pub through: &'static str,
    /// The method.
    pub method: &'static str,
    /// Products with the level's (reduced) Hessian, if the method says how many it forms.
    pub products: Option<usize>,
    /// All of the solve and of what is sent on.
    pub cost: Cost,
}

impl Explanation {
    /// All of one iteration.
    #[must_use]
    pub fn total(&self) -> Cost {
        let level = |level: &LevelCost| {
            let responses = level.responses.iter().map(|response| response.cost);
            responses.fold(level.step, |sum, cost| sum + cost) * level.steps as f64
        };
        self.levels.iter().filter(|level| level.within.is_none()).map(level).fold(Cost::NONE, |sum, cost| sum + cost)
    }
}

/// `1.23 G`
fn scaled(number: f64) -> String {
    let units = ["", " k", " M", " G", " T", " P"];
    let steps = (0..units.len() - 1).find(|&steps| number < 1000_f64.powi(steps as i32 + 1)).unwrap_or(units.len() - 1);
    let value = number / 1000_f64.powi(steps as i32);
    if steps == 0 { format!("{value:.0}") } else { format!("{value:.3}{}", units[steps]) }
}

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let line = |f: &mut Formatter<'_>, cost: Cost| {
            let Cost { kernels, operations, bytes, messages, sent } = cost;
            write!(f, "{} kernels, {}FLOP, {}B moved", scaled(kernels), scaled(operations), scaled(bytes))?;
            if messages > 0.0 {
                write!(f, ", {}B summed over ranks in {} messages", scaled(sent), scaled(messages))?;
            }
            writeln!(f)
        };
        writeln!(f, "one iteration of {}", self.program)?;
        for level in &self.levels {
            let plural = if level.steps == 1 { "step" } else { "steps" };
            write!(f, "  {}: {} {plural} of {} parameters", level.level, level.steps, level.parameters)?;
            if let Some(within) = level.within {
                writeln!(f, ", counted in those of {within}")?;
                continue;
            }
            writeln!(f)?;
            match level.evaluations {
                None => write!(f, "    a step: ")?,
                Some(evaluations) => write!(f, "    a turn of the solver, {evaluations} gradients at the most: ")?,
            }
            line(f, level.step)?;
            if level.is_biased {
                writeln!(
                    f,
                    "    biased: products are those of each rank's own examples, put together at the end (`sync_last`)"
                )?;
            }
            for response in &level.responses {
                let products = response.products.map_or("?".to_owned(), |products| products.to_string());
                write!(f, "    through {} by {} (at most {products} products): ", response.through, response.method)?;
                line(f, response.cost)?;
            }
            write!(f, "    at most {}B at once", scaled(level.peak as f64))?;
            if level.kept > 0 {
                write!(f, ", {}B of steps kept", scaled(level.kept as f64))?;
            }
            writeln!(f, ", {} reads of the device a step", level.reads)?;
        }
        write!(f, "  in all: ")?;
        line(f, self.total())
    }
}
