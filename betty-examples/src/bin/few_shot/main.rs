//! Few-shot classification: learn where to begin, so that five steps on five images tell five new classes apart.
//!
//! ```text
//! min_φ  mean over tasks t of  query_t(θ_K^t)
//!
//! MAML      θ_0 = φ,  θ_{k+1} = θ_k − α∇support_t(θ_k)                       differentiated step by step
//! ANIL      the same for a change of the last layer alone
//! iMAML     θ* = argmin_θ support_t(θ) + ½γ‖θ − φ‖²,   dθ*/dφ = γ(∂²support_t + γI)⁻¹      by minimal residuals
//! ```
//!
//! Finn, Abbeel and Levine (2017, arXiv:1703.03400); Raghu et al. (2020, arXiv:1909.09157); Rajeswaran et al. (2019,
//! arXiv:1909.04630). A class is a digit in one of four rotations; the tasks of the test are made of three digits that training never
//! saw. Against it: the same steps from random parameters, and from a network that was trained to tell all training classes apart,
//! each with the best of several rates, and the nearest image.

mod model;
mod programs;
mod tasks;

use std::process::ExitCode;

use betty_examples::command::Sharing;
use betty_examples::compare::{Compare, Trial};
use betty_examples::failure::{Failure, check_positive, finish};
use betty_examples::metrics::Comparison;
use betty_examples::plot::{Curve, Curves};
use betty_examples::rival::with_rate;
use betty_runtime::distributed::Split;
use betty_runtime::{Engine, HypergradientConfig, LevelConfig, MinresConfig};
use clap::{Parser, value_parser};
use rand::SeedableRng;
use rand::rngs::StdRng;

use model::Net;
use programs::{Anil, AnilConfig, Maml, MamlConfig, Pretraining, PretrainingConfig, PretrainingData};
use tasks::{Classes, Tasks};

/// Many small tensors come and go in every step; this allocator hands them out faster than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rates that the baselines choose from.
const RATES: [f64; 5] = [0.03, 0.1, 0.3, 1.0, 3.0];
/// Numbers of steps that are drawn.
const DRAWN: [usize; 7] = [1, 2, 3, 5, 8, 12, 16];
/// Steps that iMAML takes, whose answer shall be near the minimum.
const IMPLICIT_STEPS: usize = 16;

/// Learns where to begin, so that a network tells five new classes apart after five steps on few images of each.
#[derive(Debug, Parser)]
#[command(name = "few_shot", version)]
#[command(mut_arg("seed", |seed| seed.help("Seed of initial parameters and tasks")))]
#[command(mut_arg("out", |out| out.default_value("out/few_shot")))]
#[command(mut_arg("config", |config| config.help(
    "JSON file whose numbers replace those of the program; ANIL and pretraining share the numbers of MAML, and so does implicit MAML \
     but for its 16 steps and its solver"
)))]
struct Options {
    /// Images of each class to learn from.
    #[arg(long, default_value_t = 1, value_name = "K", value_parser = value_parser!(u16).range(1..=100))]
    shots: u16,
    /// Steps of the initial parameters; implicit MAML, whose steps cost more, takes a quarter of them.
    #[arg(long, default_value_t = 400, value_name = "N")]
    steps: u64,
    /// Tasks of the test; a fifth as many choose the rates of the baselines, and are drawn.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = value_parser!(u16).range(5..))]
    test_tasks: u16,
    /// How strongly implicit MAML draws an adapted network to where it began: γ.
    #[arg(long, default_value_t = 0.1, value_name = "WEIGHT")]
    proximity: f64,
    /// Whether processes share the tasks of what is trained.
    #[command(flatten)]
    sharing: Sharing,
    /// What all comparisons have.
    #[command(flatten)]
    compare: Compare,
}

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    check_positive(&[("steps", options.steps)])?;
    if !(options.proximity.is_finite() && options.proximity > 0.0) {
        return Err(Failure::Proximity { proximity: options.proximity });
    }
    let config: MamlConfig = options.compare.config()?;
    let steps = format!("{} steps", config.adapted.unroll);
    let choices = [("--shots", options.shots.to_string()), ("--proximity", options.proximity.to_string())];
    let Some(session) = options.compare.open::<Maml>(config, &choices, options.sharing.ranks()?)? else {
        return Ok(());
    };
    let table = Comparison::new(
        ["begin at", "accuracy on new digits"],
        [
            ("maml", &format!("MAML, {steps}")),
            ("anil", &format!("ANIL, {steps}")),
            ("pretrained", &format!("pretrained on all classes, {steps}")),
            ("scratch", &format!("random parameters, {steps}")),
            ("imaml", &format!("implicit MAML, {IMPLICIT_STEPS} steps, after a quarter of the training")),
            ("scratch_16", &format!("random parameters, {IMPLICIT_STEPS} steps")),
            ("nearest", "the nearest image, no steps"),
        ],
    );
    session.compare("accuracies", table, |trial| compare(options, trial))?;
    Ok(())
}

