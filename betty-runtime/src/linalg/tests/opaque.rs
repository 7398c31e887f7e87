//! Solvers where numbers are kept elsewhere, against the same ones where they are at hand: every bit of what they answer is the same, however
//! often they look.

mod far;
mod inexact;

use super::*;
use far::{Far, FarMatrix, READS, Sealed};

type Answer = Result<(Column, Outcome), SolveError<Gone>>;

/// A system, and how it is solved.
#[derive(Clone, Debug)]
struct Case {
    matrix: Matrix,
    b: Column,
    guess: Option<Column>,
    /// The diagonal of `P⁻¹`.
    inverse: Option<Vec<f64>>,
    iterations: usize,
    /// Of the solver that starts again.
    restart: usize,
    tolerance: f64,
    damping: f64,
}

/// What may be between one look and the next.
const EVERY: [usize; 4] = [1, 3, 8, 100];

impl Case {
    fn new(matrix: Matrix, b: &[f64], iterations: usize, tolerance: f64) -> Self {
        let (guess, inverse) = (None, None);
        Case { matrix, b: Column(b.to_vec()), guess, inverse, iterations, restart: 50, tolerance, damping: 0.0 }
    }

    fn near(&self, solver: Solver) -> Answer {
        let mut times = |_: &mut Matrix, r: &Column| Ok(times(self.inverse.as_ref(), r));
        let preconditioner: &mut dyn Preconditioner<Matrix> = &mut times;
        let guess = self.guess.clone();
        solver.solve(self, &mut self.matrix.clone(), preconditioner, &self.b, guess)
    }

    fn far(&self, solver: Solver, every: usize) -> Answer {
        let far = |x: &Column| Far { x: x.clone(), every };
        let mut times = |_: &mut FarMatrix, r: &Far| Ok(Far { x: times(self.inverse.as_ref(), &r.x), every });
        let preconditioner: &mut dyn Preconditioner<FarMatrix> = &mut times;
        let mut matrix = FarMatrix { matrix: self.matrix.clone(), every };
        let found = solver.solve(self, &mut matrix, preconditioner, &far(&self.b), self.guess.as_ref().map(far));
        found.map(|(x, outcome)| (x.x, outcome))
    }

    /// Answers what it is where all is at hand, and demands the same from afar.
    #[track_caller]
    fn agreed(&self, solver: Solver) -> Answer {
        let near = self.near(solver);
        for every in EVERY {
            assert_eq!(self.far(solver, every), near, "{solver:?}, every {every}: {self:?}");
        }
        near
    }

    /// As [`agreed`](Self::agreed), with no more readings than there are looks.
    #[track_caller]
    fn read_seldom(&self, solver: Solver, beside: usize) -> Answer {
        for every in EVERY {
            READS.set(0);
            let _answer = self.far(solver, every);
            let most = beside + solver.beside() + self.iterations.div_ceil(every).max(1);
            assert!(every == 1 || READS.get() <= most, "{solver:?}, every {every}: {} of {most}", READS.get());
        }
        self.agreed(solver)
    }
}

