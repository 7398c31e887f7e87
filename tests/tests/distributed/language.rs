//! What a level may say of its steps, on several ranks: starts that are drawn anew, a function after each step, the number of a step.

use betty_runtime::{Engine, ProgramConfig, Step, multilevel};
use burn::module::Param;
use burn::tensor::{DType, Device, Distribution, Tensor};

use super::problem::{Knobs, Net, Samples, assert_exact, both};

/// The same on all ranks.
fn drawn(device: &Device) -> Net {
    let normal = |shape: [usize; 2]| Tensor::random(shape, Distribution::Normal(0.0, 0.5), (device, DType::F64));
    Net {
        first: Param::from_tensor(normal([3, 4])),
        bias: Param::from_tensor(normal([1, 4]).reshape([4])),
        second: Param::from_tensor(normal([4, 2])),
    }
}

/// Nearer to zero the longer a weight is, as far as the level above says.
fn shrunk(net: Net, knobs: &Knobs) -> Net {
    let scale = knobs.penalty.val().exp();
    let shrink = |weight: Tensor<2>| {
        let size = weight.clone().powi_scalar(2).sum() * scale.clone() + 1.0;
        weight / size.reshape([1, 1])
    };
    Net { first: net.first.map(shrink), second: net.second.map(shrink), ..net }
}

fn choose(knobs: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch) + knobs.shift.val().powi_scalar(2).sum() * 0.1
}

fn fit(net: &Net, knobs: &Knobs, (batch, step): (Samples, Step)) -> Tensor<1> {
    let moved = Samples { x: batch.x + knobs.shift.val().unsqueeze(), y: batch.y };
    let error = net.error(moved);
    error.clone() / (step.like(&error) + 1.0) + net.penalty() * 0.01
}

multilevel! {
    struct Anew;
    level knobs: Knobs { lower: [net], batch: Samples, loss: choose, optimizer: adam(lr = 0.01) }
    level net: Net {
        upper: [knobs], batch: (Samples, Step), loss: fit, optimizer: sgd(lr = 0.1, momentum = 0.5), unroll: 3,
        start: fresh(drawn), after_step: shrunk, hypergradient: unrolled,
    }
}

#[test]
fn steps_are_those_of_one_process_whatever_a_level_says_of_them() {
    for method in ["unrolled", "forward", "evolution"] {
        let config = format!(r#"{{ "net": {{ "hypergradient": {{ "method": "{method}" }} }} }}"#);
        let (whole, ranks) = both::<Anew>(
            &[&[3, 5], &[4, 2]],
            |view| {
                let data = AnewData { knobs: view.samples(1), net: view.samples(2).stepped() };
                let problem = Anew { knobs: Knobs::new(0), net: Net::new(1) };
                Engine::new(problem, data, AnewConfig::from_json(&config).expect("a config"))
            },
            |engine| {
                engine.run(3)?;
                Ok([engine.problem().knobs.values(), engine.problem().net.values()].concat())
            },
        );
        assert_exact(&whole.expect("a run"), &ranks, 1e-12, method);
    }
}
