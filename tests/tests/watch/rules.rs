//! Every rule in the table of `Health` ends a run that is ill in its way, and the table has every rule that there is.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use betty_runtime::watch::{Health, OnUnhealthy};
use betty_runtime::{Engine, Multilevel, ProgramConfig, Stream, Warning, multilevel};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use crate::health::{IllConfig, IllData, ill, problem, shift};
use crate::problem::{Point, text};
use crate::retry::{Adding, AddingConfig, AddingData};

/// The warning that ends a run: as its reason, or as the error that it ends with.
fn ending<P: Multilevel>(engine: Engine<P>, health: Health, iterations: u64) -> Warning {
    let told = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&told);
    let engine = engine.attach(health.on_unhealthy(OnUnhealthy::Stop));
    let mut engine = engine.observe(move |event| log.borrow_mut().extend(event.warning()));
    let why = match engine.run(iterations) {
        Ok(report) => report.reason.unwrap_or_default(),
        Err(error) => error.to_string(),
    };
    drop(engine);
    let told = told.take();
    told.iter().find(|warning| why.starts_with(&warning.fact)).cloned().unwrap_or_else(|| panic!("{why}: {told:?}"))
}

fn ended<P: Multilevel>(engine: Engine<P>, iterations: u64) -> Warning {
    // How long iterations take depends on who else uses the machine.
    ending(engine, Health::default().without("slowing"), iterations)
}

