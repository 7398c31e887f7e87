//! Adapting a network to test tasks, and judging the result.

use burn::module::Module;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::Device;

use crate::model::{Regressor, Support};
use crate::task::Task;

/// Adaptation to a task by gradient descent on its support.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Adaptation {
    /// Number of steps.
    pub(crate) steps: usize,
    /// Learning rate.
    pub(crate) rate: f64,
    /// How strongly the parameters are drawn to those at the start.
    pub(crate) proximity: f64,
}

impl Adaptation {
    /// Takes the steps from `start`, and shows the network to `watch` before the first and after each of them.
    pub(crate) fn run(&self, start: &Regressor, task: &Task, device: &Device, mut watch: impl FnMut(&Regressor)) {
        let on_tape = device.clone().autodiff();
        let support = Support { samples: task.support.to_device(&on_tape), proximity: self.proximity };
        let initial = start.clone().to_device(&on_tape).no_grad();
        let mut network = start.clone().to_device(&on_tape).train();
        let mut optimizer = SgdConfig::new().init();
        watch(start);
        for _ in 0..self.steps {
            let gradients = network.regularized(&initial, support.clone()).backward();
            let gradients = GradientsParams::from_grads(gradients, &network);
            network = optimizer.step(self.rate, network, gradients);
            watch(&network.valid().to_device(device));
        }
    }

    /// Mean squared errors over a grid, before the first and after each step.
    pub(crate) fn errors(&self, start: &Regressor, task: &Task, device: &Device) -> Vec<f64> {
        let grid = task.wave.grid().to_device(device);
        let mut errors = Vec::with_capacity(self.steps + 1);
        self.run(start, task, device, |network| errors.push(network.error(grid.clone()).into_scalar::<f64>()));
        errors
    }

    /// The mean over some tasks of the error after the last step.
    pub(crate) fn mean_error(&self, start: &Regressor, tasks: &[Task], device: &Device) -> f64 {
        let last = |task| self.errors(start, task, device)[self.steps];
        tasks.iter().map(last).sum::<f64>() / tasks.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use betty_runtime::Engine;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::problem::{Maml, MamlConfig, MamlData};
    use crate::task::tasks;

    /// The engine's inner steps are the gradient descent of the test.
    #[test]
    fn the_engine_adapts_as_the_test_does() {
        [(0.0, 1), (4.0, 1), (0.0, 2)].into_iter().for_each(adapts_as_the_test_does);
    }

    fn adapts_as_the_test_does((proximity, accumulate): (f64, usize)) {
        let device = Device::flex();
        let start = Regressor::new(&mut StdRng::seed_from_u64(1), &device);
        let mut config = MamlConfig::default();
        (config.adapted.unroll, config.adapted.accumulate, config.meta.tasks) = (3, accumulate, 1);
        let data = MamlData::endless(5, &config, proximity, 2, &device);
        let problem = Maml { meta: start.clone(), adapted: start.clone() };
        let mut engine = Engine::new(problem, data, config).expect("a valid program");
        engine.run(1).expect("a step");
        let adapted = engine.into_problem().adapted;

        let task = tasks(5, 2).next().expect("endless");
        let mut last = start.clone();
        let adaptation = Adaptation { steps: 3, rate: 0.01, proximity };
        adaptation.run(&start, &task, &device, |network| last = network.clone());
        let grid = task.wave.grid().to_device(&device);
        let distance = (adapted.forward(grid.x.clone()) - last.forward(grid.x.clone())).abs().max();
        // Single precision, and steps of about a hundredth of the values.
        assert!(distance.into_scalar::<f64>() < 1e-5);
        let moved = (start.forward(grid.x.clone()) - last.forward(grid.x)).abs().max();
        assert!(moved.into_scalar::<f64>() > 1e-2);
    }

    #[test]
    fn steps_that_descend_lower_the_error_on_the_support() {
        let device = Device::flex();
        let start = Regressor::new(&mut StdRng::seed_from_u64(1), &device);
        let task = tasks(10, 5).next().expect("endless");
        let support = task.support.to_device(&device);
        let mut errors = Vec::new();
        let adaptation = Adaptation { steps: 4, rate: 0.01, proximity: 0.0 };
        adaptation.run(&start, &task, &device, |network| {
            errors.push(network.error(support.clone()).into_scalar::<f64>());
        });
        assert_eq!(errors.len(), 5);
        assert!(errors.is_sorted_by(|before, after| before > after), "{errors:?}");
    }
}
