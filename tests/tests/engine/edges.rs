//! Edges along which no hypergradient passes, and edges that only look so.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use betty_runtime::{ConfigError, Engine, EngineError, Event, ProgramConfig, Stream, multilevel, stop_gradient};
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};

type Scalar = Param<Tensor<1>>;

fn scalar(value: f64) -> Scalar {
    Param::from_tensor(Tensor::from_data(TensorData::from([value]), (&Device::flex(), DType::F64)))
}

fn value(scalar: &Scalar) -> f64 {
    scalar.val().into_scalar()
}

fn half_square(x: Tensor<1>) -> Tensor<1> {
    x.square() * 0.5
}

fn upper(_above: &Scalar, below: &Scalar, _: ()) -> Tensor<1> {
    half_square(below.val() - 1.0)
}

/// A program of two levels with this lower loss, and what its upper level steps by.
macro_rules! pair {
    ($name:ident, $data:ident, $config:ident, $upper:path, $lower:path, $method:ident $(, $field:ident: $given:expr)*) => {
        multilevel! {
            struct $name;
            level above: Scalar { lower: [below], batch: (), loss: $upper, optimizer: sgd(lr = 1.0) }
            level below: Scalar {
                upper: [above], batch: (), loss: $lower, optimizer: sgd(lr = 0.5), unroll: 3, hypergradient: $method
                $(, $field: $given)*
            }
        }

        impl $name {
            fn engine() -> Engine<Self> {
                let problem = $name { above: scalar(0.3), below: scalar(-0.4) };
                let data = $data { above: Stream::constant(()), below: Stream::constant(()) };
                Engine::new(problem, data, $config::default()).unwrap()
            }

            fn moved(mut engine: Engine<Self>) -> Result<f64, EngineError> {
                engine.run(1)?;
                Ok(0.3 - value(&engine.problem().above))
            }
        }
    };
}

fn deaf(below: &Scalar, _above: &Scalar, _: ()) -> Tensor<1> {
    half_square(below.val() - 0.2)
}

fn beside(below: &Scalar, above: &Scalar, _: ()) -> Tensor<1> {
    half_square(below.val() - 0.2) + above.val().exp()
}

fn told(below: &Scalar, above: &Scalar, _: ()) -> Tensor<1> {
    half_square(below.val() - above.val())
}

fn upper_alone(above: &Scalar, _below: &Scalar, _: ()) -> Tensor<1> {
    half_square(above.val())
}

pair!(Deaf, DeafData, DeafConfig, upper, deaf, unrolled);
pair!(DeafImplicit, DeafImplicitData, DeafImplicitConfig, upper, deaf, cg);
pair!(Beside, BesideData, BesideConfig, upper, beside, cg);
pair!(Alone, AloneData, AloneConfig, upper_alone, told, cg);

#[track_caller]
fn check_unread(outcome: Result<f64, EngineError>, from: &str, to: &str, under: &str) {
    let error = outcome.unwrap_err();
    let EngineError::Unread { level, other, list } = &error else { panic!("{error}") };
    assert_eq!((level.as_str(), other.as_str(), *list), (from, to, under));
    assert!(error.to_string().contains(&format!("engine.unread(\"{from}\", \"{to}\")")), "{error}");
}

#[test]
fn a_loss_that_reads_nothing_of_what_its_level_lists() {
    check_unread(Deaf::moved(Deaf::engine()), "below", "above", "upper");
    check_unread(DeafImplicit::moved(DeafImplicit::engine()), "below", "above", "upper");
    check_unread(Alone::moved(Alone::engine()), "above", "below", "lower");
}

