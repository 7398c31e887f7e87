//! Solvers on vectors whose numbers stay on the device: tensors of 16 bits, against the same systems on the host.

use burn::tensor::{DType, Device, TensorData};

use super::space::CHECK_EVERY;
use super::{ReadError, Value, Vector, reads};
use crate::linalg::*;

/// The lengths of the tensors of a vector; one of them is empty.
const LENGTHS: [usize; 4] = [3, 0, 1, 8];

fn vector(numbers: &[f64], dtype: DType) -> Vector {
    let mut rest = numbers;
    let tensors = LENGTHS.map(|length| {
        let (own, others) = rest.split_at(length);
        rest = others;
        Value::from_data(TensorData::new(own.to_vec(), [length]).convert_dtype(dtype), &Device::flex())
    });
    Vector(tensors.into())
}

/// `D + c·u·uᵀ`, whose products read nothing.
struct Matrix {
    diagonal: Vector,
    u: Vector,
    c: f64,
}

impl Matrix {
    fn new(dtype: DType, smallest: f64) -> Self {
        let diagonal: Vec<f64> = (0..12).map(|k| smallest + 0.25 * f64::from(k)).collect();
        let u: Vec<f64> = (0..12).map(|k| f64::from(k % 5) * 0.25 - 0.5).collect();
        Matrix { diagonal: vector(&diagonal, dtype), u: vector(&u, dtype), c: 0.5 }
    }
}

impl LinearOperator for Matrix {
    type Vector = Vector;
    type Error = ReadError;

    fn apply(&mut self, x: &Vector) -> Result<Vector, ReadError> {
        let mut product = x.entrywise(&self.diagonal)?;
        if self.c != 0.0 {
            product.add_scaled(1.0, &Vector::along(std::slice::from_ref(&self.u), &[self.c], x)?);
        }
        Ok(product)
    }
}

type Found = Result<Solution<Vector>, SolveError<ReadError>>;
type Solve = fn(&mut Matrix, &Vector, Option<Vector>) -> Found;

const ITERATIONS: usize = 12;

/// Solvers, with what they read beside iterations: residuals, and those of a second cycle, where rounding left more than the first one knew.
const SOLVERS: [(&str, Solve, u64); 4] = [
    ("cg", |a, b, guess| conjugate_gradient(a, b, guess, &CG), 0),
    ("minres", |a, b, guess| minres(a, b, guess, &MINRES), 1),
    ("gmres", |a, b, guess| gmres(a, b, guess, &GMRES), 3),
    ("neumann", |a, b, guess| neumann(a, b, guess, &NEUMANN), 0),
];

const CG: CgOptions = CgOptions { iterations: ITERATIONS, tolerance: 0.0, damping: 0.5 };
const MINRES: MinresOptions = MinresOptions { iterations: ITERATIONS, tolerance: 0.0, damping: 0.5 };
const GMRES: GmresOptions = GmresOptions { iterations: ITERATIONS, restart: ITERATIONS, tolerance: 0.0, damping: 0.5 };
const NEUMANN: NeumannOptions = NeumannOptions { terms: 60, step_size: 0.4, damping: 0.5 };

fn right() -> Vec<f64> {
    (0..12).map(|k| f64::from(k % 7) * 0.5 - 1.25).collect()
}

fn distance(x: &[f64], y: &[f64]) -> f64 {
    let square = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>();
    (square(&mut x.iter().zip(y).map(|(x, y)| x - y)) / square(&mut y.iter().copied())).sqrt()
}

#[test]
fn answers_are_those_of_the_host_with_a_reading_in_eight_iterations() {
    for (name, solve, beside) in SOLVERS {
        let exact = solve(&mut Matrix::new(DType::F64, 1.0), &vector(&right(), DType::F64), None).expect("definite");
        let exact = exact.x.to_vec().expect("host memory");
        for (dtype, rounding) in [(DType::F16, 1e-3), (DType::BF16, 8e-3)] {
            for guess in [None, Some(vector(&[0.1; 12], dtype))] {
                let (before, is_guessed) = (reads(), u64::from(guess.is_some()));
                let found = solve(&mut Matrix::new(dtype, 1.0), &vector(&right(), dtype), guess).expect("definite");
                let read = reads() - before;
                let iterations = if name == "neumann" { 59 } else { ITERATIONS };
                let most = iterations.div_ceil(CHECK_EVERY) as u64 + beside + is_guessed;
                assert!(read <= most, "{name}, {dtype:?}: {read} of {most}");
                let error = distance(&found.x.to_vec().expect("host memory"), &exact);
                assert!(error < 8.0 * rounding, "{name}, {dtype:?}: {error}, {:?}", found.outcome);
            }
        }
    }
}

#[test]
fn nothing_is_read_of_vectors_in_host_memory() {
    for (name, solve, _) in SOLVERS {
        for dtype in [DType::F32, DType::F64] {
            let mut a = Matrix { c: 0.0, ..Matrix::new(dtype, 1.0) };
            let b = vector(&right(), dtype);
            let before = reads();
            solve(&mut a, &b, None).expect("definite");
            assert_eq!((reads() - before, b.check_every()), (0, 1), "{name}");
        }
    }
}

#[test]
fn what_is_doubtful_is_an_error_all_the_same() {
    for (name, solve, _) in SOLVERS {
        for dtype in [DType::F16, DType::BF16] {
            let refused = solve(&mut Matrix::new(dtype, -1.0), &vector(&right(), dtype), None);
            let expected = match name {
                "cg" => matches!(refused, Err(SolveError::NotPositiveDefinite { .. })),
                "neumann" => {
                    matches!(refused, Err(SolveError::NotPositiveDefinite { .. } | SolveError::Diverged { .. }))
                }
                // The others need not be definite.
                _ => true,
            };
            assert!(expected, "{name}, {dtype:?}: {:?}", refused.map(|solution| solution.outcome));
            let zero = solve(&mut Matrix::new(dtype, 1.0), &vector(&[0.0; 12], dtype), None).expect("0");
            assert_eq!((zero.x.to_vec().ok(), zero.outcome.iterations), (Some(vec![0.0; 12]), 0), "{name}");
            let mut bad = right();
            bad[5] = f64::NAN;
            let refused = solve(&mut Matrix::new(dtype, 1.0), &vector(&bad, dtype), None);
            let refused = refused.map(|solution| solution.outcome);
            assert!(matches!(refused, Err(SolveError::NotFinite { iteration: 0, .. })), "{name}: {refused:?}");
        }
    }
}

#[test]
fn a_product_of_low_rank_reads_nothing() {
    let numbers = |seed: u32| (0..12).map(|k| f64::from((5 * k + 3 * seed) % 11) * 0.25 - 1.0).collect::<Vec<_>>();
    let product = |dtype: DType| {
        let xs = [1, 2, 3].map(|seed| vector(&numbers(seed), dtype));
        let before = reads();
        let product = Vector::along(&xs, &[0.5, -1.0, 0.25], &vector(&numbers(4), dtype)).expect("host memory");
        (reads() - before, product.to_vec().expect("host memory"))
    };
    let (_, exact) = product(DType::F64);
    for (dtype, rounding) in [(DType::F16, 1e-3), (DType::BF16, 8e-3)] {
        let (read, found) = product(dtype);
        assert_eq!(read, 0);
        assert!(distance(&found, &exact) < rounding, "{dtype:?}: {found:?} {exact:?}");
    }
}
