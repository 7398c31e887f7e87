//! Projections against their closed forms, and what is true of every projection onto a convex set.

use betty_runtime::execute::{Program, Value};
use betty_runtime::graph::{Graph, NodeId, vjp};
use betty_runtime::{AtLeastConfig, ClampConfig, NormBallConfig, ProjectionConfig, SimplexConfig};
use burn::tensor::{DType, Device, TensorData};
use proptest::prelude::*;

fn value(numbers: &[f64], shape: &[usize]) -> Value {
    Value::from_data(TensorData::new(numbers.to_vec(), shape.to_vec()), &Device::flex())
}

/// The projection of one tensor, and the product of a cotangent with its Jacobian.
fn project_and_pull(set: &ProjectionConfig, shape: &[usize], x: &[f64], cotangent: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut graph = Graph::new();
    let (input, seed) = (graph.input(shape, DType::F64), graph.input(shape, DType::F64));
    let projected = set.project(&mut graph, &[input]).expect("the input is a float tensor")[0];
    let pulled = vjp(&mut graph, &[(projected, seed)], &[input]).expect("every operation has a derivative")[0];
    let outputs: Vec<NodeId> = std::iter::once(projected).chain(pulled).collect();
    let program = Program::new(&graph, &[input, seed], &outputs, &Device::flex());
    let results = program.run([value(x, shape), value(cotangent, shape)], 0);
    let mut results = results.iter().map(|result| result.to_vec().expect("flex is always readable"));
    let projected = results.next().expect("the projection is the first output");
    (projected, results.next().unwrap_or_else(|| vec![0.0; x.len()]))
}

