//! An optimizer of one's own, in a program of one level.

use betty_runtime::{
    Engine, EngineError, Graph, GraphError, Optimizer, Stream, UpdateInputs, Updated, multilevel, spread_like,
};
use burn::module::Param;
use burn::tensor::{Device, Tensor};

pub(super) type Point = Param<Tensor<1>>;

/// v ← ½v + g; θ ← θ − lr·v/√(1 + v²): no entry moves further than the learning rate.
#[derive(Debug)]
pub(super) struct Damped;

impl Optimizer for Damped {
    fn name(&self) -> &'static str {
        "damped"
    }

    fn states(&self) -> usize {
        1
    }

    fn scalars(&self, _step: u64) -> Vec<f64> {
        Vec::new()
    }

    fn update(&self, graph: &mut Graph, inputs: &UpdateInputs<'_>) -> Result<Updated, GraphError> {
        inputs.check(graph, self)?;
        let kept = graph.mul_scalar(inputs.states[0], 0.5)?;
        let velocity = graph.add(kept, inputs.gradient)?;
        let square = graph.mul(velocity, velocity)?;
        let above_one = graph.add_scalar(square, 1.0)?;
        let size = graph.sqrt(above_one)?;
        let direction = graph.div(velocity, size)?;
        let rate = spread_like(graph, inputs.learning_rate, direction)?;
        let step = graph.mul(rate, direction)?;
        Ok(Updated { parameter: graph.sub(inputs.parameter, step)?, states: vec![velocity] })
    }
}

pub(super) fn distance(x: &Point, target: Tensor<1>) -> Tensor<1> {
    (x.val() - target).square().sum()
}

multilevel! {
    struct Nearer;

    level x: Point { batch: Tensor<1>, loss: distance, optimizer: custom(Damped, lr = 0.5) }
}

#[test]
fn its_steps_are_those_of_the_formula() -> Result<(), EngineError> {
    let device = Device::flex();
    let point = |values: [f32; 2]| Tensor::<1>::from_floats(values, &device);
    let data = NearerData { x: Stream::constant(point([1.0, -1.0])) };
    let problem = Nearer { x: Param::from_tensor(point([0.0, 0.5])) };
    let mut engine = Engine::new(problem, data, NearerConfig::default())?;
    engine.run(4)?;
    let found: Vec<f64> = engine.problem().x.val().into_data().iter::<f64>().collect();
    for ((mut x, target), found) in [(0.0_f64, 1.0), (0.5, -1.0)].into_iter().zip(found) {
        let mut velocity = 0.0;
        for _ in 0..4 {
            velocity = 0.5 * velocity + 2.0 * (x - target);
            x -= 0.5 * velocity / (1.0 + velocity * velocity).sqrt();
        }
        assert!((found - x).abs() < 1e-6, "{found} is not {x}");
    }
    Ok(())
}
