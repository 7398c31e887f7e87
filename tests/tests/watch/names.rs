//! Metrics that are called like numbers of the library's own.

use betty_runtime::watch::{CsvFile, ReportFile};
use betty_runtime::{Engine, Goal, Measured, Score, Stream, Validation, multilevel};

use crate::problem::{Point, text};

fn penalized(x: &Point, _batch: ()) -> Measured {
    let plain = x.at.val().square().sum();
    Measured::new(plain.clone() * 2.0).with("loss", plain)
}

multilevel! {
    struct Penalized;
    level x: Point { batch: (), loss: penalized, optimizer: sgd(lr = 0.1) }
}

#[test]
fn a_metric_takes_no_place_of_another_number() {
    let folder = tempfile::tempdir().unwrap();
    let [table, page] = ["run.csv", "run.html"].map(|name| folder.path().join(name));
    let value = |_: &Penalized| Ok(Score::new(7.0).with("value", 8.0));
    let problem = Penalized { x: Point::new(&[1.0, 2.0]) };
    let mut engine = Engine::new(problem, PenalizedData { x: Stream::constant(()) }, PenalizedConfig::default())
        .unwrap()
        .validate(Validation::every::<Score>(1, Goal::Min, value))
        .attach(CsvFile::new(&table))
        .attach(ReportFile::new(&page));
    engine.run(1).unwrap();
    let table = text(&table);
    for row in ["1,x,1,loss,10.0", "1,x,1,metric/loss,5.0", "1,validation,,value,7.0", "1,validation,,metric/value,8.0"]
    {
        assert!(table.lines().any(|line| line == row), "{row} in {table}");
    }
    assert!(text(&page).contains("metric/loss"));
}