/// What is only added to a loss is no part of its gradient.
#[test]
fn what_is_only_added_is_told_once() {
    let told = |engine: fn() -> Engine<Beside>| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&seen);
        let mut engine = engine().observe(move |event| {
            if let Event::ZeroEdge { name, other, .. } = event {
                log.borrow_mut().push(format!("{name} {other}"));
            }
        });
        engine.run(3).unwrap();
        seen.take()
    };
    assert_eq!(Beside::moved(Beside::engine()).unwrap(), 0.0);
    assert_eq!(told(Beside::engine), ["below above"]);
    assert!(told(|| Beside::engine().unread("below", "above").unwrap()).is_empty());
}

#[test]
fn an_edge_for_later_is_named() {
    for outcome in [
        Deaf::moved(Deaf::engine().unread("below", "above").unwrap()),
        DeafImplicit::moved(DeafImplicit::engine().unread("below", "above").unwrap()),
    ] {
        // Nothing passes, as said.
        assert_eq!(outcome.unwrap(), 0.0);
    }
    // Above, the direct gradient is left: `λ` itself.
    let left = Alone::moved(Alone::engine().unread("above", "below").unwrap()).unwrap();
    assert!((left - 0.3).abs() < 1e-15, "{left}");
    assert!(matches!(Deaf::engine().unread("below", "abov"), Err(EngineError::UnknownLevel { .. })));
    assert!(matches!(Deaf::engine().unread("below", "below"), Err(EngineError::NoEdge { .. })));
    // Another edge is none of its business.
    check_unread(Deaf::moved(Deaf::engine().unread("above", "below").unwrap()), "below", "above", "upper");
}

fn stopped(below: &Scalar, above: &Scalar, _: ()) -> Tensor<1> {
    half_square(below.val() - stop_gradient(above.val()))
}

fn stopped_own(below: &Scalar, above: &Scalar, _: ()) -> Tensor<1> {
    half_square(below.val()) + stop_gradient(below.val()) * above.val()
}

fn signed(below: &Scalar, above: &Scalar, _: ()) -> Tensor<1> {
    half_square(below.val() - above.val().greater_elem(0.0).float().cast(DType::F64))
}

fn hit(_above: &Scalar, below: &Scalar, _: ()) -> Tensor<1> {
    below.val().greater_elem(0.0).float().cast(DType::F64)
}

pair!(Stopped, StoppedData, StoppedConfig, upper, stopped, cg);
pair!(StoppedOwn, StoppedOwnData, StoppedOwnConfig, upper, stopped_own, cg);
pair!(Signed, SignedData, SignedConfig, upper, signed, unrolled);
pair!(Hit, HitData, HitConfig, hit, told, evolution);

/// What is held constant is so on purpose, and what has no derivative is read all the same.
#[test]
fn reading_without_a_derivative_is_reading() {
    assert_eq!(Stopped::moved(Stopped::engine()).unwrap(), 0.0);
    assert_eq!(StoppedOwn::moved(StoppedOwn::engine()).unwrap(), 0.0);
    assert_eq!(Signed::moved(Signed::engine()).unwrap(), 0.0);
    Hit::moved(Hit::engine()).unwrap();
}

multilevel! {
    /// Its steps begin at the level above, and nothing else of it is read.
    struct Begun;
    level above: Scalar { lower: [below], batch: (), loss: upper, optimizer: sgd(lr = 1.0) }
    level below: Scalar {
        upper: [above], start: from(above), batch: (), loss: deaf, optimizer: sgd(lr = 0.5), unroll: 3,
        hypergradient: unrolled,
    }
}

multilevel! {
    /// Only the numbers of its optimizer come from the level above.
    struct Rated;
    level above: Scalar { lower: [below], batch: (), loss: upper, optimizer: sgd(lr = 1.0) }
    level below: Scalar {
        upper: [above], batch: (), loss: deaf, optimizer: sgd(lr = exp(above)), unroll: 1, hypergradient: unrolled,
    }
}

