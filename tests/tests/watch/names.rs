//! Metrics that are called like numbers of the library's own.

use betty_runtime::watch::{CsvFile, ReportFile};
use betty_runtime::{Engine, Event, Goal, Measured, Score, Stream, Validation, multilevel};
use burn::tensor::Tensor;

use crate::problem::{Point, text};

fn penalized(x: &Point, _batch: ()) -> Measured {
    let plain = x.at.val().square().sum();
    Measured::new(plain.clone() * 2.0).with("loss", plain)
}

/// Three metrics that are called like what a report tells of hypergradients.
fn posed(y: &Point, x: &Point, _batch: ()) -> Measured {
    let loss = (x.at.val() - 1.0).square().sum() + y.at.val().square().sum();
    let with = |measured: Measured, (name, value): (&'static str, f32)| {
        measured.with(name, Tensor::from_floats([value], &y.at.val().device()))
    };
    [("angle", 500.0), ("direct", 600.0), ("indirect", 700.0)].into_iter().fold(Measured::new(loss), with)
}

fn follow(x: &Point, y: &Point, _batch: ()) -> Tensor<1> {
    (x.at.val() - y.at.val() * 0.5).square().sum()
}

multilevel! {
    struct Posed;
    level y: Point { lower: [x], batch: (), loss: posed, optimizer: sgd(lr = 0.1) }
    level x: Point { upper: [y], batch: (), loss: follow, optimizer: sgd(lr = 0.1), hypergradient: cg }
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

#[test]
fn a_metric_takes_no_place_of_the_parts_of_a_gradient() {
    let folder = tempfile::tempdir().unwrap();
    let [table, page] = ["run.csv", "run.html"].map(|name| folder.path().join(name));
    let problem = Posed { y: Point::new(&[1.0, 2.0]), x: Point::new(&[0.5, 0.25]) };
    let data = PosedData { y: Stream::constant(()), x: Stream::constant(()) };
    let parts = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let told = std::rc::Rc::clone(&parts);
    let mut engine = Engine::new(problem, data, PosedConfig::default())
        .unwrap()
        .attach(CsvFile::new(&table))
        .attach(ReportFile::new(&page))
        .observe(move |event| {
            if let Event::Parts { direct, indirect, cosine: Some(cosine), .. } = *event {
                told.borrow_mut().extend([direct, indirect, cosine.acos().to_degrees()]);
            }
        });
    engine.run(1).unwrap();
    let page = text(&page);
    let (_, rest) = page.split_once(r#"id="record">"#).unwrap();
    let record: serde_json::Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
    let table = text(&table);
    let parts = parts.take();
    for ((name, told), metric) in ["direct", "indirect", "angle"].iter().zip(parts).zip([600.0, 700.0, 500.0]) {
        for (name, value) in [((*name).to_owned(), told), (format!("metric/{name}"), metric)] {
            let shown = record["series"][format!("y/{name}")]["points"][0][1].as_f64().unwrap();
            assert!((shown - value).abs() <= 1e-5 * value, "{name}: {shown} and not {value}");
            assert_eq!(
                table.lines().filter(|line| line.contains(&format!(",{name},"))).count(),
                1,
                "{name} in {table}"
            );
        }
    }
}
