//! Two lower levels of one upper level, and two upper levels of one lower level.

use super::*;

// Two lower levels of one upper level, which share nothing; the upper loss adds theirs up.
multilevel! {
    struct TwoLowers;

    level outer: Vector { lower: [left, right], batch: Matrices, loss: both_gaps, optimizer: sgd(lr = 0.1) }
    level left: Vector {
        upper: [outer], batch: Matrices, loss: lower, optimizer: sgd(lr = 0.1), hypergradient: dense,
    }
    level right: Vector {
        upper: [outer], batch: Matrices, loss: lower, optimizer: sgd(lr = 0.1),
        hypergradient: cg(iterations = 4, tolerance = 0.0),
    }
}

fn both_gaps(lambda: &Vector, left: &Vector, right: &Vector, batch: Matrices) -> Tensor<1> {
    gap(lambda, left, batch.clone()) + gap(lambda, right, batch)
}

// Two upper levels of one lower level: each passes through it on its own.
multilevel! {
    struct TwoUppers;

    level first: Vector { lower: [inner], batch: Matrices, loss: gap, optimizer: sgd(lr = 0.1) }
    level second: Vector { lower: [inner], batch: Matrices, loss: gap, optimizer: sgd(lr = 0.1) }
    level inner: Vector {
        upper: [first, second], batch: Matrices, loss: twice_driven, optimizer: sgd(lr = 0.1), hypergradient: dense,
    }
}

/// Driven by the first upper level as `Bλ`, and by twice the second.
fn twice_driven(theta: &Vector, first: &Vector, second: &Vector, batch: Matrices) -> Tensor<1> {
    let sum = first.x.val() + second.x.val().mul_scalar(2.0);
    driven(theta, sum, batch)
}

#[test]
fn two_lower_levels_add_up() {
    let problem =
        TwoLowers { outer: Vector::new(LAMBDA), left: Vector::new(THETA), right: Vector::new([0.7, 0.1, -0.3, 0.2]) };
    let data = TwoLowersData {
        outer: Stream::constant(matrices()),
        left: Stream::constant(matrices()),
        right: Stream::constant(matrices()),
    };
    let mut engine = Engine::new(problem, data, TwoLowersConfig::default()).unwrap();
    let found = engine.gradient("outer").unwrap().gradient.to_vec().unwrap();
    let q: Vec<f64> = {
        let other: Vec<f64> = [0.7, 0.1, -0.3, 0.2].iter().zip(T).map(|(theta, t)| theta - t).collect();
        solve(0.0, &cotangent()).iter().zip(solve(0.0, &other)).map(|(x, y)| x + y).collect()
    };
    let exact: Vec<f64> = (0..M).map(|j| (0..N).map(|i| B[i][j] * q[i]).sum()).collect();
    assert_close(&found, &exact, 1e-10);
}

#[test]
fn two_upper_levels_each_get_their_own() {
    let problem = TwoUppers { first: Vector::new(LAMBDA), second: Vector::new(LAMBDA), inner: Vector::new(THETA) };
    let data = TwoUppersData {
        first: Stream::constant(matrices()),
        second: Stream::constant(matrices()),
        inner: Stream::constant(matrices()),
    };
    let mut engine = Engine::new(problem, data, TwoUppersConfig::default()).unwrap();
    let q = solve(0.0, &cotangent());
    let exact: Vec<f64> = (0..M).map(|j| (0..N).map(|i| B[i][j] * q[i]).sum()).collect();
    let twice: Vec<f64> = exact.iter().map(|x| 2.0 * x).collect();
    assert_close(&engine.gradient("first").unwrap().gradient.to_vec().unwrap(), &exact, 1e-10);
    assert_close(&engine.gradient("second").unwrap().gradient.to_vec().unwrap(), &twice, 1e-10);
}