/// Accuracies of one seed.
fn compare(options: &Options, trial: &Trial<'_, MamlConfig>) -> Result<[f64; 7], Failure> {
    let (seed, config, device) = (trial.seed, trial.config, trial.device);
    let mut rng = StdRng::seed_from_u64(seed);
    let (known, novel) = Classes::known_and_novel();
    let tasks = |classes: &Classes, part: u64| {
        Tasks::new(classes.clone(), usize::from(options.shots), seed.wrapping_mul(3).wrapping_add(part))
    };
    let (training, validation, test) = (tasks(&known, 0), tasks(&known, 1), tasks(&novel, 2));
    let start = Net::new(&mut rng, device);
    let count = usize::from(options.test_tasks);

    let engine = Maml::engine(start.clone(), &training, 0.0, config, device)?.seed(seed);
    let maml = trial.train(trial.ranks.split(engine, Split::Tasks)?, "maml", options.steps)?.meta;
    let implicit = implicit(config);
    let engine = Maml::engine(start.clone(), &training, options.proximity, &implicit, device)?.seed(seed);
    let imaml = trial.train(trial.ranks.split(engine, Split::Tasks)?, "imaml", options.steps.div_ceil(4))?.meta;
    let head = of_the_head(config);
    let engine = Anil::engine(start.clone(), &training, &head, device)?.seed(seed);
    let anil = trial.train(trial.ranks.split(engine, Split::Tasks)?, "anil", options.steps)?.net;
    let engine = Engine::new(
        Pretraining { net: start.with_head(known.len(), &mut rng, device) },
        PretrainingData { net: known.batches(seed, trial.ranks, device)? },
        PretrainingConfig { net: LevelConfig { tasks: 1, vectorize: false, ..config.meta.clone() } },
    )?;
    let pretrained = trial.train(engine, "pretraining", options.steps)?.net.without_head(device);

    let chooser = Chooser { tasks: &validation, count: count / 5, trial };
    let pretrained_config = chooser.tuned(&pretrained, config)?;
    let scratch_config = chooser.tuned(&start, config)?;
    let scratch_16 = chooser.tuned(&start, &with_steps(config, IMPLICIT_STEPS))?;
    let reached = |net: &Net, config: &MamlConfig| -> Result<f64, Failure> {
        trial.heed()?;
        Ok(Maml::accuracy(net, &test, count, 0.0, config, device)?)
    };
    if trial.is_first {
        let nets = [("MAML", &maml), ("pretrained", &pretrained), ("random", &start)];
        trial.output.write("steps.svg", drawing(nets, config, chooser, &test, options.shots)?)?;
    }
    Ok([
        reached(&maml, config)?,
        Anil::accuracy(&anil, &test, count, &head, device)?,
        reached(&pretrained, &pretrained_config)?,
        reached(&start, &scratch_config)?,
        Maml::accuracy(&imaml, &test, count, options.proximity, &implicit, device)?,
        reached(&start, &scratch_16)?,
        test.nearest(count),
    ])
}

