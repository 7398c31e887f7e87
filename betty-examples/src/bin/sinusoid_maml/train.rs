//! Meta-training, and the ordinary training that it is compared with.

use std::rc::Rc;

use betty_examples::failure::Failure;
use betty_examples::going::{Curves, Going};
use betty_examples::saved::Point;
use betty_runtime::distributed::Split;
use betty_runtime::{Engine, Event, Goal, LevelConfig, Validation};
use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::Device;
use indicatif::{ProgressBar, ProgressStyle};

use crate::adapt::Adaptation;
use crate::model::Regressor;
use crate::problem::{Maml, MamlConfig, MamlData};
use crate::task::{Points, Task, tasks};

/// How often training looks at the validation tasks.
const LOOKS: u64 = 50;

/// What both trainings share.
pub(crate) struct Training<'a> {
    /// Points to learn a task from.
    pub(crate) shots: usize,
    /// Steps of the initial parameters, each on as many tasks as the config says.
    pub(crate) iterations: u64,
    /// Decides the tasks.
    pub(crate) seed: u64,
    /// Tasks to look at during training.
    pub(crate) validation: &'a [Task],
    /// How strongly adapted parameters are drawn to the initial ones.
    pub(crate) proximity: f64,
    /// The program's numbers.
    pub(crate) config: &'a MamlConfig,
    /// Where to compute.
    pub(crate) device: &'a Device,
    /// How it is saved and watched.
    pub(crate) going: Going<'a>,
}

/// Initial parameters, and iterations with the error on the validation tasks after as many adaptation steps as in training.
pub(crate) struct Trained {
    /// The initial parameters.
    pub(crate) network: Regressor,
    /// Iterations and errors.
    pub(crate) curve: Vec<(u64, f64)>,
}

impl Training<'_> {
    /// Meta-training: the initial parameters descend the error after adaptation.
    pub(crate) fn maml(&self, start: Regressor) -> Result<Trained, Failure> {
        let data = MamlData::endless(self.shots, self.config, self.proximity, self.seed, self.device);
        let curve = Curves::default();
        let seen = Rc::clone(&curve);
        let (adaptation, tasks, device) = (self.adaptation(), self.validation.to_vec(), self.device.clone());
        let error = move |problem: &Maml| Ok(adaptation.mean_error(&problem.meta, &tasks, &device));
        let problem = Maml { adapted: start.clone(), meta: start };
        let engine = Engine::new(problem, data, self.config.clone())?;
        let engine = self
            .going
            .ranks
            .split(engine, Split::Tasks)?
            .seed(self.seed)
            .validate(Validation::every(self.every(), Goal::Min, error))
            .observe(move |event| {
                if let Event::Validation { iteration, value, .. } = *event {
                    seen.borrow_mut().push(Point { curve: "meta".into(), step: iteration, value });
                }
            });
        let network = self.going.train(engine, "meta-training", ("iterations", self.iterations), &curve)?.meta;
        Ok(Trained { network, curve: curve.take().into_iter().map(|point| (point.step, point.value)).collect() })
    }

    /// Ordinary training on the points of all tasks, as if they were one: Burn's Adam on the same points in the same order.
    pub(crate) fn pretrained(&self, start: Regressor) -> Result<Trained, Failure> {
        let on_tape = self.device.clone().autodiff();
        let mut network = start.to_device(&on_tape).train();
        let mut optimizer = AdamConfig::new().init();
        let mut tasks = tasks(self.shots, self.seed);
        let bar = if self.going.progress { bar(self.iterations) } else { ProgressBar::hidden() };
        let mut curve = Vec::new();
        for iteration in 1..=self.iterations {
            self.going.heed()?;
            let batch: Vec<Task> = tasks.by_ref().take(self.config.meta.tasks).collect();
            let gradients = network.error(Points::of_tasks(&batch).to_device(&on_tape)).backward();
            let gradients = GradientsParams::from_grads(gradients, &network);
            network = optimizer.step(rate_of(&self.config.meta), network, gradients);
            if iteration.is_multiple_of(self.every()) {
                let network = network.valid().to_device(self.device);
                curve.push((iteration, self.adaptation().mean_error(&network, self.validation, self.device)));
            }
            bar.set_position(iteration);
        }
        bar.finish_and_clear();
        Ok(Trained { network: network.valid().to_device(self.device), curve })
    }

    /// The steps that training takes on a task.
    fn adaptation(&self) -> Adaptation {
        let inner = &self.config.adapted;
        Adaptation { steps: inner.unroll, rate: rate_of(inner), proximity: self.proximity }
    }

    /// Iterations between two looks at the validation tasks.
    fn every(&self) -> u64 {
        self.iterations.div_ceil(LOOKS)
    }
}

/// The learning rate of a level of this program, in which no level learns any.
pub(crate) fn rate_of(level: &LevelConfig) -> f64 {
    level.optimizer.as_ref().and_then(|optimizer| optimizer.lr().fixed()).unwrap_or(f64::NAN)
}

/// A progress bar on standard error, if that is a terminal.
fn bar(iterations: u64) -> ProgressBar {
    let bar = ProgressBar::new(iterations).with_message("pretraining");
    match ProgressStyle::with_template("{msg:16} {wide_bar} {pos}/{len} {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
