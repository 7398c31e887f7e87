//! What a run does when nothing goes wrong.

use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::{
    ClampConfig, Clip, Engine, Event, Goal, HypergradientConfig, LevelModule, OptimizerConfig, ProjectionConfig,
    SgdConfig, SimplexConfig, Stream, Validation, multilevel,
};
use burn::lr_scheduler::exponential::ExponentialLrSchedulerConfig;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::{Module, ParamGroup};

use crate::problem::{
    Cleaning, CleaningConfig, CleaningData, Examples, Mlp, TRAIN, Weights, clean, data, engine, examples, first_weight,
    logits, problem, self_weighted, weighted,
};

#[test]
fn the_schedule_is_followed() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    let mut engine = engine(0.0).observe(move |event| {
        if let Event::Step { name, .. } = event {
            log.borrow_mut().push(name.to_string());
        }
    });
    let report = engine.run(2).unwrap();
    assert_eq!(*seen.borrow(), ["model", "model", "model", "weights", "model", "model", "model", "weights"]);
    assert_eq!(report.iterations, 2);
    assert_eq!(report.levels.iter().map(|level| level.steps).collect::<Vec<_>>(), [2, 6]);
}

#[test]
fn losses_fall() {
    let mut engine = engine(0.0);
    let first = engine.run(1).unwrap();
    let last = engine.run(60).unwrap();
    for (first, last) in first.levels.iter().zip(&last.levels) {
        assert!(last.loss.unwrap() < 0.5 * first.loss.unwrap(), "{first:?} {last:?}");
    }
}

