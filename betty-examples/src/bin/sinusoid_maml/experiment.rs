//! One comparison, from one seed.

use betty_examples::failure::Failure;
use betty_examples::going::Going;
use betty_examples::output::OutputFolder;
use betty_examples::ranks::Ranks;
use betty_examples::saved::config_choices;
use betty_examples::stop::Stop;
use burn::tensor::{Device, Tensor};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::adapt::Adaptation;
use crate::cli::Options;
use crate::model::Regressor;
use crate::problem::MamlConfig;
use crate::task::{Task, tasks};
use crate::train::{Trained, Training, rate_of};

/// Steps that the test takes on a task.
pub(crate) const TEST_STEPS: usize = 10;

/// Tasks that training looks at, and that tune the baseline.
const VALIDATION_TASKS: usize = 100;

/// Learning rates that are tried for adapting the pretrained network.
const RATES: [f64; 5] = [0.001, 0.005, 0.01, 0.02, 0.05];

/// Tasks whose adapted functions are drawn.
const SHOWN: usize = 4;

/// What was learned by one way of training.
pub(crate) struct Learner {
    /// The way, for tables.
    pub(crate) name: &'static str,
    /// How it adapts in the test.
    pub(crate) adaptation: Adaptation,
    /// Validation errors during training.
    pub(crate) curve: Vec<(u64, f64)>,
    /// For each test task the errors before the first and after each step.
    pub(crate) errors: Vec<Vec<f64>>,
    /// For each drawn task the function before the first and after each step, on the grid.
    pub(crate) functions: Vec<Vec<Vec<f64>>>,
}

/// All results.
pub(crate) struct Outcome {
    /// Points to learn a task from.
    pub(crate) shots: usize,
    /// Steps of the initial parameters.
    pub(crate) iterations: u64,
    /// The test tasks; the first ones are drawn.
    pub(crate) tasks: Vec<Task>,
    /// Meta-trained, then pretrained.
    pub(crate) learners: [Learner; 2],
}

/// Trains in both ways from the same parameters, and tests on the same tasks.
pub(crate) fn run(
    options: &Options,
    config: &MamlConfig,
    device: &Device,
    output: &OutputFolder,
    ranks: &Ranks,
) -> Result<Outcome, Failure> {
    // The seeds of training, validation and test differ, and so do those of neighbouring runs.
    let seed = |part: u64| options.run.setting.seed.wrapping_mul(4).wrapping_add(part);
    let start = Regressor::new(&mut StdRng::seed_from_u64(seed(0)), device);
    let validation: Vec<Task> = tasks(options.shots, seed(2)).take(VALIDATION_TASKS).collect();
    let test: Vec<Task> = tasks(options.shots, seed(3)).take(options.test_tasks).collect();
    let choices = config_choices(config)?.into_iter().chain(options.choices()).collect();
    let stop = Stop::on_signals().map_err(Failure::Signals)?;
    let training = Training {
        shots: options.shots,
        iterations: options.iterations,
        seed: seed(1),
        validation: &validation,
        proximity: options.proximity(),
        config,
        device,
        going: Going {
            saving: &options.saving,
            watching: &options.watching,
            output,
            choices: &choices,
            stop: &stop,
            progress: !options.run.setting.machine.quiet && ranks.is_first(),
            ranks,
        },
    };

    let maml = training.maml(start.clone())?;
    let pretrained = training.pretrained(start)?;
    let rate = best_rate(&pretrained.network, &validation, device);
    let learner = |name, Trained { network, curve }: Trained, rate, proximity| {
        let adaptation = Adaptation { steps: TEST_STEPS, rate, proximity };
        Learner {
            name,
            adaptation,
            curve,
            errors: test.iter().map(|task| adaptation.errors(&network, task, device)).collect(),
            functions: test.iter().take(SHOWN).map(|task| functions(adaptation, &network, task, device)).collect(),
        }
    };
    let adapted = (rate_of(&config.adapted), options.proximity());
    let learners = [learner("MAML", maml, adapted.0, adapted.1), learner("pretrained", pretrained, rate, 0.0)];
    Ok(Outcome { shots: options.shots, iterations: options.iterations, learners, tasks: test })
}

/// The learning rate that leads furthest in the test's number of steps; the smallest, if all of them diverge.
fn best_rate(network: &Regressor, tasks: &[Task], device: &Device) -> f64 {
    let adaptation = |rate| Adaptation { steps: TEST_STEPS, rate, proximity: 0.0 };
    let tried = RATES.map(|rate| (rate, adaptation(rate).mean_error(network, tasks, device)));
    let best = tried.into_iter().filter(|(_, error)| error.is_finite()).min_by(|a, b| a.1.total_cmp(&b.1));
    best.map_or(RATES[0], |(rate, _)| rate)
}

fn functions(adaptation: Adaptation, start: &Regressor, task: &Task, device: &Device) -> Vec<Vec<f64>> {
    let x = task.wave.grid().to_device(device).x;
    let values = |y: Tensor<2>| y.into_data().iter::<f64>().collect();
    let mut functions = Vec::new();
    adaptation.run(start, task, device, |network| functions.push(values(network.forward(x.clone()))));
    functions
}
