//! Configs of all kinds, written and read over defaults of all kinds.

use std::cell::RefCell;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

thread_local! {
    static DEFAULTS: RefCell<Option<Drawn>> = const { RefCell::new(None) };
}

/// A program of two levels, whose defaults are those that were set last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Drawn {
    upper: LevelConfig,
    lower: LevelConfig,
}

impl Default for Drawn {
    fn default() -> Self {
        DEFAULTS.with_borrow(Clone::clone).expect("defaults are drawn first")
    }
}

impl ProgramConfig for Drawn {
    fn levels(&self) -> Vec<&LevelConfig> {
        vec![&self.upper, &self.lower]
    }

    fn levels_mut(&mut self) -> Vec<&mut LevelConfig> {
        vec![&mut self.upper, &mut self.lower]
    }
}

/// Draws everything that a config can say.
struct Draw(StdRng);

impl Draw {
    fn one_of<T: Clone>(&mut self, values: &[T]) -> T {
        values[self.0.random_range(0..values.len())].clone()
    }

    /// A number with all its digits.
    fn number(&mut self) -> f64 {
        self.0.random_range(0.1..0.9)
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.0.random_bool(0.5).then(|| make(self))
    }

    fn optimizer(&mut self) -> OptimizerConfig {
        let learned = Hyperparameter::learned(Transform::Exp, "upper", "");
        let fixed = self.number().into();
        let lr = self.one_of(&[fixed, learned]);
        let (momentum, decay) = (self.number().into(), self.number().into());
        match self.0.random_range(0..2) {
            0 => OptimizerConfig::Sgd(SgdConfig {
                lr,
                momentum,
                weight_decay: decay,
                dampening: 0.0.into(),
                nesterov: true,
            }),
            _ => OptimizerConfig::Adam(AdamConfig { lr, beta_1: momentum, ..adam() }),
        }
    }

    fn schedule(&mut self) -> ScheduleConfig {
        let gamma = self.number();
        self.one_of(&[
            ScheduleConfig::ExponentialSchedule(ExponentialScheduleConfig { gamma, rise: 3, restart: true }),
            ScheduleConfig::StepSchedule(StepScheduleConfig { steps: 7, gamma, rise: 0, restart: false }),
        ])
    }

    fn clip(&mut self) -> Clip {
        let limit = self.number();
        self.one_of(&[Clip::Norm(limit), Clip::Value(limit)])
    }

    fn project(&mut self) -> ProjectionConfig {
        let number = self.number();
        self.one_of(&[
            ProjectionConfig::Clamp(ClampConfig { low: -number, high: number }),
            ProjectionConfig::NormBall(NormBallConfig { radius: number }),
        ])
    }

    fn group(&mut self, own: &str) -> GroupConfig {
        GroupConfig {
            paths: self.maybe(|_| vec![own.to_owned()]),
            optimizer: self.optimizer(),
            schedule: self.maybe(Self::schedule),
            clip: self.maybe(Self::clip),
            project: self.maybe(Self::project),
        }
    }

    fn level(&mut self) -> LevelConfig {
        let solver = self
            .maybe(|draw| LevelSolverConfig::Lbfgs(LbfgsConfig { tolerance: draw.number(), ..LbfgsConfig::default() }));
        let mut groups = BTreeMap::new();
        for (name, own) in [("head", "a"), ("tail", "b")] {
            if solver.is_none() && self.0.random_bool(0.5) {
                groups.insert(name.to_owned(), self.group(own));
            }
        }
        let has_own = solver.is_none() && (groups.is_empty() || self.0.random_bool(0.5));
        let optimizer = has_own.then(|| self.optimizer());
        let damping = self.number();
        LevelConfig {
            unroll: self.one_of(&[1, 10]),
            warmup: self.one_of(&[0, 3]),
            schedule: has_own.then(|| self.maybe(Self::schedule)).flatten(),
            clip: has_own.then(|| self.maybe(Self::clip)).flatten(),
            project: has_own.then(|| self.maybe(Self::project)).flatten(),
            optimizer,
            groups,
            solver,
            hypergradient: self.one_of(&[
                None,
                Some(HypergradientConfig::Cg(CgConfig { damping, ..CgConfig::default() })),
                Some(HypergradientConfig::Unrolled(UnrolledConfig { truncate: Some(3), ..UnrolledConfig::default() })),
                Some(HypergradientConfig::Unrolled(UnrolledConfig::default())),
            ]),
            preconditioner: self.one_of(&[
                None,
                Some(PreconditionerConfig::NystromPreconditioner(NystromPreconditionerConfig::default())),
                Some(PreconditionerConfig::DiagonalPreconditioner(DiagonalPreconditionerConfig::default())),
            ]),
            curvature: self.one_of(&[CurvatureOf::Total, CurvatureOf::Partial]),
            solve: self.maybe(|draw| {
                SolverConfig::Inexact(InexactConfig { tolerance: draw.number(), ..InexactConfig::default() })
            }),
            accumulate: self.one_of(&[1, 4]),
            start: self.one_of(&[Start::Kept, Start::Initial, Start::LookAhead, Start::From]),
            tasks: self.one_of(&[1, 4]),
            rounds: self.one_of(&[1, 5]),
            vectorize: self.0.random_bool(0.5),
            train: self.maybe(|_| vec!["a".to_owned()]),
            freeze: self.one_of(&[vec![], vec!["b".to_owned()]]),
            precision: self.one_of(&[None, Some(Precision::Bf16), Some(Precision::F16)]),
        }
    }

