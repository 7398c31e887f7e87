//! Comparisons on a part of a batch, and at points beside the parameters, of losses that compute with indices.

use std::cell::Cell;
use std::rc::Rc;

use betty_runtime::{Batch, Engine, EngineError, Event, Stream, Unverified, multilevel};
use burn::module::Param;
use burn::tensor::{Device, Int, Tensor, TensorData};

type Vector = Param<Tensor<1>>;

const NODES: usize = 40;

/// Points, and pairs of them as indices into the points.
#[derive(Batch, Clone)]
struct Points {
    x: Tensor<2>,
    pairs: Tensor<2, Int>,
}

/// The same, with its examples named: the pairs.
#[derive(Batch, Clone)]
struct Pairs {
    x: Tensor<2>,
    #[batch(examples)]
    pairs: Tensor<2, Int>,
}

/// Points with so many features, and so many pairs of them.
fn data(features: usize, pairs: usize) -> (Tensor<2>, Tensor<2, Int>) {
    let x: Vec<f32> = (0..features * NODES).map(|i| (i as f32 * 0.7).sin()).collect();
    let indices: Vec<i32> = (0..2 * pairs).map(|i| ((11 * i + 5) % NODES) as i32).collect();
    let device = Device::flex();
    (
        Tensor::from_data(TensorData::new(x, [NODES, features]), &device),
        Tensor::from_data(TensorData::new(indices, [pairs, 2]), &device),
    )
}

/// How far apart the points of a pair are, in a metric that is learned.
fn between(metric: &Vector, x: Tensor<2>, pairs: Tensor<2, Int>) -> Tensor<1> {
    let x = x * metric.val().unsqueeze::<2>();
    let of = |side: usize| x.clone().select(0, pairs.clone().slice([0..pairs.dims()[0], side..side + 1]).flatten(0, 1));
    (of(0) - of(1)).square().sum_dim(1).mean()
}

fn of_points(metric: &Vector, upper: &Vector, Points { x, pairs }: Points) -> Tensor<1> {
    between(metric, x, pairs) + (metric.val() - upper.val()).square().sum()
}

fn of_pairs(metric: &Vector, upper: &Vector, Pairs { x, pairs }: Pairs) -> Tensor<1> {
    between(metric, x, pairs) + (metric.val() - upper.val()).square().sum()
}

fn top(upper: &Vector, metric: &Vector, _batch: ()) -> Tensor<1> {
    (metric.val() - 1.0).square().sum() + upper.val().square().sum()
}

multilevel! {
    struct OfPoints;
    level upper: Vector { lower: [metric], batch: (), loss: top, optimizer: sgd(lr = 0.01) }
    level metric: Vector {
        upper: [upper], batch: Points, loss: of_points, optimizer: sgd(lr = 0.1), hypergradient: identity(scale = 0.1),
    }
}

multilevel! {
    struct OfPairs;
    level upper: Vector { lower: [metric], batch: (), loss: top, optimizer: sgd(lr = 0.01) }
    level metric: Vector {
        upper: [upper], batch: Pairs, loss: of_pairs, optimizer: sgd(lr = 0.1), hypergradient: identity(scale = 0.1),
    }
}

fn parameter(values: &[f32]) -> Vector {
    Param::from_tensor(Tensor::from_floats(values, &Device::flex()))
}

fn metric(features: usize) -> Vector {
    parameter(&(0..features).map(|i| (i as f32 * 0.3).cos()).collect::<Vec<f32>>())
}

fn of_points_in(memory: usize) -> Engine<OfPoints> {
    let (x, pairs) = data(200, 8);
    let problem = OfPoints { upper: metric(200), metric: metric(200) };
    let data = OfPointsData { upper: Stream::constant(()), metric: Stream::constant(Points { x, pairs }) };
    Engine::new(problem, data, OfPointsConfig::default()).unwrap().verification_memory(memory)
}

fn of_pairs_in(memory: usize) -> Engine<OfPairs> {
    let (x, pairs) = data(8, 256);
    let problem = OfPairs { upper: metric(8), metric: metric(8) };
    let data = OfPairsData { upper: Stream::constant(()), metric: Stream::constant(Pairs { x, pairs }) };
    Engine::new(problem, data, OfPairsConfig::default()).unwrap().verification_memory(memory)
}

fn needed(error: &EngineError) -> usize {
    match error {
        EngineError::Unverified { source: Unverified::TooLarge { needed, .. }, .. } => *needed,
        error => panic!("{error}"),
    }
}

#[test]
fn a_batch_that_points_into_itself_is_not_blamed_for_being_cut() {
    let whole = needed(&of_points_in(600).run(100).unwrap_err());
    // Room for a part, whose pairs are of points that it leaves out.
    let less = whole * 4 / 5;
    let error = of_points_in(less).run(100).unwrap_err();
    let text = error.to_string();
    assert_eq!(needed(&error), whole);
    assert!(
        text.contains("on a part of its batch") && text.contains("`select") && text.contains("verification_memory"),
        "{text}"
    );
    of_points_in(whole).run(2).unwrap();
    of_points_in(less).allow_unverified(true).run(2).unwrap();
}

#[test]
fn a_batch_is_cut_by_the_examples_that_it_names() {
    let whole = needed(&of_pairs_in(600).run(100).unwrap_err());
    let untold = Rc::new(Cell::new(true));
    let tell = Rc::clone(&untold);
    let mut engine = of_pairs_in(whole * 4 / 5).observe(move |event| {
        if let Event::Unverified { .. } = event {
            tell.set(false);
        }
    });
    engine.run(2).unwrap();
    assert!(untold.get(), "the comparison was made");
}

/// What a table holds where the parameters say.
fn looked_up(lower: &Vector, upper: &Vector, table: Tensor<1>) -> Tensor<1> {
    (lower.val() - upper.val()).square().sum() + table.select(0, lower.val().int()).mean() * lower.val().sum()
}

fn top_of_table(upper: &Vector, lower: &Vector, _table: Tensor<1>) -> Tensor<1> {
    (lower.val() - 1.0).square().sum() + upper.val().square().sum()
}

multilevel! {
    struct Table;
    level upper: Vector { lower: [lower], batch: Tensor<1>, loss: top_of_table, optimizer: sgd(lr = 0.01) }
    level lower: Vector {
        upper: [upper], batch: Tensor<1>, loss: looked_up, optimizer: sgd(lr = 0.01), hypergradient: identity(scale = 0.1),
    }
}

#[test]
fn parameters_that_are_indices_are_compared_where_they_point_to_something() {
    // Moved up by a little, one of them is past the end.
    let numbers = [4.97, 4.98, 4.99, 4.96, 4.99, 4.98, 4.97, 4.99];
    let table = || Stream::constant(Tensor::<1>::from_floats([0.1, 0.2, 0.3, 0.4, 0.5], &Device::flex()));
    let problem = Table { upper: parameter(&[4.0; 8]), lower: parameter(&numbers) };
    let mut engine =
        Engine::new(problem, TableData { upper: table(), lower: table() }, TableConfig::default()).unwrap();
    engine.run(2).unwrap();
}
