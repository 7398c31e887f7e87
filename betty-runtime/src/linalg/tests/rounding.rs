//! What rounding errors leave of answers, in both precisions: medians over many systems with the condition number 10⁴.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// Coordinates that are rounded after every operation.
#[derive(Clone)]
pub(super) struct Rounded {
    pub(super) x: Vec<f64>,
    pub(super) round: fn(f64) -> f64,
}

pub(super) const SINGLE: fn(f64) -> f64 = |x| f64::from(x as f32);
const DOUBLE: fn(f64) -> f64 = |x| x;

impl InnerProductSpace for Rounded {
    type Scalar = f64;
    type Error = Infallible;

    fn dot(&self, other: &Self) -> Result<f64, Infallible> {
        Ok(self.x.iter().zip(&other.x).map(|(x, y)| x * y).sum())
    }

    fn read(scalar: &f64) -> Result<f64, Infallible> {
        Ok(*scalar)
    }

    fn scale(&mut self, factor: f64) {
        self.x.iter_mut().for_each(|x| *x = (self.round)(*x * factor));
    }

    fn add_scaled(&mut self, factor: f64, other: &Self) {
        self.x.iter_mut().zip(&other.x).for_each(|(x, y)| *x = (self.round)(*x + factor * y));
    }

    fn zero(&self) -> Self {
        Rounded { x: vec![0.0; self.x.len()], round: self.round }
    }

    fn rounding(&self) -> f64 {
        let single = f64::from(f32::EPSILON);
        if (self.round)(1.0 + 0.1 * single) == 1.0 { single } else { f64::EPSILON }
    }
}

impl Coordinates for Rounded {
    fn dimension(&self) -> usize {
        self.x.len()
    }

    fn coordinates(&self) -> Result<Vec<f64>, Infallible> {
        Ok(self.x.clone())
    }

    fn with_coordinates(&self, coordinates: &[f64]) -> Self {
        Rounded { x: coordinates.iter().map(|&x| (self.round)(x)).collect(), round: self.round }
    }
}

/// `Q·diag(spectrum)·Qᵀ` for a product `Q` of three random reflections.
struct Turned {
    spectrum: Vec<f64>,
    reflections: Vec<Vec<f64>>,
}

impl Turned {
    /// `of(xᵢ, λᵢ)` in the basis of the eigenvectors.
    fn map(&self, x: &[f64], of: fn(f64, f64) -> f64) -> Vec<f64> {
        let reflect = |x: &mut Vec<f64>, v: &Vec<f64>| {
            let along: f64 = 2.0 * x.iter().zip(v).map(|(x, v)| x * v).sum::<f64>();
            x.iter_mut().zip(v).for_each(|(x, v)| *x -= along * v);
        };
        let mut x = x.to_vec();
        self.reflections.iter().for_each(|v| reflect(&mut x, v));
        x.iter_mut().zip(&self.spectrum).for_each(|(x, &eigenvalue)| *x = of(*x, eigenvalue));
        self.reflections.iter().rev().for_each(|v| reflect(&mut x, v));
        x
    }
}

impl LinearOperator for Turned {
    type Vector = Rounded;
    type Error = Infallible;

    fn apply(&mut self, x: &Rounded) -> Result<Rounded, Infallible> {
        let product = self.map(&x.x, |x, eigenvalue| x * eigenvalue);
        Ok(Rounded { x: product.into_iter().map(x.round).collect(), round: x.round })
    }
}

/// A matrix with these eigenvalues, and a vector.
fn turned(spectrum: Vec<f64>, round: fn(f64) -> f64, seed: u64) -> (Turned, Rounded) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut draw = || (0..spectrum.len()).map(|_| 2.0 * random.random::<f64>() - 1.0).collect::<Vec<f64>>();
    let unit = |x: Vec<f64>| {
        let length = norm(&x);
        x.into_iter().map(|x| x / length).collect()
    };
    let reflections = (0..3).map(|_| unit(draw())).collect();
    let start = Rounded { x: draw().into_iter().map(round).collect(), round };
    (Turned { spectrum, reflections }, start)
}

/// Positive definite, down to far below what single precision sees.
#[test]
fn bounds_of_eigenvalues_take_rounding_errors_in() {
    for (round, precision) in [(SINGLE, f64::from(f32::EPSILON)), (DOUBLE, f64::EPSILON)] {
        for seed in 0..10 {
            let spectrum: Vec<f64> = (0..30).map(|i| 10.0_f64.powf(-9.0 * f64::from(i) / 29.0)).collect();
            let (mut a, start) = turned(spectrum.clone(), round, seed);
            let krylov = lanczos(&mut a, 0.0, &start, 30).expect("it is finite");
            for &RitzValue { value, error, .. } in krylov.values() {
                let nearest = spectrum.iter().map(|of| (of - value).abs()).fold(f64::INFINITY, f64::min);
                assert!(nearest <= error && error > precision, "{seed}: {value:e} ± {error:e}, {nearest:e} away");
            }
            let Spectrum { smallest, rounding, .. } =
                extreme_eigenvalues(&mut a, 0.0, &start, 30).expect("it is finite");
            // However small it comes out, the sign is not claimed to be known.
            assert!(smallest.value >= -rounding && rounding < 20.0 * precision, "{seed}: {smallest:?} {rounding:e}");
        }
    }
}