#[test]
fn equal_seeds_give_equal_bits_with_dropout() {
    let run = |seed| {
        let mut engine = engine(0.3).seed(seed);
        engine.run(5).unwrap();
        let problem = engine.into_problem();
        (logits(&problem), first_weight(&problem))
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn a_last_smaller_batch_is_traced_again() {
    let epoch = |_| [examples(8, 3), examples(8, 4), examples(5, 5)].map(Ok::<_, std::io::Error>).into_iter();
    let data = CleaningData { model: Stream::epochs(epoch), ..data() };
    let mut engine = Engine::new(problem(0.0), data, CleaningConfig::default()).unwrap();
    assert_eq!(engine.run(4).unwrap().levels[1].steps, 12);
}

#[test]
fn accumulated_batches_are_one_large_batch() {
    let all = examples(TRAIN, 2);
    let part = |range: std::ops::Range<usize>| {
        let mut part = all.clone();
        part.x = part.x.slice([range.clone()]);
        part.y = part.y.slice([range.clone()]);
        part.index = part.index.slice([range]);
        part
    };
    let halves = [part(0..TRAIN / 2), part(TRAIN / 2..TRAIN)];
    let run = |model: Stream<_>, accumulate| {
        let mut config = CleaningConfig::default();
        config.model.accumulate = accumulate;
        config.model.unroll = 1;
        let data = CleaningData { model, ..data() };
        let mut engine = Engine::new(problem(0.0), data, config).unwrap();
        engine.run(1).unwrap();
        first_weight(engine.problem())
    };
    let whole = run(Stream::constant(all.clone()), 1);
    let split = run(Stream::epochs(move |_| halves.clone().map(Ok::<_, std::io::Error>).into_iter()), 2);
    for (whole, split) in whole.iter().zip(&split) {
        assert!((whole - split).abs() < 1e-6, "{whole} {split}");
    }
}

#[test]
fn clipping_limits_the_step() {
    let moved = |clip| {
        let mut config = CleaningConfig::default();
        config.model.clip = clip;
        config.model.unroll = 1;
        let mut engine = Engine::new(problem(0.0), data(), config).unwrap();
        let before = first_weight(engine.problem());
        engine.run(1).unwrap();
        let after = first_weight(engine.problem());
        before.iter().zip(after).map(|(x, y)| (x - y).powi(2)).sum::<f32>().sqrt()
    };
    let free = moved(None);
    assert!(moved(Some(Clip::Norm(1e-3))) <= 0.1 * 1e-3 * 1.001);
    assert!(moved(Some(Clip::Value(1e-4))) < 0.1 * free);
    assert_eq!(moved(Some(Clip::Norm(1e6))), free);
}

#[test]
fn a_scheduler_decides_the_learning_rate() {
    let rates = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&rates);
    let scheduler = ExponentialLrSchedulerConfig::new(0.1, 0.5).init().unwrap();
    let mut engine = engine(0.0).scheduler("model", scheduler).unwrap().observe(move |event| {
        if let Event::Step { name: "model", learning_rate, .. } = event {
            log.borrow_mut().push(*learning_rate);
        }
    });
    engine.run(1).unwrap();
    let rates = rates.borrow();
    assert_eq!(rates.len(), 3);
    assert!((rates[2] / rates[1] - 0.5).abs() < 1e-12 && (rates[1] / rates[0] - 0.5).abs() < 1e-12, "{rates:?}");
}

#[test]
fn groups_of_parameters_have_their_own_rates() {
    let mut config = CleaningConfig::default();
    config.model.optimizer = Some(OptimizerConfig::Sgd(SgdConfig {
        lr: 1.0.into(),
        momentum: 0.0.into(),
        dampening: 0.0.into(),
        nesterov: false,
        weight_decay: 0.0.into(),
    }));
    config.model.unroll = 1;
    let scheduler = ModuleLrScheduler::new(0.5).with_group(ParamGroup::from_predicate("first"), 0.25);
    let engine = Engine::new(problem(0.0), data(), config).unwrap();
    let mut engine = engine.scheduler("model", scheduler).unwrap();
    let all = |problem: &Cleaning| -> Vec<f64> {
        problem.model.leaves().iter().flat_map(|leaf| leaf.value.to_vec().unwrap()).collect()
    };
    let before = all(engine.problem());
    let gradient = engine.gradient("model").unwrap().gradient;
    let first = gradient.0[0].to_vec().unwrap().len() + gradient.0[1].to_vec().unwrap().len();
    engine.run(1).unwrap();
    let after = all(engine.problem());
    for (i, slope) in gradient.to_vec().unwrap().into_iter().enumerate() {
        let rate = if i < first { 0.25 } else { 0.5 };
        assert!((after[i] - (before[i] - rate * slope)).abs() < 1e-7, "{i}");
    }
}

#[test]
fn validation_stops_early_and_keeps_the_best() {
    let values = [3.0, 2.0, 2.5, 2.6, 2.7, 1.0];
    let mut call = 0;
    let validation = Validation::every(2, Goal::Min, move |_: &Cleaning| {
        call += 1;
        Ok(values[call - 1])
    });
    let report = engine(0.0).validate(validation.patience(3)).run(100).unwrap();
    assert!(report.stopped_early);
    assert_eq!(report.iterations, 10);
    assert_eq!(report.best, Some((4, 2.0)));
}

#[test]
fn every_method_trains() {
    for method in ["cg", "minres", "gmres", "neumann", "nystrom", "finite_difference", "penalty", "identity", "dense"] {
        let mut config = CleaningConfig::default();
        let mut chosen: HypergradientConfig = method.parse().unwrap();
        match &mut chosen {
            HypergradientConfig::Cg(c) => c.damping = 1.0,
            HypergradientConfig::Minres(c) => c.damping = 1.0,
            HypergradientConfig::Gmres(c) => c.damping = 1.0,
            HypergradientConfig::Nystrom(c) => c.damping = 1.0,
            HypergradientConfig::Dense(c) => c.damping = 1.0,
            _ => {}
        }
        config.model.hypergradient = Some(chosen);
        let mut engine = Engine::new(problem(0.0), data(), config).unwrap();
        let report = engine.run(20).unwrap();
        assert!(report.levels[0].loss.unwrap() < 0.8, "{method}: {report:?}");
    }
}

#[test]
fn an_edited_program_is_traced_again() {
    let mut engine = engine(0.0);
    engine.run(2).unwrap();
    let before = logits(engine.problem());
    engine.edit(|problem| problem.model = problem.model.clone().no_grad()).unwrap_err();
    let mut engine = crate::problem::engine(0.0);
    engine.run(2).unwrap();
    engine.edit(|_| {}).unwrap();
    assert_eq!(logits(engine.problem()), before);
    engine.run(1).unwrap();
}

#[test]
fn a_finite_difference_holds_stopped_values_and_masks() {
    // Without holding them, the quotient would see through `stop_gradient` and compare two dropout masks.
    multilevel! {
        struct Held;
        level weights: Weights { lower: [model], batch: Examples, loss: clean, optimizer: sgd(lr = 0.1) }
        level model: Mlp {
            upper: [weights], batch: Examples, loss: self_weighted, optimizer: sgd(lr = 0.1),
            hypergradient: identity(scale = 1.0),
        }
    }
    let gradient = |json: &str| {
        let Cleaning { weights, model } = problem(0.3);
        let data = HeldData { weights: Stream::constant(examples(12, 1)), model: Stream::constant(examples(TRAIN, 2)) };
        let mut config = HeldConfig::default();
        config.model.hypergradient = Some(serde_json::from_str(json).unwrap());
        let mut engine = Engine::new(Held { weights, model }, data, config).unwrap();
        engine.run(2).unwrap();
        engine.gradient("weights").unwrap().gradient.to_vec().unwrap()
    };
    let exact = gradient(r#"{"method": "identity", "scale": 1.0}"#);
    let quotient = gradient(r#"{"method": "finite_difference", "perturbation": 0.01}"#);
    let norm = exact.iter().map(|x| x * x).sum::<f64>().sqrt();
    let gap = exact.iter().zip(&quotient).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
    // f32 loses half of its digits in the quotient; relu has kinks, which a short difference does not meet.
    assert!(norm > 0.0 && gap / norm < 0.002, "{exact:?} {quotient:?}");

    let exact = gradient(r#"{"method": "neumann", "terms": 4, "step_size": 0.5}"#);
    let norm = exact.iter().map(|x| x * x).sum::<f64>().sqrt();
    // With the larger multiplier the copies would be equal in f32.
    for multiplier in ["300.0", "1e12"] {
        let json = format!(r#""method": "penalty", "steps": 4, "step_size": 0.5, "multiplier": {multiplier}"#);
        let displaced = gradient(&format!(r#"{{ {json}, "warm_start": false }}"#));
        let gap = exact.iter().zip(&displaced).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
        assert!(norm > 0.0 && gap / norm < 0.002, "{exact:?} {displaced:?}");
    }
}

#[test]
fn a_projection_ends_each_step() {
    let mut config = CleaningConfig::default();
    config.weights.project = Some(ProjectionConfig::Clamp(ClampConfig { low: -0.02, high: 0.03 }));
    let mut engine = Engine::new(problem(0.0), data(), config).unwrap();
    engine.run(1).unwrap();
    // Adam's first step moves every entry by its learning rate, 0.1.
    assert!(logits(engine.problem()).iter().all(|&logit| logit == -0.02 || logit == 0.03));

    let mut config = CleaningConfig::default();
    config.weights.project = Some(ProjectionConfig::Simplex(SimplexConfig { total: 2.0 }));
    let mut engine = Engine::new(problem(0.0), data(), config).unwrap();
    engine.run(5).unwrap();
    let trained = logits(engine.problem());
    assert!((trained.iter().sum::<f32>() - 2.0).abs() < 1e-5 && trained.iter().all(|&logit| logit >= 0.0));
}

multilevel! {
    pub(crate) struct Bounded;

    level weights: Weights {
        lower: [model], batch: Examples, loss: clean, optimizer: adam(lr = 0.1), project: clamp(low = -0.5),
    }
    level model: Mlp {
        upper: [weights], batch: Examples, loss: weighted, optimizer: sgd(lr = 0.1), hypergradient: identity,
    }
}

#[test]
fn a_projection_can_be_written_in_the_program() {
    let expected = ProjectionConfig::Clamp(ClampConfig { low: -0.5, high: 1.0 });
    assert_eq!(BoundedConfig::default().weights.project, Some(expected));
}
