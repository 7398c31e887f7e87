//! Systems in single precision that have no inverse there, and some that look as if they had none.
//!
//! Least squares with fewer rows than unknowns, as for a small batch: `A = Xᵀ·X`. Where `b` is in the range of `A`, the solution in a
//! Krylov space is the shortest one, which is known: `b = A·w` has the part of `w` along the rows of `X`.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::rounding::{Rounded, SINGLE};
use super::*;

/// `Xᵀ·X`, of which every product rounds twice.
struct Rows {
    x: Vec<Vec<f64>>,
}

impl Rows {
    /// Of normal numbers, columns after the third times `scale`.
    fn new((rows, columns): (usize, usize), scale: f64, random: &mut StdRng) -> Self {
        let row = |random: &mut StdRng| normal(columns, random).into_iter().enumerate();
        let scaled = |(k, x): (usize, f64)| SINGLE(if k < 3 { x } else { scale * x });
        Rows { x: (0..rows).map(|_| row(random).map(scaled).collect()).collect() }
    }

    fn times(&self, x: &[f64], round: fn(f64) -> f64) -> Vec<f64> {
        let along: Vec<f64> = self.x.iter().map(|row| round(row.iter().zip(x).map(|(a, x)| a * x).sum())).collect();
        (0..x.len()).map(|j| round(self.x.iter().zip(&along).map(|(row, along)| row[j] * along).sum())).collect()
    }

    /// The part of `w` along the rows.
    fn along(&self, w: &[f64]) -> Vec<f64> {
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let mut basis: Vec<Vec<f64>> = Vec::new();
        let mut part = vec![0.0; w.len()];
        for row in &self.x {
            let mut v = row.clone();
            for _ in 0..2 {
                for unit in &basis {
                    let along = dot(unit, &v);
                    v.iter_mut().zip(unit).for_each(|(v, unit)| *v -= along * unit);
                }
            }
            let length = norm(&v);
            v.iter_mut().for_each(|v| *v /= length);
            let along = dot(&v, w);
            part.iter_mut().zip(&v).for_each(|(part, v)| *part += along * v);
            basis.push(v);
        }
        part
    }
}

impl LinearOperator for Rows {
    type Vector = Rounded;
    type Error = Infallible;

    fn apply(&mut self, x: &Rounded) -> Result<Rounded, Infallible> {
        Ok(Rounded { x: self.times(&x.x, SINGLE), round: SINGLE })
    }
}

