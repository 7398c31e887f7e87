//! The iterating solvers go on from a guess.

use super::*;

fn guessed() -> impl Strategy<Value = (Vec<Vec<f64>>, Column, Column)> {
    (system(), prop::collection::vec(-1.0..1.0, 8)).prop_map(|((b, rhs), guess)| {
        let n = rhs.0.len();
        (b, rhs, Column(guess[..n].to_vec()))
    })
}

proptest! {
    #[test]
    fn krylov_solvers_reach_the_solution_from_anywhere((b, rhs, guess) in guessed()) {
        let mut a = Matrix::gram(&b, 1.0);
        let n = rhs.0.len();
        let exact = dense(&mut a, &rhs, &EXACT)?.x;
        let gmres_options = krylov::options(n, n, 1e-10);
        let minres_options = MinresOptions { iterations: n, tolerance: 1e-10, damping: 0.0 };
        let solved = gmres(&mut a, &rhs, Some(guess.clone()), &gmres_options)?;
        prop_assert!(distance(&solved.x, &exact) < 1e-8);
        let solved = minres(&mut a, &rhs, Some(guess), &minres_options)?;
        prop_assert!(distance(&solved.x, &exact) < 1e-8);
        // The solution itself is a guess that needs no step.
        let again = gmres(&mut a, &rhs, Some(exact.clone()), &gmres_options)?;
        prop_assert!(again.outcome.converged && again.outcome.iterations == 0);
        let again = minres(&mut a, &rhs, Some(exact.clone()), &minres_options)?;
        prop_assert!(again.outcome.converged && again.outcome.iterations == 0);
        prop_assert_eq!(again.x, exact);
    }

    #[test]
    fn neumann_from_its_own_sum_is_the_longer_sum((b, rhs, _) in guessed(), terms in 1_usize..6, more in 1_usize..6) {
        let mut a = Matrix::gram(&b, 0.5);
        let step_size = 1.0 / a.trace();
        let mut sum = |terms, guess| neumann(&mut a, &rhs, guess, &NeumannOptions { terms, step_size, damping: 0.1 });
        let first = sum(terms, None)?;
        let both = sum(more, Some(first.x))?;
        let whole = sum(terms + more, None)?;
        prop_assert!(distance(&both.x, &whole.x) < 1e-13);
        prop_assert!((both.outcome.residual - whole.outcome.residual).abs() < 1e-13);
    }
}

#[test]
fn a_guess_that_is_worse_than_none_is_not_begun_at() {
    let b = Column(vec![1.0, -2.0, 0.5, 3.0]);
    let mut a = Matrix::diagonal(&[1.0, 3.0, 10.0, 40.0]);
    let bad = || Some(Column(vec![30.0, 20.0, -10.0, 50.0]));
    for iterations in 0..3 {
        let by_cg = |a: &mut Matrix, guess| conjugate_gradient(a, &b, guess, &cg(iterations, 1e-10, 0.1));
        assert_eq!(by_cg(&mut a, bad()), by_cg(&mut a, None));
        let options = GmresOptions { damping: 0.1, ..krylov::options(iterations, 2, 1e-10) };
        assert_eq!(gmres(&mut a, &b, bad(), &options), gmres(&mut a, &b, None, &options));
        let options = MinresOptions { iterations, tolerance: 1e-10, damping: 0.1 };
        assert_eq!(minres(&mut a, &b, bad(), &options), minres(&mut a, &b, None, &options));
    }
}

#[test]
fn residuals_may_grow_after_a_good_guess() {
    // I − A maps (0, ε) to (−100·ε, 0) and that to 0.
    let mut a = Matrix::new(vec![vec![1.0, 100.0], vec![0.0, 1.0]]);
    let b = Column(vec![1.0, 1.0]);
    let guess = Column(vec![-99.0 + 1e-8, 1.0 - 1e-10]);
    let options = NeumannOptions { terms: 2, step_size: 1.0, damping: 0.0 };
    let solved = neumann(&mut a, &b, Some(guess), &options).expect("two steps");
    assert!(distance(&solved.x, &Column(vec![-99.0, 1.0])) < 1e-12, "{solved:?}");
}