type Solved = Result<Solution<Rounded>, SolveError<Infallible>>;

/// The median over 41 systems of `‖x − A⁻¹·b‖/‖A⁻¹·b‖`. The eigenvalues of the matrices have logarithms at equal distances,
/// and signs in turn if asked for.
fn median_error(
    unknowns: usize,
    is_definite: bool,
    round: fn(f64) -> f64,
    solve: impl Fn(&mut Turned, &Rounded) -> Solved,
) -> f64 {
    let eigenvalue = |i: usize| {
        let size = 10.0_f64.powf(-4.0 * i as f64 / (unknowns - 1) as f64);
        if is_definite || i.is_multiple_of(2) { size } else { -size }
    };
    let mut errors: Vec<f64> = (0..41)
        .map(|seed| {
            let (mut a, b) = turned((0..unknowns).map(eigenvalue).collect(), round, seed);
            let exact = Column(a.map(&b.x, |x, eigenvalue| x / eigenvalue));
            distance(&Column(solve(&mut a, &b).expect("it is invertible").x.x), &exact)
        })
        .collect();
    errors.sort_by(f64::total_cmp);
    errors[20]
}

#[test]
fn minres_keeps_its_vectors_orthogonal_to_their_neighbours() {
    let minres = |iterations| {
        let options = MinresOptions { iterations, tolerance: 0.0, damping: 0.0 };
        move |a: &mut Turned, b: &Rounded| minres(a, b, None, &options)
    };
    // Twice as many iterations as unknowns, and three times as many: as in exact arithmetic no more than unknowns are needed,
    // what is left is rounding errors. Subtracted in the other order, the parts along the last two vectors leave 4.8e-3 and
    // 1.6e-8 of them.
    let single = median_error(10, false, SINGLE, minres(20));
    assert!(single < 1e-3, "{single:e}");
    let double = median_error(50, true, DOUBLE, minres(150));
    assert!(double < 1e-9, "{double:e}");
    let indefinite = median_error(14, false, DOUBLE, minres(20));
    assert!(indefinite < 3e-7, "{indefinite:e}");
}

#[test]
fn the_others_lose_nothing_to_rounding_either() {
    let cg = |iterations| {
        let options = cg(iterations, 0.0, 0.0);
        move |a: &mut Turned, b: &Rounded| conjugate_gradient(a, b, None, &options)
    };
    let gmres = |iterations| {
        let options = krylov::options(iterations, iterations, 0.0);
        move |a: &mut Turned, b: &Rounded| gmres(a, b, None, &options)
    };
    for (found, bound) in [
        (median_error(10, true, SINGLE, cg(20)), 1e-5),
        (median_error(50, true, DOUBLE, cg(150)), 1e-11),
        (median_error(10, false, SINGLE, gmres(20)), 1e-4),
        (median_error(50, true, DOUBLE, gmres(150)), 1e-14),
    ] {
        assert!(found < bound, "{found:e}, more than {bound:e}");
    }
}

#[test]
fn a_spectrum_stays_in_place_in_single_precision() {
    let spectrum: Vec<f64> = (0..30).map(|i| if i == 0 { -0.5 } else { f64::from(i) }).collect();
    let reflections = vec![vec![(1.0_f64 / 30.0).sqrt(); 30]];
    let mut a = Turned { spectrum, reflections };
    let start = Rounded { x: (0..30).map(|i| SINGLE(f64::from(i + 1).sin())).collect(), round: SINGLE };
    // More products than unknowns: once the basis is complete there is nothing more to find.
    let found = extreme_eigenvalues(&mut a, 0.0, &start, 60).expect("it is finite");
    assert!(found.products <= 30, "{}", found.products);
    assert!((found.smallest.value + 0.5).abs() < 1e-4 && (found.largest.value - 29.0).abs() < 1e-4, "{found:?}");
}

/// `Xᵀ·X` for a random `X`, which has no inverse where it has fewer rows than columns.
struct Gram {
    x: Vec<Vec<f64>>,
}

impl Gram {
    fn new(rows: usize, columns: usize, random: &mut StdRng) -> Self {
        let mut entry = || (2.0 * random.random::<f64>() - 1.0) * (3.0 / columns as f64).sqrt();
        Gram { x: (0..rows).map(|_| (0..columns).map(|_| entry()).collect()).collect() }
    }

    fn residual(&mut self, b: &Rounded, x: &Rounded) -> f64 {
        let product = self.exactly(&x.x);
        norm(&b.x.iter().zip(product).map(|(b, y)| b - y).collect::<Vec<_>>()) / norm(&b.x)
    }