/// Sums of twelve equally distributed numbers.
fn normal(count: usize, random: &mut StdRng) -> Vec<f64> {
    (0..count).map(|_| (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0).collect()
}

fn single(x: Vec<f64>) -> Rounded {
    Rounded { x: x.into_iter().map(SINGLE).collect(), round: SINGLE }
}

type Solved = Result<Solution<Rounded>, SolveError<Infallible>>;

/// Each solver with so many iterations and this tolerance.
fn solved(a: &mut Rows, b: &Rounded, iterations: usize, tolerance: f64) -> [(&'static str, Solved); 3] {
    let by_minres = MinresOptions { iterations, tolerance, damping: 0.0 };
    [
        ("cg", conjugate_gradient(a, b, None, &cg(iterations, tolerance, 0.0))),
        ("gmres", gmres(a, b, None, &krylov::options(iterations, 30, tolerance))),
        ("minres", minres(a, b, None, &by_minres)),
    ]
}

const SIZES: [(usize, usize); 4] = [(3, 6), (5, 20), (8, 50), (20, 100)];

#[test]
fn what_the_operator_hardly_sees_stays_out_of_the_solution() {
    for size in SIZES {
        for seed in 0..12 {
            let mut random = StdRng::seed_from_u64(seed);
            let mut a = Rows::new(size, 1.0, &mut random);
            let w = normal(size.1, &mut random);
            let (b, shortest) = (single(a.times(&w, |x| x)), Column(a.along(&w)));
            for iterations in [size.0 + 4, 40, 100] {
                for tolerance in [1e-10, 0.0] {
                    for (name, found) in solved(&mut a, &b, iterations, tolerance) {
                        let Solution { x, outcome } = found.expect("it has a solution");
                        let error = distance(&Column(x.x), &shortest);
                        assert!(error < 1e-5, "{name} {size:?} {seed} {iterations} {tolerance}: {error:e} {outcome:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_system_without_a_solution_is_refused_once_it_is_known_to_have_none() {
    for size in SIZES {
        for seed in 0..12 {
            let mut random = StdRng::seed_from_u64(seed);
            let mut a = Rows::new(size, 1.0, &mut random);
            let b = single(normal(size.1, &mut random));
            for iterations in [size.0 + 4, 40, 100] {
                let [(_, by_cg), (_, by_gmres), _] = solved(&mut a, &b, iterations, 1e-10);
                let Err(SolveError::NotPositiveDefinite { remedy, .. }) = by_cg else {
                    panic!("{size:?} {seed} {iterations}: {:?}", by_cg.map(|solved| solved.outcome))
                };
                let damping = remedy.damping.expect("it has no inverse");
                let damped = conjugate_gradient(&mut a, &b, None, &cg(200, 1e-5, damping)).expect("it has one then");
                assert!(damped.outcome.converged, "{size:?} {seed}: {damping:e} {:?}", damped.outcome);
                assert!(
                    matches!(by_gmres, Err(SolveError::Singular { .. })),
                    "{size:?} {seed} {iterations}: {:?}",
                    by_gmres.map(|solved| solved.outcome)
                );
            }
        }
    }
}

#[test]
fn columns_in_other_units_are_no_rounding_errors() {
    // Curvatures of 1e-6 to 1e-8 of the largest one, each exact to seven digits.
    for scale in [1e-2, 1e-3, 1e-4] {
        for seed in 0..12 {
            let mut random = StdRng::seed_from_u64(seed);
            let mut a = Rows::new((40, 6), scale, &mut random);
            let w: Vec<f64> =
                normal(6, &mut random).iter().enumerate().map(|(k, x)| if k < 3 { *x } else { x / scale }).collect();
            let b = single(a.times(&w, |x| x));
            let found = conjugate_gradient(&mut a, &b, None, &cg(60, 1e-10, 0.0)).expect("it is definite");
            let rest: Vec<f64> = found.x.x.iter().zip(&w).map(|(x, w)| x - w).collect();
            let energy = |x: &[f64]| a.times(x, |x| x).iter().zip(x).map(|(ax, x)| ax * x).sum::<f64>().sqrt();
            let error = energy(&rest) / energy(&w);
            assert!(error < 1e-2, "{scale} {seed}: {error:e} {:?}", found.outcome);
        }
    }
}

/// A diagonal matrix, of which every product rounds once.
struct Scales([f64; 4]);

impl LinearOperator for Scales {
    type Vector = Rounded;
    type Error = Infallible;

    fn apply(&mut self, x: &Rounded) -> Result<Rounded, Infallible> {
        Ok(single(x.x.iter().zip(&self.0).map(|(x, scale)| x * scale).collect()))
    }
}

#[test]
fn what_converges_in_the_last_iteration_has_converged() {
    let (mut a, b) = (Scales([1.0, 3e-8, 2e-8, 1e-8]), single(vec![1.0, 1.0, 0.5, 0.05]));
    let mut solve = |iterations| conjugate_gradient(&mut a, &b, None, &cg(iterations, 0.03, 0.0));
    let with_more = solve(6).expect("it is definite");
    assert!(with_more.outcome.converged && with_more.outcome.iterations == 5, "{:?}", with_more.outcome);
    let with_just_enough = solve(5).expect("it is definite");
    assert_eq!(with_just_enough.outcome, with_more.outcome);
    assert_eq!(with_just_enough.x.x, with_more.x.x);
    assert!(matches!(solve(4), Err(SolveError::NotPositiveDefinite { .. })), "a system may have no solution");
}