/// The name of a rule, and a run that it ends.
type Ill = (&'static str, fn() -> Warning);

/// Each rule, and a run that it ends.
const ILL: [Ill; 20] = [
    ("runaway", || {
        let target = |step: u64| if step > 40 { 1e6 } else { 1.0 };
        let targets = (1..).map(move |step| Ok::<_, std::io::Error>(shift(target(step), 1.0, 2.0)));
        let data = IllData { y: Stream::batches(targets), x: Stream::constant(shift(1.0, 1.0, 2.0)) };
        ended(Engine::new(problem(), data, IllConfig::default()).unwrap(), 60)
    }),
    ("vanishing", || ended(ill(2.0, 1e-9, "{}"), 30)),
    ("solver", || {
        let slow = r#"{ "x": { "hypergradient": { "method": "neumann", "terms": 3, "step_size": 0.001 } } }"#;
        ended(ill(2.0, 1.0, slow), 30)
    }),
    ("unsolved", || {
        let few = r#"{ "x": { "solver": { "name": "lbfgs", "iterations": 1, "tolerance": 1e-12 } } }"#;
        ended(ill(2.0, 1.0, few), 20)
    }),
    ("negative-curvature", || ended(ill(-2.0, 1.0, "{}"), 5)),
    ("non-finite", || {
        let wild = r#"{ "x": { "optimizer": { "name": "sgd", "lr": 1e9 }, "unroll": 9 } }"#;
        ended(ill(2.0, 1.0, wild), 5)
    }),
    ("far", || {
        let away = r#"{ "x": { "optimizer": { "name": "sgd", "lr": 0.335 } } }"#;
        ended(ill(2.0, 1.0, away), 250)
    }),
    ("still", || ended(ill(2.0, 1.0, r#"{ "y": { "optimizer": { "name": "sgd", "lr": 1e-12 } } }"#), 400)),
    ("bound", || {
        let bound = r#"{ "y": { "project": { "name": "clamp", "low": 0.0, "high": 0.3 } } }"#;
        ended(ill(0.3, 0.3, bound), 200)
    }),
    ("no-rate", || {
        // A schedule counts steps, and the level takes more of them than it says.
        let over = r#"{ "y": { "schedule": { "name": "linear", "steps": 20 } } }"#;
        ended(ill(2.0, 1.0, over), 200)
    }),
    ("retracing", || {
        let sizes = [2, 3, 4, 5].map(|size| Ok::<_, std::io::Error>(Tensor::ones([size], &Device::flex())));
        let problem = Shapes { x: Point::new(&[0.5]) };
        ended(Engine::new(problem, ShapesData { x: Stream::batches(sizes) }, ShapesConfig::default()).unwrap(), 4)
    }),
    ("slowing", || {
        // Data that come later and later, as from a disk that fills.
        let mut given = 0;
        let slow = move |()| {
            given += 1;
            std::thread::sleep(if given > 60 { Duration::from_millis(120) } else { Duration::ZERO });
            Ok::<_, std::io::Error>(Tensor::ones([2], &Device::flex()))
        };
        let data = ShapesData { x: Stream::batches(std::iter::repeat(()).map(slow)) };
        let engine = Engine::new(Shapes { x: Point::new(&[0.5]) }, data, ShapesConfig::default()).unwrap();
        ending(engine, Health::default(), 400)
    }),
    ("rounding", || {
        // 257 is 256 in bf16, so that nothing is left of the difference.
        let rows = Tensor::from_floats([[257.0, -256.0]], &Device::flex());
        let problem = Rounded { x: Point::new(&[1.0, 1.0]) };
        ended(Engine::new(problem, RoundedData { x: Stream::constant(rows) }, RoundedConfig::default()).unwrap(), 3)
    }),
    ("zero-edge", || {
        let problem = Adding { y: Point::new(&[1.0]), x: Point::new(&[0.5]) };
        ended(Engine::new(problem, AddingData { y: ().into(), x: ().into() }, AddingConfig::default()).unwrap(), 3)
    }),
    ("unverified", || {
        let problem = Rootless { y: Point::new(&[0.5, -1.0]), x: Point::new(&[2.0, 0.5]) };
        let data = RootlessData { y: ().into(), x: ().into() };
        ended(Engine::new(problem, data, RootlessConfig::default()).unwrap(), 3)
    }),
    ("costly", || ended(chain("{}").costly_above(1.0), 3)),
    ("one-by-one", || {
        let method = r#"{ "method": "forward_gradient", "directions": 2 }"#;
        let below = format!(r#"{{ "start": "initial", "unroll": 2, "hypergradient": {method} }}"#);
        ended(ill(2.0, 1.0, &format!(r#"{{ "y": {{ "tasks": 2, "vectorize": true }}, "x": {below} }}"#)), 3)
    }),
    ("last-task", || ended(chain(r#"{ "mid": { "tasks": 2 }, "low": { "start": "initial" } }"#), 3)),
    ("last-read", || {
        let point = || Point::new(&[0.5, 0.2]);
        let problem = Beside { top: point(), mid: point(), low: point() };
        let data = BesideData { top: ().into(), mid: ().into(), low: ().into() };
        ended(Engine::new(problem, data, BesideConfig::default()).unwrap(), 3)
    }),
    ("unseen-number", || {
        let one = |at: f32| Param::from_tensor(Tensor::<1>::from_floats([at], &Device::flex()));
        let problem = Unseen { rates: Rates { penalty: one(0.3), log_lr: one(-1.5) }, x: Point::new(&[0.5]) };
        let data = UnseenData { rates: ().into(), x: ().into() };
        ended(Engine::new(problem, data, UnseenConfig::default()).unwrap(), 3)
    }),
];

#[test]
fn every_rule_of_the_table_ends_a_run_that_is_ill_in_its_way() {
    for (rule, run) in ILL {
        let warning = run();
        assert_eq!(warning.rule, rule, "{warning:?}");
    }
    let fired: BTreeSet<String> = ILL.iter().map(|(rule, _)| (*rule).to_owned()).collect();
    assert_eq!(fired, table(), "rules that end runs here, and those of the table in watch/health/mod.rs");
}

/// Those that say nothing of the program end no run: what could not be written, and what is told of another try.
const OF_NO_PROGRAM: [&str; 6] = ["save", "retry", "best", "reading", "scheduler", "validation"];

#[test]
fn every_rule_that_there_is_stands_in_the_table() {
    let mut found = BTreeSet::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../betty-runtime/src");
    for file in sources(&source) {
        let text = text(&file);
        // Where warnings are made: by these two functions, and by hand.
        for opening in ["warning(", "warn(", "rule:"] {
            let after = text.split(opening).skip(1).map(str::trim_start);
            let quoted = after.filter_map(|rest| rest.strip_prefix('"')?.split_once('"'));
            found.extend(quoted.map(|(rule, _)| rule.to_owned()));
        }
    }
    let table = table();
    assert!(found.len() > 15, "{found:?}");
    let unlisted: Vec<_> =
        found.iter().filter(|rule| !table.contains(*rule) && !OF_NO_PROGRAM.contains(&rule.as_str())).collect();
    assert!(unlisted.is_empty(), "not in the table of watch/health/mod.rs: {unlisted:?}");
}

/// The rules of the table that users read.
fn table() -> BTreeSet<String> {
    let rows = include_str!("../../../betty-runtime/src/watch/health/mod.rs").lines();
    let rules = rows.filter_map(|row| row.strip_prefix("/// | `")?.split_once("` |"));
    rules.flat_map(|(rules, _)| rules.split("`, `").map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The files of the library, but for those of tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files =
        entries.filter(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with("tests")));
    files.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

fn mean(x: &Point, rows: Tensor<1>) -> Tensor<1> {
    (x.at.val() - rows.mean()).square().sum()
}

multilevel! {
    struct Shapes;
    level x: Point { batch: Tensor<1>, loss: mean, optimizer: sgd(lr = 0.1) }
}

fn difference(x: &Point, rows: Tensor<2>) -> Tensor<1> {
    rows.matmul(x.at.val().reshape([2, 1])).square().sum()
}

multilevel! {
    struct Rounded;
    level x: Point { batch: Tensor<2>, loss: difference, optimizer: sgd(lr = 1e-9), precision: bf16 }
}

fn gap(own: &Point, other: &Point, _: ()) -> Tensor<1> {
    (own.at.val() - other.at.val()).square().sum() + own.at.val().square().sum() * 0.1
}

/// The root of zero has no derivative.
fn rootless(x: &Point, y: &Point, _: ()) -> Tensor<1> {
    gap(x, y, ()) + (y.at.val() - y.at.val() * 1.0).abs().sqrt().sum()
}

multilevel! {
    struct Rootless;
    level y: Point { lower: [x], batch: (), loss: gap, optimizer: sgd(lr = 0.01) }
    level x: Point {
        upper: [y], batch: (), loss: rootless, optimizer: sgd(lr = 0.1), hypergradient: evolution(pairs = 2, sigma = 0.1),
    }
}

fn between(own: &Point, above: &Point, below: &Point, _: ()) -> Tensor<1> {
    gap(own, above, ()) + (own.at.val() * below.at.val()).sum() * 0.1
}

multilevel! {
    struct Chain;
    level top: Point { lower: [mid], batch: (), loss: gap, optimizer: sgd(lr = 0.01) }
    level mid: Point { upper: [top], lower: [low], batch: (), loss: between, optimizer: sgd(lr = 0.1), hypergradient: dense }
    level low: Point { upper: [mid], batch: (), loss: gap, optimizer: sgd(lr = 0.1), hypergradient: dense }
}

fn chain(json: &str) -> Engine<Chain> {
    let point = || Point::new(&[0.5, 0.2]);
    let problem = Chain { top: point(), mid: point(), low: point() };
    let data = ChainData { top: ().into(), mid: ().into(), low: ().into() };
    Engine::new(problem, data, ChainConfig::from_json(json).unwrap()).unwrap()
}

fn over_both(top: &Point, mid: &Point, low: &Point, _: ()) -> Tensor<1> {
    gap(top, mid, ()) + gap(top, low, ())
}

multilevel! {
    struct Beside;
    level top: Point { lower: [mid, low], batch: (), loss: over_both, optimizer: sgd(lr = 0.01) }
    level mid: Point {
        upper: [top], lower: [low], batch: (), loss: between, optimizer: sgd(lr = 0.1), unroll: 2,
        hypergradient: evolution(pairs = 2, sigma = 0.1),
    }
    level low: Point { upper: [top], batch: (), loss: gap, optimizer: sgd(lr = 0.1), unroll: 2, hypergradient: unrolled }
}

#[derive(Module, Debug)]
struct Rates {
    penalty: Param<Tensor<1>>,
    log_lr: Param<Tensor<1>>,
}

/// Reads nothing of the rate of its steps.
fn penalized(x: &Point, rates: &Rates, _: ()) -> Tensor<1> {
    (x.at.val() - 1.0).square().sum() + (rates.penalty.val() * x.at.val().square()).sum()
}

fn judged(_: &Rates, x: &Point, _: ()) -> Tensor<1> {
    (x.at.val() - 2.0).square().sum()
}

multilevel! {
    struct Unseen;
    level rates: Rates { lower: [x], batch: (), loss: judged, optimizer: sgd(lr = 0.1) }
    level x: Point {
        upper: [rates], batch: (), loss: penalized, optimizer: sgd(lr = exp(rates.log_lr)), unroll: 3, hypergradient: cg,
    }
}