fn times(inverse: Option<&Vec<f64>>, r: &Column) -> Column {
    inverse.map_or_else(|| r.clone(), |inverse| Column(r.0.iter().zip(inverse).map(|(r, p)| r * p).collect()))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Solver {
    Cg,
    Minres,
    Gmres,
    Neumann,
}

use Solver::{Cg, Gmres, Minres, Neumann};

const SOLVERS: [Solver; 4] = [Cg, Minres, Gmres, Neumann];

impl Solver {
    /// Whether it stops where a residual is small, and takes a preconditioner.
    fn is_krylov(self) -> bool {
        self != Neumann
    }

    /// Readings beside those of iterations: of a true residual, which is formed once the iteration is over.
    fn beside(self) -> usize {
        usize::from(matches!(self, Minres | Gmres))
    }
}

impl Solver {
    fn solve<A: LinearOperator<Error = Gone>>(
        self,
        case: &Case,
        operator: &mut A,
        preconditioner: &mut dyn Preconditioner<A>,
        b: &A::Vector,
        guess: Option<A::Vector>,
    ) -> Result<(A::Vector, Outcome), SolveError<Gone>> {
        let Case { iterations, tolerance, damping, .. } = *case;
        let is_prepared = case.inverse.is_some();
        let solution = match self {
            Cg => {
                let options = &CgOptions { iterations, tolerance, damping };
                match is_prepared {
                    false => conjugate_gradient(operator, b, guess, options),
                    true => preconditioned_conjugate_gradient(operator, preconditioner, b, guess, options),
                }
            }
            Minres => {
                let options = &MinresOptions { iterations, tolerance, damping };
                match is_prepared {
                    false => minres(operator, b, guess, options),
                    true => preconditioned_minres(operator, preconditioner, b, guess, options),
                }
            }
            Gmres => {
                let options = &GmresOptions { iterations, restart: case.restart, tolerance, damping };
                match is_prepared {
                    false => gmres(operator, b, guess, options),
                    true => preconditioned_gmres(operator, preconditioner, b, guess, options),
                }
            }
            Neumann => neumann(operator, b, guess, &NeumannOptions { terms: iterations, step_size: 0.09, damping }),
        };
        solution.map(|solution| (solution.x, solution.outcome))
    }
}

/// Definite, with as many different eigenvalues as unknowns.
fn matrix() -> Matrix {
    Matrix::diagonal(&(1..=20).map(f64::from).collect::<Vec<_>>())
}

fn right() -> Vec<f64> {
    (0..20).map(|k| f64::from(k % 7) - 2.5).collect()
}

#[test]
fn what_is_not_read_is_computed_all_the_same() {
    for solver in SOLVERS {
        let case = Case { damping: 0.5, ..Case::new(matrix(), &right(), 10, 0.0) };
        assert!(case.read_seldom(solver, 0).is_ok());
        let inverse = (0..20).map(|k| 1.0 / (3.0 + f64::from(k))).collect();
        let prepared = Case { inverse: Some(inverse), ..case.clone() };
        assert!(prepared.read_seldom(solver, 0).is_ok());
        let short = Case { iterations: 0, ..case.clone() };
        assert!(short.read_seldom(solver, 0).is_ok());
        // The guess is held against the right-hand side.
        let guessed = Case { guess: Some(Column(vec![0.1; 20])), ..case };
        assert!(guessed.read_seldom(solver, 1).is_ok());
    }
}

#[test]
fn iterations_after_convergence_change_nothing() {
    for solver in SOLVERS.into_iter().filter(|solver| solver.is_krylov()) {
        let (_, outcome) = Case::new(matrix(), &right(), 40, 1e-9).read_seldom(solver, 0).expect("it is solved");
        assert!(outcome.converged && outcome.iterations < 40, "{outcome:?}");
        // One iteration is enough, and nothing is left.
        let (x, outcome) =
            Case::new(Matrix::diagonal(&[1.0; 20]), &right(), 40, 1e-9).agreed(solver).expect("it is solved");
        assert!(outcome.iterations == 1 && distance(&x, &Column(right())) < 1e-15, "{x:?}");
        // None is needed.
        let right = matrix().times(&right());
        let solved = Case { guess: Some(Column(self::right())), ..Case::new(matrix(), &right, 40, 1e-9) };
        assert_eq!(solved.read_seldom(solver, 1).expect("it is solved").1.iterations, 0);
        let none = Case::new(matrix(), &[0.0; 20], 40, 1e-9).read_seldom(solver, 0).expect("it is solved");
        assert_eq!(none, (Column(vec![0.0; 20]), Outcome::TRIVIAL));
        let nothing = Case { guess: Some(Column(self::right())), ..Case::new(matrix(), &[0.0; 20], 40, 1e-9) };
        assert_eq!(nothing.agreed(solver).expect("it is solved").1, Outcome::TRIVIAL);
    }
}

#[test]
fn products_that_fail_after_convergence_were_not_needed() {
    // The other two form the residual at the end.
    for solver in [Cg, Neumann] {
        let whole = Case::new(matrix(), &right(), 40, 1e-3);
        for fails_after in 0..25 {
            let case = Case { matrix: Matrix { fails_after, ..matrix() }, ..whole.clone() };
            case.agreed(solver).ok();
        }
    }
}

#[test]
fn what_goes_wrong_between_two_looks_is_not_overlooked() {
    for solver in SOLVERS {
        // The first direction curves downwards, the second upwards.
        Case::new(Matrix::diagonal(&[-3.0, 1.0]), &[1.0, 1.0], 8, 0.0).agreed(solver).ok();
        Case::new(Matrix::diagonal(&[1.0, 0.0, 2.0]), &[1.0, 1.0, 1.0], 8, 0.0).agreed(solver).ok();
        Case::new(Matrix::diagonal(&[1.0, 0.0, 2.0]), &[1.0, 0.0, 1.0], 8, 0.0).agreed(solver).expect("it is solved");
        Case::new(Matrix::diagonal(&[1.0, 1e-17, 2.0]), &[1.0, 1.0, 1.0], 8, 0.0).agreed(solver).ok();
        for bad in [f64::NAN, f64::INFINITY, 1e200] {
            let [first, last] = [0, 1].map(|place| {
                let mut entries = [1.0, 2.0, 3.0];
                entries[place] = bad;
                Case::new(Matrix::diagonal(&entries), &[1.0, 1.0, 1.0], 8, 0.0)
            });
            let right = Case::new(Matrix::diagonal(&[1.0, 2.0, 3.0]), &[1.0, bad, 1.0], 8, 0.0);
            let guess = Some(Column(vec![bad, 1.0, 1.0]));
            let guess = Case { guess, ..Case::new(Matrix::diagonal(&[1.0, 2.0, 3.0]), &[1.0, 1.0, 1.0], 8, 0.0) };
            for case in [first, last, right, guess] {
                let told = |answer: Answer| answer.map_err(|error| error.to_string());
                for every in EVERY {
                    let (far, near) = (told(case.far(solver, every)), told(case.near(solver)));
                    assert_eq!(format!("{far:?}"), format!("{near:?}"), "{case:?}");
                }
            }
        }
        let inverse = Some(vec![1.0, -1.0, 0.5]);
        let case = Case { inverse, ..Case::new(Matrix::diagonal(&[1.0, 2.0, 3.0]), &[1.0, 0.1, 1.0], 8, 0.0) };
        let refused = matches!(case.agreed(solver), Err(SolveError::PreconditionerNotPositiveDefinite { .. }));
        assert_eq!(refused, matches!(solver, Cg | Minres));
    }
}

#[test]
fn a_preconditioner_that_is_another_one_each_time_is_not_overlooked() {
    let mut times = 0;
    let mut turning = |_: &mut FarMatrix, r: &Far| {
        times += 1;
        let mut answer = r.clone();
        answer.scale(Sealed(if times % 2 == 0 { 3.0 } else { 1.0 }));
        Ok(answer)
    };
    let (a, b) = (&mut FarMatrix { matrix: matrix(), every: 8 }, Far { x: Column(right()), every: 8 });
    let refused = preconditioned_conjugate_gradient(a, &mut turning, &b, None, &cg(10, 0.0, 0.5));
    let refused = refused.map(|solution| solution.x.x);
    use SolveError::{PreconditionerNotLinear, PreconditionerNotSymmetric};
    assert!(matches!(refused, Err(PreconditionerNotLinear { .. } | PreconditionerNotSymmetric { .. })), "{refused:?}");
}

/// A symmetric system, definite or not.
fn symmetric() -> impl Strategy<Value = Case> {
    let signs = prop_oneof![Just(1.0), -1.0..1.0];
    let numbers = (0_usize..14, 1_usize..14, prop_oneof![Just(0.0), 1e-12..0.5], prop_oneof![Just(0.0), 0.0..2.0]);
    (system(), signs, numbers, any::<(bool, bool)>()).prop_map(
        |((rows, b), sign, numbers, (is_guessed, is_prepared))| {
            let n = b.0.len();
            let mut matrix = Matrix::gram(&rows, 1e-3);
            (0..n).step_by(2).for_each(|i| matrix.rows[i][i] *= sign);
            let inverse = is_prepared.then(|| (0..n).map(|i| 1.0 / (1.0 + matrix.rows[i][i].abs())).collect());
            let guess = is_guessed.then(|| Column(b.0.iter().rev().map(|x| 0.3 * x).collect()));
            let (iterations, restart, tolerance, damping) = numbers;
            Case { matrix, b, guess, inverse, iterations, restart, tolerance, damping }
        },
    )
}

proptest! {
    #[test]
    fn no_answer_depends_on_how_often_anybody_looks(case in symmetric()) {
        for solver in SOLVERS {
            case.agreed(solver).ok();
        }
    }

    #[test]
    fn no_answer_depends_on_it_without_symmetry(case in symmetric(), (rows, _) in system()) {
        let mut case = case;
        for (row, other) in case.matrix.rows.iter_mut().zip(&rows) {
            row.iter_mut().zip(other).for_each(|(entry, other)| *entry += other);
        }
        case.agreed(Gmres).ok();
    }
}