    fn exactly(&self, v: &[f64]) -> Vec<f64> {
        let along: Vec<f64> = self.x.iter().map(|row| row.iter().zip(v).map(|(x, v)| x * v).sum()).collect();
        (0..v.len()).map(|j| self.x.iter().zip(&along).map(|(row, along)| row[j] * along).sum()).collect()
    }
}

impl LinearOperator for Gram {
    type Vector = Rounded;
    type Error = Infallible;

    fn apply(&mut self, x: &Rounded) -> Result<Rounded, Infallible> {
        Ok(Rounded { x: self.exactly(&x.x).into_iter().map(x.round).collect(), round: x.round })
    }
}

/// With fewer examples than parameters, a Hessian has no inverse, and most right-hand sides have no solution.
#[test]
fn minres_keeps_to_the_least_residual_where_there_is_no_solution() {
    for (round, seeds) in [(SINGLE, 0..20), (DOUBLE, 20..40)] {
        for seed in seeds {
            let mut random = StdRng::seed_from_u64(seed);
            let mut a = Gram::new(20, 40, &mut random);
            let b = Rounded { x: (0..40).map(|_| round(2.0 * random.random::<f64>() - 1.0)).collect(), round };
            let least = {
                let options = MinresOptions { iterations: 16, tolerance: 0.0, damping: 0.0 };
                minres(&mut a, &b, None, &options).expect("16 iterations").outcome.residual
            };
            for iterations in [20, 50, 100, 500] {
                let options = MinresOptions { iterations, tolerance: 1e-10, damping: 0.0 };
                match minres(&mut a, &b, None, &options) {
                    Ok(Solution { x, outcome }) => {
                        let residual = a.residual(&b, &x);
                        let told = outcome.residual;
                        assert!((residual - told).abs() <= 1e-4 * residual, "{seed} {iterations}: {residual} {told}");
                        assert!(residual <= 1.01 * least, "{seed} {iterations}: {residual} {least}");
                        assert!(!outcome.converged, "{seed} {iterations}: {residual}");
                    }
                    Err(SolveError::Singular { .. }) => {}
                    Err(error) => panic!("{seed} {iterations}: {error}"),
                }
            }
        }
    }
}

#[test]
fn minres_tells_the_residual_that_is() {
    let mut random = StdRng::seed_from_u64(1);
    let unknowns = 60;
    let spectrum = (0..unknowns).map(|i| 10.0_f64.powf(-6.0 * i as f64 / (unknowns - 1) as f64)).collect();
    let mut draw = || (0..unknowns).map(|_| 2.0 * random.random::<f64>() - 1.0).collect::<Vec<f64>>();
    let reflections = (0..3).map(|_| draw()).map(|v| v.iter().map(|x| x / norm(&v)).collect()).collect();
    let b = Rounded { x: draw().into_iter().map(SINGLE).collect(), round: SINGLE };
    let mut a = Turned { spectrum, reflections };
    for iterations in [10, 100, 300, 1000] {
        let options = MinresOptions { iterations, tolerance: 1e-10, damping: 0.0 };
        let Solution { x, outcome } = minres(&mut a, &b, None, &options).expect("the matrix has an inverse");
        let product = a.map(&x.x, |x, eigenvalue| x * eigenvalue);
        let residual = norm(&b.x.iter().zip(product).map(|(b, y)| b - y).collect::<Vec<_>>()) / norm(&b.x);
        assert!((residual - outcome.residual).abs() <= 1e-3, "{iterations}: {residual} {}", outcome.residual);
        assert!(residual <= 1.0, "{iterations}: {residual}");
    }
}

#[test]
fn elimination_does_not_take_roundings_for_pivots() {
    let exact = DenseOptions { damping: 0.0, limit: 100 };
    for (round, rows, columns) in [(SINGLE, 2, 3), (DOUBLE, 2, 3), (SINGLE, 20, 40), (DOUBLE, 20, 40)] {
        for seed in 0..20 {
            let mut random = StdRng::seed_from_u64(seed);
            let mut a = Gram::new(rows, columns, &mut random);
            let b = Rounded { x: (0..columns).map(|_| round(2.0 * random.random::<f64>() - 1.0)).collect(), round };
            let solved = dense(&mut a, &b, &exact);
            assert!(matches!(solved, Err(SolveError::Singular { .. })), "{seed}: {:?}", solved.map(|s| s.outcome));
        }
    }
    // Small entries are no roundings of large ones that they have nothing to do with.
    let mut apart = Turned { spectrum: vec![1.0, 1e-9, 3e-10], reflections: Vec::new() };
    let b = Rounded { x: vec![1.0, 1e-9, 3e-10], round: SINGLE };
    let solved = dense(&mut apart, &b, &exact).expect("it has an inverse");
    assert!(solved.x.x.iter().all(|x| (x - 1.0).abs() < 1e-6) && solved.outcome.converged, "{:?}", solved.x.x);
}