    fn config(&mut self) -> Drawn {
        Drawn { upper: self.level(), lower: self.level() }
    }
}

fn adam() -> AdamConfig {
    AdamConfig {
        lr: 1e-3.into(),
        beta_1: 0.9.into(),
        beta_2: 0.999.into(),
        epsilon: 1e-5.into(),
        weight_decay: 0.0.into(),
    }
}

#[test]
fn every_config_is_read_as_it_was_written_whatever_the_defaults_are() {
    let mut draw = Draw(StdRng::seed_from_u64(0));
    for _ in 0..500 {
        let (defaults, config) = (draw.config(), draw.config());
        DEFAULTS.set(Some(defaults.clone()));
        let text = config.to_json().expect("numbers are JSON");
        assert_eq!(Drawn::from_json(&text).expect("its own text is read"), config, "{text}\nover\n{defaults:?}");
        // Those who read a level by itself read it too.
        let levels: BTreeMap<String, Value> = serde_json::from_str(&text).expect("JSON");
        assert!(levels.into_values().all(|level| serde_json::from_value::<LevelConfig>(level).is_ok()), "{text}");
        // Nothing is said of what nobody has.
        let own = defaults.to_json().expect("numbers are JSON");
        assert_eq!(own, serde_json::to_string_pretty(&defaults).expect("numbers are JSON"));
    }
}

#[test]
fn what_was_taken_away_is_written() {
    let mut draw = Draw(StdRng::seed_from_u64(1));
    let mut defaults = draw.config();
    defaults.lower = LevelConfig {
        optimizer: Some(OptimizerConfig::Adam(adam())),
        schedule: Some(draw.schedule()),
        groups: [("head".to_owned(), draw.group("a")), ("tail".to_owned(), draw.group("b"))].into(),
        rounds: 5,
        curvature: CurvatureOf::Partial,
        solver: None,
        ..defaults.lower
    };
    DEFAULTS.set(Some(defaults.clone()));
    let mut config = defaults;
    let lower = &mut config.lower;
    (lower.schedule, lower.rounds, lower.curvature) = (None, 1, CurvatureOf::Total);
    lower.groups.remove("tail");
    let written: Value = serde_json::from_str(&config.to_json().expect("numbers are JSON")).expect("JSON");
    let lower = &written["lower"];
    assert_eq!(lower.get("schedule"), Some(&Value::Null));
    assert_eq!(lower["groups"].get("tail"), Some(&Value::Null));
    assert_eq!((&lower["rounds"], &lower["curvature"]), (&json!(1), &json!("total")));
}

/// Whether or not the program has the group.
#[test]
fn a_group_has_no_groups() {
    let mut draw = Draw(StdRng::seed_from_u64(2));
    let mut defaults = draw.config();
    defaults.lower = LevelConfig {
        optimizer: Some(OptimizerConfig::Adam(adam())),
        groups: [("head".to_owned(), draw.group("a"))].into(),
        solver: None,
        ..defaults.lower
    };
    DEFAULTS.set(Some(defaults));
    for (name, groups) in [("head", Value::Null), ("head", json!({})), ("tail", Value::Null)] {
        let group = json!({ "optimizer": { "name": "sgd", "lr": 1 }, "groups": groups });
        let error = Drawn::from_json(&json!({ "lower": { "groups": { name: group } } }).to_string());
        assert_eq!(
            error.expect_err("it has none").to_string(),
            format!(
                "`lower.groups.{name}`: unknown field `groups`; known are `optimizer`, `schedule`, `clip`, `project` and `paths`"
            )
        );
    }
}

/// Only something that takes steps takes the place of a solver.
#[test]
fn a_solver_stays_where_no_group_is_given() {
    let mut draw = Draw(StdRng::seed_from_u64(3));
    let solver = Some(LevelSolverConfig::Lbfgs(LbfgsConfig::default()));
    let mut defaults = draw.config();
    defaults.lower = LevelConfig { optimizer: None, schedule: None, groups: BTreeMap::new(), solver, ..defaults.lower };
    let read = |groups: Value| Drawn::from_json(&json!({ "lower": { "groups": groups } }).to_string());
    DEFAULTS.set(Some(defaults.clone()));
    for none in [Value::Null, json!({})] {
        assert_eq!(read(none).expect("nothing is said").lower, defaults.lower);
    }
    let error = read(json!({ "head": null })).expect_err("there is no such group");
    assert_eq!(error.to_string(), "`lower.groups`: unknown group `head`; there is none");
    let given = read(json!({ "head": { "optimizer": { "name": "sgd", "lr": 1 } } })).expect("it fits").lower;
    assert_eq!((given.solver, given.groups.len()), (None, 1));
    // Beside a group that the solver takes the place of, it says so itself.
    defaults.lower.groups = [("head".to_owned(), draw.group("a"))].into();
    defaults.lower.solver = None;
    DEFAULTS.set(Some(defaults));
    let text = json!({ "lower": { "groups": { "head": null }, "solver": { "name": "lbfgs" } } }).to_string();
    let taken = Drawn::from_json(&text).expect("it fits").lower;
    assert_eq!((taken.solver, taken.groups.len()), (solver, 0));
}
