//! Validation on several ranks: means of what is called the same, and nothing taken for something else.

use betty_runtime::distributed::{Collective, DistributedError, Threads};
use betty_runtime::{Engine, EngineError, Goal, Score, Validation, multilevel};
use burn::tensor::Tensor;

use super::problem::{Net, Samples, View};

fn fit(net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch)
}

multilevel! {
    struct Fitted;
    level net: Net { batch: Samples, loss: fit, optimizer: sgd(lr = 0.1) }
}

type Metrics = Vec<(String, f64)>;

/// What observers are told of validation on two ranks, or what ends the run.
fn told(
    scores: impl Fn(usize) -> Score + Sync + Copy + Send + 'static,
) -> Vec<Result<Vec<(f64, Metrics)>, EngineError>> {
    use std::cell::RefCell;
    use std::rc::Rc;

    use betty_runtime::Event;

    Threads::run(2, |rank| {
        let number = rank.rank();
        let data = FittedData { net: View { rank: Some(number), sizes: &[&[2, 2]] }.samples(1) };
        let engine = Engine::new(Fitted { net: Net::new(1) }, data, FittedConfig::default())?.distributed(rank)?;
        let heard = Rc::new(RefCell::new(Vec::new()));
        let hear = Rc::clone(&heard);
        let mut engine = engine.validate(Validation::every(1, Goal::Min, move |_: &Fitted| Ok(scores(number)))).watch(
            move |event, _| {
                if let Event::Validation { value, metrics, .. } = event {
                    let metrics = metrics.iter().map(|(name, value)| (name.to_string(), *value)).collect();
                    hear.borrow_mut().push((*value, metrics));
                }
            },
        );
        engine.run(2)?;
        Ok(heard.take())
    })
}

#[test]
fn metrics_are_means_of_what_has_the_same_name() {
    let found = told(|rank| match rank {
        0 => Score::new(1.0).with("accuracy", 0.9).with("loss", 2.0),
        _ => Score::new(3.0).with("loss", 4.0).with("accuracy", 0.7),
    });
    for (rank, found) in found.into_iter().enumerate() {
        let found = found.expect("it runs");
        assert_eq!(found.len(), 2);
        for (value, mut metrics) in found {
            assert_eq!(value, 2.0);
            // In the order of each rank.
            assert_eq!(metrics[0].0, ["accuracy", "loss"][rank]);
            metrics.sort_by(|one, other| one.0.cmp(&other.0));
            assert!((metrics[0].1 - 0.8).abs() < 1e-15, "{metrics:?}");
            assert_eq!(metrics[1].1, 3.0);
        }
    }
}

#[test]
fn metrics_that_one_rank_has_alone_are_an_error_on_all() {
    for auc in [0.9, 0.5] {
        let found = told(move |rank| match rank {
            0 => Score::new(1.0).with("auc", auc),
            _ => Score::new(1.0),
        });
        for error in found {
            let error = error.expect_err("there is no mean");
            let said = error.to_string();
            let differs = DistributedError::Differs { what: "validation metrics", rank: 1 };
            assert!(said.contains(&differs.to_string()), "{said}");
        }
    }
}