/// Tasks of known classes, by which baselines choose a rate.
#[derive(Clone, Copy)]
struct Chooser<'a> {
    tasks: &'a Tasks,
    count: usize,
    trial: &'a Trial<'a, MamlConfig>,
}

impl Chooser<'_> {
    /// With the one of several rates that is best.
    fn tuned(&self, net: &Net, config: &MamlConfig) -> Result<MamlConfig, Failure> {
        let mut best = (f64::NEG_INFINITY, config.clone());
        for rate in RATES {
            let mut config = config.clone();
            config.adapted.optimizer = config.adapted.optimizer.map(|optimizer| with_rate(optimizer, rate));
            let accuracy = self.accuracy(net, self.tasks, &config)?;
            best = if accuracy > best.0 { (accuracy, config) } else { best };
        }
        Ok(best.1)
    }

    /// The mean accuracy over as many tasks.
    fn accuracy(&self, net: &Net, tasks: &Tasks, config: &MamlConfig) -> Result<f64, Failure> {
        self.trial.heed()?;
        Ok(Maml::accuracy(net, tasks, self.count, 0.0, config, self.trial.device)?)
    }
}

fn with_steps(config: &MamlConfig, steps: usize) -> MamlConfig {
    let mut config = config.clone();
    config.adapted.unroll = steps;
    config
}

/// The numbers of MAML, for a best response in the place of steps.
fn implicit(config: &MamlConfig) -> MamlConfig {
    let mut config = with_steps(config, IMPLICIT_STEPS);
    // The Hessian has negative eigenvalues beyond γ.
    let minres = MinresConfig { iterations: 5, ..Default::default() };
    config.adapted.hypergradient = Some(HypergradientConfig::Minres(minres));
    // Systems of several tasks are solved one after the other.
    config.meta.vectorize = false;
    config
}

/// The numbers of MAML, for steps of the head alone.
fn of_the_head(config: &MamlConfig) -> AnilConfig {
    let start = AnilConfig::default().change.start;
    AnilConfig { net: config.meta.clone(), change: LevelConfig { start, ..config.adapted.clone() } }
}

/// Accuracies after some numbers of steps. The first network takes the steps that it was trained for, the others those at the best
/// rate for their number.
fn drawing(
    nets: [(&str, &Net); 3],
    config: &MamlConfig,
    chooser: Chooser<'_>,
    test: &Tasks,
    shots: u16,
) -> Result<String, Failure> {
    let mut curves = Vec::new();
    for (number, (name, net)) in nets.into_iter().enumerate() {
        let mut points = Vec::new();
        for steps in DRAWN {
            let mut config = with_steps(config, steps);
            if number > 0 {
                config = chooser.tuned(net, &config)?;
            }
            points.push((steps as f64, chooser.accuracy(net, test, &config)?));
        }
        curves.push(Curve { name: name.into(), points });
    }
    let title = format!("Five new classes, images of each to learn from: {shots}");
    let plot = Curves { title, x: "steps".into(), y: "accuracy".into(), curves, dots: None };
    Ok(plot.to_svg()?)
}

#[cfg(test)]
mod tests {
    use betty_runtime::ProgramConfig;

    use super::*;

    #[test]
    fn what_a_config_says_holds_for_all_ways() {
        let json = r#"{"meta": {"tasks": 3}, "adapted": {"unroll": 2, "optimizer": {"lr": 0.25}}}"#;
        let config = MamlConfig::from_json(json).expect("numbers of MAML");
        let (head, implicit) = (of_the_head(&config), implicit(&config));
        assert_eq!((head.net.tasks, head.change.unroll), (3, 2));
        assert_eq!(head.change.optimizer, config.adapted.optimizer);
        assert_eq!((implicit.meta.tasks, implicit.adapted.unroll), (3, IMPLICIT_STEPS));
        assert_eq!(implicit.adapted.optimizer, config.adapted.optimizer);
        // Where nothing is said, the program's own numbers are MAML's.
        assert_eq!(of_the_head(&MamlConfig::default()), AnilConfig::default());
    }
}
