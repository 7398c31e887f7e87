//! A program inside of a macro, whose arguments are expressions, paths and types in groups without delimiters.

use betty_runtime::{Hyperparameter, LevelConfig, Multilevel, Transform, multilevel};
use burn::module::{Module, Param};
use burn::tensor::Tensor;

#[derive(Module, Debug)]
struct Rates {
    log_lr: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct Net {
    head: Param<Tensor<1>>,
    body: Param<Tensor<1>>,
}

macro_rules! program {
    ($name:ident, $rates:ty, $lr:expr, $loss:path, $part:expr, $steps:expr) => {
        multilevel! {
            struct $name;

            level rates: $rates { lower: [net], batch: (), loss: judge, optimizer: sgd(lr = 0.1) }
            level net: Net {
                batch: (), loss: $loss, optimizer: sgd(lr = $lr), unroll: $steps, freeze: [$part], hypergradient: unrolled
            }
        }
    };
}

program!(Handed, Rates, exp(rates.log_lr), fit, body, 3);
program!(Plain, Rates, rates.log_lr[step], fit, body, 3);

fn judge(_rates: &Rates, net: &Net, _: ()) -> Tensor<1> {
    net.head.val().square().sum()
}

fn fit(net: &Net, _: ()) -> Tensor<1> {
    net.head.val().square().sum() + net.body.val().square().sum()
}

#[test]
fn what_a_macro_is_given_is_what_it_says() {
    let (handed, plain) = (HandedConfig::default().net, PlainConfig::default().net);
    assert_eq!((Handed::SCHEDULE.level("net"), Plain::SCHEDULE.level("net")), (Some(1), Some(1)));
    let lr = |config: &LevelConfig| config.optimizer.as_ref().unwrap().lr().clone();
    assert_eq!(lr(&handed), Hyperparameter::learned(Transform::Exp, "rates", "log_lr"));
    assert_eq!(lr(&plain), Hyperparameter::learned_by_step(Transform::Identity, "rates", "log_lr"));
    assert_eq!((handed.unroll, handed.freeze), (3, vec!["body".to_owned()]));
}
