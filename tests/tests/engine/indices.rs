//! Indices that a loss draws, and such as are given as coordinates.

use betty_runtime::{Batch, Engine, EngineError, Stream, multilevel};
use burn::module::Param;
use burn::tensor::IndexingUpdateOp::{Add, Assign};
use burn::tensor::{Device, Distribution, Int, Tensor};

type Table = Param<Tensor<2>>;

#[derive(Batch, Clone, Debug)]
struct At {
    at: Tensor<2, Int>,
}

fn read(table: &Table, batch: At) -> Tensor<1> {
    table.val().gather_nd::<2, 1>(batch.at).sum()
}

fn written(table: &Table, batch: At) -> Tensor<1> {
    let value = Tensor::<1>::ones([1], &table.val().device()) * 2.0;
    let added = table.val().scatter_nd(batch.at.clone(), value.clone(), Add);
    (added + table.val().scatter_nd(batch.at, value, Assign)).square().sum()
}

fn drawn(table: &Table, _batch: ()) -> Tensor<1> {
    let numbers = Tensor::<1, Int>::random([1000], Distribution::Default, &table.val().device());
    table.val().sum() * numbers.remainder_scalar(2).float().mean()
}

multilevel! {
    struct Reading;
    level table: Table { batch: At, loss: read, optimizer: sgd(lr = 1.0) }
}

multilevel! {
    struct Writing;
    level table: Table { batch: At, loss: written, optimizer: sgd(lr = 0.1) }
}

multilevel! {
    struct Drawing;
    level table: Table { batch: (), loss: drawn, optimizer: sgd(lr = 1.0) }
}

fn table() -> Table {
    Param::from_tensor(Tensor::zeros([3, 4], &Device::flex()))
}

/// These coordinates one after the other.
fn stream(all: &[[i64; 2]]) -> Stream<At> {
    let all = all.to_vec();
    let batches = all.into_iter().map(|at| At { at: Tensor::from_ints([at], &Device::flex()) });
    Stream::batches(batches.map(Ok::<_, std::io::Error>))
}

#[test]
fn a_coordinate_that_is_none_of_its_dimension_is_no_other_entry() {
    let refused = |result: Result<_, EngineError>, at: [i64; 2]| {
        let error = result.map(|_: u64| ()).expect_err("there is no such entry");
        assert!(matches!(&error, EngineError::Panicked { level, .. } if level == "table"), "{at:?}: {error}");
    };
    // The first, the second and the last would be entries in a list of all.
    for at in [[1, -1], [0, 5], [3, 0], [2, 4], [-1, 11]] {
        for before in [&[][..], &[[2, 3]]] {
            let coordinates = [before, &[at]].concat();
            let (data, steps) = (ReadingData { table: stream(&coordinates) }, coordinates.len() as u64);
            let mut engine = Engine::new(Reading { table: table() }, data, ReadingConfig::default()).unwrap();
            refused(engine.run(steps).map(|report| report.iterations), at);
            let data = WritingData { table: stream(&coordinates) };
            let mut engine = Engine::new(Writing { table: table() }, data, WritingConfig::default()).unwrap();
            refused(engine.run(steps).map(|report| report.iterations), at);
        }
    }
    let data = ReadingData { table: stream(&[[2, 3], [0, 0], [1, 2]]) };
    let mut engine = Engine::new(Reading { table: table() }, data, ReadingConfig::default()).unwrap();
    engine.run(3).unwrap();
    let values: Vec<f32> = engine.problem().table.val().into_data().iter::<f32>().collect();
    let expected = [0, 6, 11].into_iter().fold([0.0; 12], |mut all: [f32; 12], at| {
        all[at] = -1.0;
        all
    });
    assert_eq!(values, expected);
}

#[test]
fn integers_that_are_drawn_are_not_all_the_same() {
    let data = DrawingData { table: Stream::constant(()) };
    let mut engine = Engine::new(Drawing { table: table() }, data, DrawingConfig::default()).unwrap();
    engine.run(1).unwrap();
    // Every entry has moved by the share of odd numbers.
    let moved = -engine.problem().table.val().mean().into_scalar::<f32>();
    assert!((0.4..0.6).contains(&moved), "{moved}");
}
