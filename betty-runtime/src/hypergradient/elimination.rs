//! The system below a level solved by block elimination, lowest stop first; see [`Response`].

use std::rc::Rc;

use super::response::{Residual, Solve};
use super::{Blocks, Direction, HypergradientError, Products, Response};
use crate::derivatives::Variable;
use crate::execute::Vector;

impl Response {
    /// Solves the system of `levels`, each after its own stops, for this right-hand side.
    ///
    /// Blocks are named by the variable, also where they belong to the condition that determines it.
    pub(super) fn eliminate(
        &mut self,
        levels: &[usize],
        direction: Direction,
        right: &Blocks,
        solve: Solve,
    ) -> Result<Blocks, HypergradientError> {
        let Some((&level, lower)) = levels.split_last() else { return Ok(Blocks::default()) };
        match solve {
            _ if self.count.is_none() => self.eliminate_last((level, lower), direction, right, solve),
            Solve::Outermost => {
                self.at(level, |response| response.eliminate_last((level, lower), direction, right, solve))
            }
            _ => self.known((levels, direction, solve), right, |response| {
                response.eliminate_last((level, lower), direction, right, solve)
            }),
        }
    }

    /// The same, `level` after all of `lower`.
    fn eliminate_last(
        &mut self,
        (level, lower): (usize, &[usize]),
        direction: Direction,
        right: &Blocks,
        solve: Solve,
    ) -> Result<Blocks, HypergradientError> {
        let variable = Variable::Level(level);
        let mut x = self.respond(level, lower, direction, None, right, solve.part())?;
        let mut b = right.only(|of| of == variable);
        b = b.plus(-1.0, self.apply(direction, &x, &[variable])?);
        let Some(b) = b.take(variable) else { return Ok(x) };
        if solve == Solve::Preparing {
            // The loop corrects what the level's answer does to those before it.
            let own = self.own_part(level, direction, &self.part_of(level, &b))?;
            x.set(variable, self.whole_of(level, own));
            return Ok(x);
        }
        if let Solve::Inexact(inexact, Residual { most, .. }) = solve {
            return Ok(x.plus(1.0, self.inexact_pivot(inexact, (level, lower), direction, &b, most)?));
        }
        let pivot = self.pivot(level, lower, direction, &b, solve)?;
        x = x.plus(1.0, self.respond(level, lower, direction, Some(&pivot), &Blocks::default(), Solve::Nested)?);
        x.set(variable, pivot);
        Ok(x)
    }

    /// The block of `level`'s own parameters, from its reduced system, which is that of those that [move](super::moved).
    fn pivot(
        &mut self,
        level: usize,
        lower: &[usize],
        direction: Direction,
        b: &Vector,
        solve: Solve,
    ) -> Result<Vector, HypergradientError> {
        let method = Rc::clone(&self.stops[&level].method);
        let keeps = solve == Solve::Outermost && method.keeps_solution();
        let guess = if keeps { self.last_solution(Variable::Level(level)) } else { None };
        let guess = guess.map(|guess| self.part_of(level, &guess));
        let own: Vec<usize> = lower.iter().copied().filter(|stop| self.stops[&level].below.contains(stop)).collect();
        if self.count.is_some() {
            let budget = method.budget(self.unknowns_of(level)).unwrap_or_default();
            // What the last solution leaves is one product, which a penalised copy counts itself.
            let measured = usize::from(keeps && !matches!(method.products(), Products::Displaced { .. }));
            return self.count_pivot(&*method, (level, lower), &own, direction, (b, budget), measured);
        }
        let (whole, b) = (b, &self.part_of(level, b));
        let solved = if method.needs_symmetry() && self.is_coupled(level, &own, lower, direction, whole)? {
            self.coupled_pivot((level, lower), &own, direction, (b, guess), &*method)
        } else {
            self.solve_reduced(&*method, (level, lower), direction, b, guess)
        };
        match solved {
            Ok(solved) => {
                let x = self.whole_of(level, solved.x);
                if keeps {
                    self.solutions.set(Variable::Level(level), x.clone());
                }
                self.report(level).residual = solved.residual;
                Ok(x)
            }
            Err(error) => {
                // The deepest failure is the first one to come by.
                self.failed.get_or_insert(level);
                Err(error.innermost())
            }
        }
    }

    /// All blocks of `level` and `lower` but that of `level`'s own parameters, which is given: they solve the equations of
    /// all variables but those parameters.
    pub(super) fn respond(
        &mut self,
        level: usize,
        lower: &[usize],
        direction: Direction,
        own: Option<&Vector>,
        right: &Blocks,
        solve: Solve,
    ) -> Result<Blocks, HypergradientError> {
        let given: Blocks = own.map(|own| (Variable::Level(level), own.clone())).into_iter().collect();
        match direction {
            // No level below knows this level's multipliers, so in the adjoint system they come first, …
            Direction::Adjoint => {
                let rest = self.multipliers(level, direction, &given, right, solve)?;
                let y = self.lower(lower, direction, &given.plus(1.0, rest.clone()), right, solve)?;
                Ok(rest.plus(1.0, y))
            }
            // … and in the tangent system last.
            Direction::Tangent => {
                let y = self.lower(lower, direction, &given, right, solve)?;
                let rest = self.multipliers(level, direction, &given.plus(1.0, y.clone()), right, solve)?;
                Ok(rest.plus(1.0, y))
            }
        }
    }

    /// The blocks of `lower`, when `known` are given.
    fn lower(
        &mut self,
        lower: &[usize],
        direction: Direction,
        known: &Blocks,
        right: &Blocks,
        solve: Solve,
    ) -> Result<Blocks, HypergradientError> {
        let rows: Vec<Variable> = lower.iter().flat_map(|&stop| self.variables(stop)).collect();
        let right = right.only(|variable| rows.contains(&variable));
        let right = right.plus(-1.0, self.apply(direction, known, &rows)?);
        match self.needed(solve, &right)? {
            Some(solve) => self.eliminate(lower, direction, &right, solve),
            None => Ok(Blocks::default()),
        }
    }

    /// The blocks of `level`'s multipliers, when `known` are given: a system of the other direction, below `level`.
    fn multipliers(
        &mut self,
        level: usize,
        direction: Direction,
        known: &Blocks,
        right: &Blocks,
        solve: Solve,
    ) -> Result<Blocks, HypergradientError> {
        let stop = &self.stops[&level];
        let (below, own) = (Rc::clone(&stop.below), Rc::clone(&stop.own));
        let multipliers: Vec<Variable> = self.variables(level).skip(1).collect();
        let pairs = || multipliers.iter().copied().zip(own[1..].iter().copied());
        // ∂²ℓ/∂Y∂μ = −(∂F/∂Y)ᵀ
        let right = self.apply(direction, known, &multipliers)?.plus(-1.0, right.only(|of| multipliers.contains(&of)));
        let Some(solve) = self.needed(solve, &right)? else { return Ok(Blocks::default()) };
        let solution = self.eliminate(&below, direction.other(), &right.renamed(pairs()), solve.within())?;
        Ok(solution.renamed(pairs().map(|(multiplier, variable)| (variable, multiplier))))
    }
}
