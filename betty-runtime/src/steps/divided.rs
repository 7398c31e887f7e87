//! The directions that the steps of a level are followed or displaced along: all of them, or some by each of several ranks, which tell
//! each other one number for each. Directions are functions of a seed, so that nobody sends them.

use std::rc::Rc;

use crate::derivatives::Variable;
use crate::distributed::Ranks;
use crate::execute::Cost;
use crate::hypergradient::{Blocks, Directions, HypergradientError, ProductError};

/// Directions, and who follows them.
#[derive(Clone)]
pub(crate) struct Divided {
    directions: Rc<dyn Directions>,
    /// Those that follow some of them each, if there are others.
    ranks: Option<Rc<Ranks>>,
}

/// What directions are drawn from.
#[derive(Clone)]
pub(crate) struct Drawn {
    /// The parameters that they are directions of, or others that look like them.
    pub(crate) like: Blocks,
    pub(crate) seed: u64,
}

impl Divided {
    /// All directions, for one process.
    pub(crate) fn whole(directions: Rc<dyn Directions>) -> Self {
        Divided { directions, ranks: None }
    }

    /// Divides them among ranks, or among none.
    pub(crate) fn among(&mut self, ranks: Option<Rc<Ranks>>) {
        self.ranks = ranks;
    }

    /// How many there are of so many parameters, on all ranks together.
    ///
    /// # Errors
    /// [`HypergradientError::TooManyDirections`] when they are more than the user allows.
    pub(crate) fn count(&self, parameters: usize) -> Result<usize, HypergradientError> {
        self.directions.count(parameters)
    }

    /// How many of `count` a rank follows at the most, and what it takes to put together what they came to.
    pub(crate) fn share(&self, count: usize) -> (usize, Cost) {
        match &self.ranks {
            Some(ranks) => (count.div_ceil(ranks.size()), Cost::sent(count * size_of::<f64>())),
            None => (count, Cost::NONE),
        }
    }

    /// The directions that this rank follows.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub(crate) fn own(&self, Drawn { like, seed }: &Drawn) -> Result<Vec<Blocks>, HypergradientError> {
        let (first, step) = self.ranks.as_ref().map_or((0, 1), |ranks| (ranks.rank(), ranks.size()));
        let numbers = (first..self.number(like)?).step_by(step);
        Ok(numbers.map(|number| self.directions.draw(like, *seed, number)).collect())
    }

    /// `weight · Σ_u (sᵤ/d)·u` in the variables `into` over the directions `u` of all ranks, for those that this one follows, with their
    /// `sᵤ`, and `d`.
    ///
    /// # Errors
    /// [`HypergradientError`] if other ranks do not tell theirs.
    pub(crate) fn combined<'b>(
        &self,
        drawn: &Drawn,
        own: impl IntoIterator<Item = &'b Blocks>,
        (slopes, d): (Vec<f64>, f64),
        into: &[Variable],
    ) -> Result<Blocks, HypergradientError> {
        let mut sent = Blocks::default();
        let mut add = |slope: f64, direction: &Blocks| {
            for &variable in into {
                if let Some(block) = direction.get(variable) {
                    sent.add(variable, self.directions.weight() * slope / d, block.clone());
                }
            }
        };
        let mut own = own.into_iter();
        let Some(ranks) = &self.ranks else {
            slopes.into_iter().zip(own).for_each(|(slope, direction)| add(slope, direction));
            return Ok(sent);
        };
        let (rank, size) = (ranks.rank(), ranks.size());
        let mut all = vec![0.0; self.number(&drawn.like)?];
        all.iter_mut().skip(rank).step_by(size).zip(slopes).for_each(|(place, slope)| *place = slope);
        // What the others have not followed is zero in theirs.
        ranks.sum([], &mut all).map_err(ProductError::from)?;
        for (number, slope) in all.into_iter().enumerate() {
            match if number % size == rank { own.next() } else { None } {
                Some(direction) => add(slope, direction),
                None => add(slope, &self.directions.draw(&drawn.like, drawn.seed, number)),
            }
        }
        Ok(sent)
    }

    fn number(&self, like: &Blocks) -> Result<usize, HypergradientError> {
        self.count(like.variables().filter_map(|of| Some(like.get(of)?.len())).sum())
    }
}