#[test]
fn steps_are_read_by_where_they_begin_and_how_long_they_are() {
    let (data, two) = (|| Stream::constant(()), || (scalar(0.3), scalar(-0.4)));
    let (above, below) = two();
    let data_of = BegunData { above: data(), below: data() };
    let mut engine = Engine::new(Begun { above, below }, data_of, BegunConfig::default()).unwrap();
    engine.run(1).unwrap();
    // Three steps halve the gap to 0.2 each, and pass an eighth of the derivative back.
    let end = 0.2 + (0.3 - 0.2) / 8.0;
    assert!((0.3 - value(&engine.problem().above) - (end - 1.0) / 8.0).abs() < 1e-15);

    let (above, below) = two();
    let data_of = RatedData { above: data(), below: data() };
    let mut engine = Engine::new(Rated { above, below }, data_of, RatedConfig::default()).unwrap();
    engine.run(1).unwrap();
    // One step of length e^λ along the gradient −0.6.
    let rate = 0.3_f64.exp();
    let end = -0.4 + 0.6 * rate;
    assert!((0.3 - value(&engine.problem().above) - 0.6 * rate * (end - 1.0)).abs() < 1e-15);

    // Where neither is left, nothing is.
    let cut = BegunConfig::from_json(r#"{ "below": { "start": "kept" } }"#).unwrap();
    let (above, below) = two();
    let mut engine = Engine::new(Begun { above, below }, BegunData { above: data(), below: data() }, cut).unwrap();
    check_unread(engine.run(1).map(|_| 0.0), "below", "above", "upper");
    let cut = BegunConfig::from_json(r#"{ "below": { "hypergradient": { "truncate": 2 } } }"#).unwrap();
    let (above, below) = two();
    let mut engine = Engine::new(Begun { above, below }, BegunData { above: data(), below: data() }, cut).unwrap();
    check_unread(engine.run(1).map(|_| 0.0), "below", "above", "upper");
}

fn top_loss(_top: &Scalar, middle: &Scalar, _: ()) -> Tensor<1> {
    middle.val()
}

/// ½(x − 1)² + ½z²
fn middle_loss(middle: &Scalar, _top: &Scalar, bottom: &Scalar, _: ()) -> Tensor<1> {
    half_square(middle.val() - 1.0) + half_square(bottom.val())
}

/// ½(z − x − λ)²
fn bottom_loss(bottom: &Scalar, top: &Scalar, middle: &Scalar, _: ()) -> Tensor<1> {
    half_square(bottom.val() - middle.val() - top.val())
}

multilevel! {
    /// The level in the middle sees the one above through what is below only.
    struct Through;
    level top: Scalar { lower: [middle], batch: (), loss: top_loss, optimizer: sgd(lr = 1.0) }
    level middle: Scalar {
        upper: [top], lower: [bottom], batch: (), loss: middle_loss, optimizer: sgd(lr = 0.1), hypergradient: dense,
    }
    level bottom: Scalar { upper: [top, middle], batch: (), loss: bottom_loss, optimizer: sgd(lr = 1.0), hypergradient: dense }
}

#[test]
fn a_level_sees_another_through_what_is_below() {
    let problem = Through { top: scalar(0.3), middle: scalar(-0.4), bottom: scalar(0.0) };
    let data = ThroughData { top: Stream::constant(()), middle: Stream::constant(()), bottom: Stream::constant(()) };
    let mut engine = Engine::new(problem, data, ThroughConfig::default()).unwrap();
    engine.run(1).unwrap();
    // z = x + λ, so that x is best at (1 − λ)/2, and C = x.
    assert!((value(&engine.problem().top) - 0.8).abs() < 1e-14);
}

/// `train` leaves the only part out that is read.
#[derive(Module, Debug)]
struct Parts {
    read: Scalar,
    moved: Scalar,
}

fn upper_of_parts(parts: &Parts, below: &Scalar, _: ()) -> Tensor<1> {
    half_square(below.val() - 1.0) + half_square(parts.moved.val())
}

fn told_by_part(below: &Scalar, parts: &Parts, _: ()) -> Tensor<1> {
    half_square(below.val() - parts.read.val())
}

multilevel! {
    struct Partly;
    level parts: Parts { lower: [below], batch: (), loss: upper_of_parts, optimizer: sgd(lr = 1.0) }
    level below: Scalar { upper: [parts], batch: (), loss: told_by_part, optimizer: sgd(lr = 0.5), hypergradient: cg }
}

#[test]
fn a_part_that_stands_still_passes_nothing() {
    let told = |config: &str| {
        let problem = Partly { parts: Parts { read: scalar(0.3), moved: scalar(0.1) }, below: scalar(-0.4) };
        let data = PartlyData { parts: Stream::constant(()), below: Stream::constant(()) };
        let count = Rc::new(Cell::new(0));
        let seen = Rc::clone(&count);
        let engine = Engine::new(problem, data, PartlyConfig::from_json(config).unwrap()).unwrap();
        let mut engine = engine.observe(move |event| {
            if matches!(event, Event::ZeroEdge { name: "below", other: "parts", .. }) {
                seen.set(seen.get() + 1);
            }
        });
        engine.run(2).unwrap();
        count.get()
    };
    assert_eq!(told("{}"), 0);
    assert_eq!(told(r#"{ "parts": { "train": ["read"] } }"#), 0);
    assert_eq!(told(r#"{ "parts": { "train": ["moved"] } }"#), 1);
}

fn own(below: &Scalar, _: ()) -> Tensor<1> {
    half_square(below.val() - 0.2)
}

multilevel! {
    struct Meta;
    level above: Scalar { lower: [below], batch: (), loss: upper, optimizer: sgd(lr = 1.0) }
    level below: Scalar {
        start: from(above), batch: (), loss: own, optimizer: sgd(lr = 0.5), unroll: 3, hypergradient: unrolled,
    }
}

#[track_caller]
fn check_refused(json: &str, text: &str) {
    let config = MetaConfig::from_json(json).unwrap();
    let data = MetaData { above: Stream::constant(()), below: Stream::constant(()) };
    let error = Engine::new(Meta { above: scalar(0.3), below: scalar(0.0) }, data, config).err().unwrap();
    assert!(matches!(error, EngineError::Config(_)), "{error}");
    assert_eq!(error.to_string(), text);
}

#[test]
fn numbers_that_cut_an_edge() {
    for start in ["kept", "initial", "look_ahead"] {
        check_refused(
            &format!(r#"{{ "below": {{ "start": "{start}" }} }}"#),
            &format!(
                "`below.start` is `{start}`, but in the program where the steps of `below` begin is all that it has of `above`, \
                 so no hypergradient would reach `above`; leave `from`, or list `above` under `upper` of `below`"
            ),
        );
    }
    let cut = |truncate: u32, unroll: u32| {
        format!(
            "`below.hypergradient.truncate`: `unrolled` looks back {truncate} of {unroll} steps, and where they begin is all that \
             `below` has of `above`, so no hypergradient reaches `above`; raise `truncate`, or list `above` under `upper` of \
             `below`"
        )
    };
    check_refused(r#"{ "below": { "hypergradient": { "truncate": 2 } } }"#, &cut(2, 3));
    check_refused(r#"{ "below": { "hypergradient": { "truncate": 3 }, "unroll": 4 } }"#, &cut(3, 4));
    check_refused(
        r#"{ "below": { "tasks": 2 } }"#,
        "`below.tasks`: `tasks` is how often the levels below `below` are solved for one of its steps, and there is none; \
         `accumulate` averages over batches",
    );
    for json in [
        r#"{ "below": { "hypergradient": { "truncate": 3 } } }"#,
        r#"{ "below": { "hypergradient": { "method": "forward" } } }"#,
        r#"{ "above": { "tasks": 2 } }"#,
    ] {
        let config = MetaConfig::from_json(json).unwrap();
        config
            .validate(&<Meta as betty_runtime::Multilevel>::SCHEDULE)
            .map_err(|error: ConfigError| panic!("{error}"))
            .unwrap();
    }
}