fn project(set: &ProjectionConfig, shape: &[usize], x: &[f64]) -> Vec<f64> {
    project_and_pull(set, shape, x, &vec![0.0; x.len()]).0
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn distance(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
}

/// The threshold of the projection onto the simplex, by sorting: the largest of `(Σ_{j≤k} x₍ⱼ₎ − total)/k`.
fn threshold(x: &[f64], total: f64) -> f64 {
    let mut sorted = x.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let mut sum = -total;
    let means = (1..).zip(sorted).map(|(k, x)| {
        sum += x;
        sum / f64::from(k)
    });
    means.fold(f64::NEG_INFINITY, f64::max)
}

fn simplex(total: f64) -> ProjectionConfig {
    ProjectionConfig::Simplex(SimplexConfig { total })
}

fn sets() -> impl Strategy<Value = ProjectionConfig> {
    prop_oneof![
        (-1.0..1.0).prop_map(|low| ProjectionConfig::AtLeast(AtLeastConfig { low })),
        (-1.0..1.0, 0.1..1.0).prop_map(|(low, width)| ProjectionConfig::Clamp(ClampConfig { low, high: low + width })),
        (0.1..5.0).prop_map(simplex),
        (0.1..5.0).prop_map(|radius| ProjectionConfig::NormBall(NormBallConfig { radius })),
    ]
}

fn points(count: usize) -> impl Strategy<Value = Vec<Vec<f64>>> {
    (1_usize..40).prop_flat_map(move |n| prop::collection::vec(prop::collection::vec(-3.0..3.0, n), count))
}

proptest! {
    /// `⟨x − Px, Py − Px⟩ ≤ 0` for all `x` and `y` is what makes `P` the projection onto a convex set.
    #[test]
    fn it_is_the_nearest_point(set in sets(), points in points(2)) {
        let [x, y] = [&points[0], &points[1]];
        let shape = [x.len()];
        let (px, py) = (project(&set, &shape, x), project(&set, &shape, y));
        let to_x: Vec<f64> = x.iter().zip(&px).map(|(x, px)| x - px).collect();
        let along: Vec<f64> = py.iter().zip(&px).map(|(py, px)| py - px).collect();
        prop_assert!(dot(&to_x, &along) <= 1e-11);
        prop_assert!(distance(&project(&set, &shape, &px), &px) < 1e-12, "what is in the set stays");
    }

    /// Where it is smooth, the Jacobian is symmetric, and the quotient of differences.
    #[test]
    fn it_differentiates_to_central_differences(set in sets(), points in points(2)) {
        let [x, cotangent] = [&points[0], &points[1]];
        let (_, pulled) = project_and_pull(&set, &[x.len()], x, cotangent);
        let h = 1e-7;
        let moved = |step: f64| -> Vec<f64> { x.iter().zip(cotangent).map(|(x, v)| x + step * v).collect() };
        let (ahead, behind) = (project(&set, &[x.len()], &moved(h)), project(&set, &[x.len()], &moved(-h)));
        let quotient: Vec<f64> = ahead.iter().zip(&behind).map(|(a, b)| (a - b) / (2.0 * h)).collect();
        prop_assert!(distance(&pulled, &quotient) < 1e-6 * (1.0 + dot(cotangent, cotangent)), "{pulled:?} {quotient:?}");
    }

    #[test]
    fn the_simplex_has_the_threshold_of_the_sorted_entries(
        rows in (1_usize..5, 1_usize..60).prop_flat_map(|(rows, n)| {
            // Quarters make many ties.
            prop::collection::vec(prop::collection::vec((-20..20_i32).prop_map(|x| f64::from(x) / 4.0), n), rows)
        }),
        total in 0.1..5.0,
    ) {
        let projected = project(&simplex(total), &[rows.len(), rows[0].len()], &rows.concat());
        for (row, projected) in rows.iter().zip(projected.chunks(rows[0].len())) {
            let threshold = threshold(row, total);
            let expected: Vec<f64> = row.iter().map(|x| (x - threshold).max(0.0)).collect();
            prop_assert!(distance(projected, &expected) < 1e-12);
            prop_assert!((projected.iter().sum::<f64>() - total).abs() < 1e-12);
        }
    }
}

#[test]
fn bounds_and_balls_are_their_closed_forms() {
    let x = [-2.0, 0.25, 0.5, 3.0];
    let at_least = ProjectionConfig::AtLeast(AtLeastConfig { low: 0.5 });
    assert_eq!(project(&at_least, &[4], &x), [0.5, 0.5, 0.5, 3.0]);
    let clamp = ProjectionConfig::Clamp(ClampConfig { low: -1.0, high: 0.5 });
    assert_eq!(project(&clamp, &[4], &x), [-1.0, 0.25, 0.5, 0.5]);
    let ball = |radius| ProjectionConfig::NormBall(NormBallConfig { radius });
    assert_eq!(project(&ball(4.0), &[4], &x), x, "what is inside is not touched, not even by rounding");
    assert!(distance(&project(&ball(0.5), &[2, 1], &[3.0, -4.0]), &[0.3, -0.4]) < 1e-15);
    assert_eq!(project_and_pull(&ball(0.5), &[2], &[0.0, 0.0], &[1.0, 2.0]).1, [1.0, 2.0]);
}

#[test]
fn a_ball_holds_all_tensors_together() {
    let mut graph = Graph::new();
    let inputs = [graph.input(&[1], DType::F64), graph.input(&[1, 2], DType::F32)];
    let ball = ProjectionConfig::NormBall(NormBallConfig { radius: 1.0 });
    let outputs = ball.project(&mut graph, &inputs).expect("both are float tensors");
    let program = Program::new(&graph, &inputs, &outputs, &Device::flex());
    let single = TensorData::new(vec![2.0_f32, 4.0], [1, 2]);
    let results = program.run([value(&[4.0], &[1]), Value::from_data(single, &Device::flex())], 0);
    let results: Vec<f64> =
        results.iter().flat_map(|result| result.to_vec().expect("flex is always readable")).collect();
    assert!(distance(&results, &[2.0 / 3.0, 1.0 / 3.0, 2.0 / 3.0]) < 1e-7, "{results:?}");
}

#[test]
fn a_simplex_is_found_among_large_and_many_numbers() {
    let spread: Vec<f64> = (0..20_000).map(|i| (f64::from(i) * 0.618).fract() * 1e-3 - f64::from(i % 7)).collect();
    let projected = project(&simplex(1.0), &[spread.len()], &spread);
    let threshold = threshold(&spread, 1.0);
    assert!(projected.iter().zip(&spread).all(|(p, x)| (p - (x - threshold).max(0.0)).abs() < 1e-13));
    // The total is lost in the last digits of the entries, but not in their differences.
    assert_eq!(project(&simplex(1.0), &[3], &[1e17, 0.0, 1e17]), [0.5, 0.0, 0.5]);
    assert_eq!(project(&simplex(2.0), &[1], &[-5.0]), [2.0]);
}

#[test]
fn what_is_no_float_is_refused() {
    let mut graph = Graph::new();
    let integers = graph.input(&[3], DType::I64);
    let refused = simplex(1.0).project(&mut graph, &[integers]).expect_err("integers lie on no simplex");
    assert!(refused.to_string().contains("I64"), "{refused}");
}
