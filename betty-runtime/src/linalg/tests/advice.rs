//! What errors advise works when it is followed once.

use super::*;
use crate::linalg::symmetric::eigen;

/// A random symmetric matrix with eigenvalues of both signs, or some that are 0 and none below.
fn matrix() -> impl Strategy<Value = (Matrix, Column)> {
    (2_usize..25, any::<bool>()).prop_flat_map(|(n, is_singular)| {
        let rows = prop::collection::vec(prop::collection::vec(-1.0..1.0, n), n);
        let b = prop::collection::vec(-1.0..1.0_f64, n).prop_filter("b must not vanish", |b| norm(b) > 1e-3);
        (rows, b.prop_map(Column)).prop_map(move |(rows, b)| {
            let entry = |i: usize, j: usize| {
                if is_singular {
                    // Of half the rank.
                    rows[..n / 2].iter().map(|row| row[i] * row[j]).sum()
                } else {
                    rows[i.max(j)][i.min(j)]
                }
            };
            (Matrix::new((0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect()), b)
        })
    })
}

fn smallest_eigenvalue(a: &Matrix) -> f64 {
    eigen(a.rows.clone()).0.into_iter().fold(f64::INFINITY, f64::min)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn cg_solves_under_the_damping_that_it_asks_for((mut a, b) in matrix(), iterations in 1_usize..80) {
        let Err(error) = conjugate_gradient(&mut a, &b, None, &cg(iterations, 0.0, 0.0)) else { return Ok(()) };
        let SolveError::NotPositiveDefinite { smallest, remedy, curvature, .. } = error else {
            return Err(TestCaseError::fail(error.to_string()));
        };
        prop_assert!(smallest <= curvature && curvature <= 0.0 && smallest >= smallest_eigenvalue(&a) - 1e-10);
        let damping = remedy.damping.expect("it is not definite");
        let solved = conjugate_gradient(&mut a, &b, None, &cg(iterations, 0.0, damping))?;
        let enough = conjugate_gradient(&mut a, &b, None, &cg(2 * b.0.len() + 200, 1e-8, damping))?;
        prop_assert!(enough.outcome.converged, "{:?} {:?}", solved.outcome, enough.outcome);
        // Also for another right-hand side.
        let other = Column(b.0.iter().enumerate().map(|(i, x)| x + (i as f64).cos()).collect());
        conjugate_gradient(&mut a, &other, None, &cg(iterations, 0.0, damping))?;
    }

    #[test]
    fn neumann_converges_with_the_numbers_that_it_asks_for((mut a, b) in matrix(), terms in 2_usize..200, step in 0.05..5.0) {
        let options = NeumannOptions { terms, step_size: step, damping: 0.0 };
        let Err(error) = neumann(&mut a, &b, None, &options) else { return Ok(()) };
        let (SolveError::NotPositiveDefinite { remedy, .. } | SolveError::Diverged { remedy, .. }) = error else {
            return Err(TestCaseError::fail(error.to_string()));
        };
        let (damping, step_size) = (remedy.damping.unwrap_or(0.0), remedy.step_size.unwrap_or(step));
        let longer = NeumannOptions { terms: terms + 300, step_size, damping };
        let solved = neumann(&mut a, &b, None, &longer)?;
        prop_assert!(solved.outcome.residual < 1.0, "{remedy}: {:?}", solved.outcome);
    }

    #[test]
    fn nystrom_solves_under_the_damping_that_it_asks_for((mut a, b) in matrix(), rank in 1_usize..25) {
        let options = NystromOptions { rank, damping: 1e-3, seed: 3 };
        let Err(error) = nystrom(&mut a, &b, &options) else { return Ok(()) };
        let SolveError::NotPositiveDefinite { remedy, .. } = error else {
            return Err(TestCaseError::fail(error.to_string()));
        };
        let damping = remedy.damping.expect("it is not definite");
        for seed in 0..4 {
            let solved = nystrom(&mut a, &b, &NystromOptions { damping, seed, ..options });
            prop_assert!(solved.is_ok(), "{solved:?}");
        }
    }

    #[test]
    fn a_singular_matrix_has_an_inverse_under_the_damping_that_is_asked_for((mut a, b) in matrix()) {
        let minres_options = MinresOptions { iterations: 200, tolerance: 1e-10, damping: 0.0 };
        let gmres_options = krylov::options(200, 200, 1e-10);
        let text = |error: SolveError<Gone>| error.to_string();
        let asked = |text: &str| -> f64 {
            let number = text.split("damping by ").nth(1).and_then(|rest| rest.split(' ').next());
            number.and_then(|number| number.parse().ok()).expect("it names a number")
        };
        if let Err(error) = dense(&mut a, &b, &EXACT) {
            let damping = asked(&text(error));
            let solved = dense(&mut a, &b, &DenseOptions { damping, ..EXACT })?;
            prop_assert!(solved.outcome.residual < 1e-8);
        }
        if let Err(error) = minres(&mut a, &b, None, &minres_options) {
            let damping = asked(&text(error));
            let solved = minres(&mut a, &b, None, &MinresOptions { damping, ..minres_options })?;
            prop_assert!(solved.outcome.converged);
        }
        if let Err(error) = gmres(&mut a, &b, None, &gmres_options) {
            let damping = asked(&text(error));
            let solved = gmres(&mut a, &b, None, &GmresOptions { damping, ..gmres_options })?;
            prop_assert!(solved.outcome.converged);
        }
    }
}

#[test]
fn a_singular_system_gets_a_number_that_helps() {
    let (mut a, b) = (Matrix::diagonal(&[4.0, 0.0]), Column(vec![0.0, 1.0]));
    let error = conjugate_gradient(&mut a, &b, None, &cg(5, 0.0, 0.0)).expect_err("it has no inverse");
    let text = "the operator is not positive definite: its curvature is 0.0e0 along a direction met in iteration 1, and its \
                smallest eigenvalue at most 0.0e0; raise the damping to 1.0e0, or use minres, which does not need it";
    assert_eq!(error.to_string(), text);
    // A part along the other direction tells how large damping has to be.
    let b = Column(vec![1.0, 1.0]);
    let error = conjugate_gradient(&mut a, &b, None, &cg(5, 0.0, 0.0)).expect_err("it has no inverse");
    assert!(error.to_string().contains("raise the damping to 4.0e-3, or use minres"), "{error}");
    assert!(conjugate_gradient(&mut a, &b, None, &cg(5, 1e-10, 4e-3)).is_ok_and(|solved| solved.outcome.converged));
}

#[test]
fn following_the_advice_again_and_again_is_not_needed() {
    // Two negative eigenvalues, and the smaller one hides behind the other for a while.
    let spectrum = [10.0, 8.0, 6.0, 3.0, 1.0, -0.1, -3.0];
    let b = Column(vec![1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1e-3]);
    let mut a = Matrix::diagonal(&spectrum);
    let error = conjugate_gradient(&mut a, &b, None, &cg(20, 0.0, 0.0)).expect_err("it is indefinite");
    let SolveError::NotPositiveDefinite { smallest, remedy, .. } = error else { panic!("{error}") };
    assert!((smallest + 3.0).abs() < 1e-10 && remedy.damping == Some(6.0), "{smallest} {remedy}");
    assert!(conjugate_gradient(&mut a, &b, None, &cg(20, 1e-10, 6.0)).is_ok_and(|solved| solved.outcome.converged));
}

#[test]
fn a_step_that_is_too_long_is_noticed_from_solution_to_solution() {
    // One step of the system at a time, each from where the last one ended: the eigenvalue 4 makes residuals 1.2 times as long.
    let (mut a, b) = (Matrix::diagonal(&[1.0, 4.0]), Column(vec![1.0, 1.0]));
    for terms in [1, 2, 5] {
        let mut options = NeumannOptions { terms, step_size: 0.55, damping: 0.0 };
        let mut run = |options: &NeumannOptions, steps: usize| {
            let mut guess = None;
            for step in 0..steps {
                guess = Some(neumann(&mut a, &b, guess.take(), options).map_err(|error| (step, error))?.x);
            }
            Ok(guess.expect("there was a step"))
        };
        let (step, error) = run(&options, 1000).expect_err("it diverges");
        assert!(step * terms <= 20, "{terms}: {step}");
        let SolveError::Diverged { growth, step_size, largest, remedy, .. } = &error else { panic!("{error}") };
        assert!((10.0..30.0).contains(growth) && *step_size == 0.55 && (largest - 4.0).abs() < 1e-12, "{error}");
        assert_eq!(*remedy, Remedy { damping: None, step_size: Some(0.25) });
        assert!(error.to_string().contains("step_size 0.55 must be below 2/λ_max"), "{error}");
        options.step_size = 0.25;
        let solved = run(&options, 200).expect("this step is short enough");
        assert!(distance(&solved, &Column(vec![1.0, 0.25])) < 1e-12, "{solved:?}");
    }
}

#[test]
fn a_downward_curve_is_noticed_from_solution_to_solution() {
    let (mut a, b) = (Matrix::diagonal(&[1.0, -0.5]), Column(vec![1.0, 1.0]));
    let options = NeumannOptions { terms: 1, step_size: 0.4, damping: 0.0 };
    let mut guess = None;
    let error = (0..1000).find_map(|_| match neumann(&mut a, &b, guess.take(), &options) {
        Ok(solved) => {
            guess = Some(solved.x);
            None
        }
        Err(error) => Some(error),
    });
    let Some(SolveError::NotPositiveDefinite { curvature, smallest, remedy, .. }) = error else { panic!("{error:?}") };
    assert!(curvature < 0.0 && (smallest + 0.5).abs() < 1e-12 && remedy.damping == Some(1.0), "{curvature} {smallest}");
}

#[test]
fn a_guess_of_another_system_is_no_divergence() {
    // A right-hand side that shrinks a thousand times leaves a guess behind that is far too long, and steps that shorten it.
    let mut a = Matrix::diagonal(&[1.0, 4.0]);
    let options = NeumannOptions { terms: 1, step_size: 0.4, damping: 0.0 };
    let b = Column(vec![1e-3, 1e-3]);
    let mut x = Column(vec![1.0, 0.25]);
    for _ in 0..100 {
        x = neumann(&mut a, &b, Some(x), &options).expect("steps are short enough").x;
    }
    assert!(distance(&x, &Column(vec![1e-3, 2.5e-4])) < 1e-12, "{x:?}");
}

#[test]
fn a_negative_eigenvalue_that_takes_long_to_find_is_found_or_outweighed() {
    // More iterations than the search has products, and an eigenvalue below 0 that is small beside the largest.
    let n = 200;
    let b = Column(vec![1.0; n]);
    for negative in [-1e-1, -1e-2, -1e-3, -1e-4] {
        let eigenvalue = |i: usize| if i == 0 { negative } else { 10.0_f64.powf(1.0 - 4.0 * i as f64 / n as f64) };
        let mut a = Matrix::diagonal(&(0..n).map(eigenvalue).collect::<Vec<_>>());
        let error = conjugate_gradient(&mut a, &b, None, &cg(1000, 1e-8, 0.0)).expect_err("it is indefinite");
        let SolveError::NotPositiveDefinite { remedy: Remedy { damping: Some(damping), .. }, .. } = error else {
            panic!("{error}")
        };
        assert!(damping > -negative, "{negative}: {damping}");
        let solved = conjugate_gradient(&mut a, &b, None, &cg(1000, 1e-8, damping)).expect("it is definite now");
        assert!(solved.outcome.converged, "{:?}", solved.outcome);
    }
}
