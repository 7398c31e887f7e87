//! Cycles of generalised minimal residuals that get nowhere: no matrix here is singular, and most are orthogonal.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::rounding::{Rounded, SINGLE};
use super::*;

/// A matrix by rows, of which every product rounds once.
struct Single(Vec<Vec<f64>>);

impl Single {
    fn new(rows: Vec<Vec<f64>>) -> Self {
        Single(rows.into_iter().map(|row| row.into_iter().map(SINGLE).collect()).collect())
    }

    fn times(&self, x: &[f64]) -> Vec<f64> {
        self.0.iter().map(|row| row.iter().zip(x).map(|(a, x)| a * x).sum()).collect()
    }

    /// `‖b − A·x‖/‖b‖`
    fn left(&self, x: &[f64], b: &[f64]) -> f64 {
        let rest: Vec<f64> = b.iter().zip(self.times(x)).map(|(b, product)| b - product).collect();
        norm(&rest) / norm(b)
    }
}

impl LinearOperator for Single {
    type Vector = Rounded;
    type Error = Infallible;

    fn apply(&mut self, x: &Rounded) -> Result<Rounded, Infallible> {
        Ok(Rounded { x: self.times(&x.x).into_iter().map(SINGLE).collect(), round: SINGLE })
    }
}

fn draw(n: usize, random: &mut StdRng) -> Vec<f64> {
    (0..n).map(|_| 2.0 * random.random::<f64>() - 1.0).collect()
}

/// A random matrix whose rows are orthonormal.
fn orthogonal(n: usize, random: &mut StdRng) -> Vec<Vec<f64>> {
    let mut rows: Vec<Vec<f64>> = Vec::new();
    while rows.len() < n {
        let mut row = draw(n, random);
        for _ in 0..2 {
            for other in &rows {
                let along: f64 = row.iter().zip(other).map(|(x, y)| x * y).sum();
                row.iter_mut().zip(other).for_each(|(x, y)| *x -= along * y);
            }
        }
        let length = norm(&row);
        rows.push(row.into_iter().map(|x| x / length).collect());
    }
    rows
}

/// `[εI B; −Bᵀ εI]`: two players who only play against each other, and what each holds on to.
fn game(n: usize, hold: f64, random: &mut StdRng) -> Vec<Vec<f64>> {
    let half = n / 2;
    let b: Vec<Vec<f64>> = (0..half).map(|_| draw(half, random)).collect();
    let entry = |i: usize, j: usize| match (i < half, j < half) {
        _ if i == j => hold,
        (true, false) => b[i][j - half],
        (false, true) => -b[j][i - half],
        _ => 0.0,
    };
    (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect()
}

#[test]
fn a_cycle_that_gets_nowhere_is_an_outcome() {
    for seed in 0..12 {
        let mut random = StdRng::seed_from_u64(seed);
        let n = 60;
        let shift = (0..n).map(|i| (0..n).map(|j| f64::from(u8::from((i + 1) % n == j))).collect()).collect();
        let unit = (0..n).map(|i| f64::from(u8::from(i == 0))).collect();
        for rows in [orthogonal(n, &mut random), shift, game(n, 1e-3, &mut random), game(n, 1e-5, &mut random)] {
            let mut a = Single::new(rows);
            for b in [draw(n, &mut random), vec![1.0; n], Vec::clone(&unit)] {
                let b = Rounded { x: b.into_iter().map(SINGLE).collect(), round: SINGLE };
                for (iterations, restart) in [(1, 1), (1, 30), (10, 1), (20, 5), (30, 30)] {
                    let found = gmres(&mut a, &b, None, &krylov::options(iterations, restart, 1e-10));
                    let Solution { x, outcome } = found.expect("no column is short of a pivot");
                    let left = a.left(&x.x, &b.x);
                    assert!(
                        (left - outcome.residual).abs() < 1e-5,
                        "{seed} {iterations} {restart}: {left} {outcome:?}"
                    );
                    assert!(left <= 1.0 + 1e-6, "{seed} {iterations} {restart}: {outcome:?}");
                }
                // As many vectors as there are unknowns get there.
                let found =
                    gmres(&mut a, &b, None, &krylov::options(n, n, 1e-10)).map(|solution| solution.outcome.residual);
                assert!(found.is_ok_and(|residual| residual < 1e-2), "{seed}");
            }
        }
    }
}

/// One iteration along `Ab` leaves `b − (⟨b, Ab⟩/⟨Ab, Ab⟩)·Ab`.
#[test]
fn one_iteration_against_the_residual_is_the_closed_form() {
    let mut random = StdRng::seed_from_u64(7);
    for hold in [1e-2, 1e-4, 1e-6] {
        let mut a = Single::new(game(40, hold, &mut random));
        let b: Vec<f64> = (0..40).map(|i| f64::from(u8::from(i == 0))).collect();
        let product = a.times(&b);
        let square: f64 = product.iter().map(|x| x * x).sum();
        let step = product[0] / square;
        let rounded = Rounded { x: b.clone(), round: SINGLE };
        let Solution { x, outcome } =
            gmres(&mut a, &rounded, None, &krylov::options(1, 1, 1e-10)).expect("it has an inverse");
        assert!((outcome.residual - (1.0 - step * product[0]).sqrt()).abs() < 1e-6, "{hold}: {outcome:?}");
        // Or rounding made the step no better than none.
        assert!(
            x.x.iter().zip(&b).all(|(x, b)| (x - step * b).abs() <= 1e-6 * step || *x == 0.0),
            "{hold}: {x:?}",
            x = x.x
        );
    }
}
