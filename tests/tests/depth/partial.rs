//! Levels that are differentiated with the levels below standing still: what is told of it, and what it takes.

use betty_runtime::error::rules::Violation;
use betty_runtime::{ConfigError, ConflictError, CurvatureOf, Engine, EngineError, ProgramConfig};

use crate::chains::{
    Five, FiveConfig, FiveData, Four, FourConfig, FourData, Six, SixConfig, SixData, Three, ThreeConfig, ThreeData,
};
use crate::level::{Vector, assert_close};
use crate::unrolled::nothing;

const PARTIAL: &str = r#"{ "a": { "curvature": "partial" } }"#;

fn three(json: &str) -> Result<Engine<Three>, EngineError> {
    let problem = Three { top: Vector::new(&[0.4]), a: Vector::new(&[0.3]), b: Vector::new(&[0.8]) };
    let data = ThreeData { top: nothing(), a: nothing(), b: nothing() };
    Engine::new(problem, data, ThreeConfig::from_json(json)?)
}

#[test]
fn the_formula_of_a_chain_of_three() {
    let (top, a): (f64, f64) = (0.4, 0.3);
    let found = three(PARTIAL).unwrap().gradient("top").unwrap().gradient.to_vec().unwrap();
    // Nothing comes down to b but through a, which does not send anything there.
    let gap = a - top.sin();
    let own = 1.0 + 1.2 * gap * gap;
    let mixed = -own * top.cos();
    assert_close(&found, &[-a.exp() * top.sin() - mixed / own * a.exp() * top.cos()], 1e-13);
}

#[test]
fn its_error_is_told() {
    let mut engine = three(PARTIAL).unwrap();
    engine.run(3).unwrap();
    let check = engine.verify_hypergradient("top").unwrap();
    let partial = engine.gradient("top").unwrap().norm;
    let (top, a, b) = {
        let problem = engine.into_problem();
        (problem.top, problem.a, problem.b)
    };
    let data = ThreeData { top: nothing(), a: nothing(), b: nothing() };
    let exact = Engine::new(Three { top, a, b }, data, ThreeConfig::default()).unwrap().gradient("top").unwrap().norm;
    assert_close(&[check.norm, check.reference_norm], &[partial, exact], 1e-10);
    assert!(check.relative_error > 1e-3, "{check}");
    // One number has one sign.
    assert_close(&[check.relative_error], &[(partial - exact).abs() / exact], 1e-8);
}

/// The kernels of one hypergradient of the uppermost level.
macro_rules! kernels {
    ($program:ident, $data:ident, $config:ident, $of:expr; $($level:ident),*) => {{
        let problem = $program { $($level: Vector::new(&[0.1, 0.2]),)* };
        let data = $data { $($level: nothing(),)* };
        let mut config = $config::default();
        let levels = config.levels_mut();
        let middle = levels.len() - 1;
        levels.into_iter().take(middle).skip(1).for_each(|level| level.curvature = $of);
        let explained = Engine::new(problem, data, config).unwrap().explain().unwrap();
        explained.levels[0].responses.iter().map(|response| response.cost.kernels).sum::<f64>()
    }};
}

#[test]
fn every_level_more_takes_as_much_as_the_one_before() {
    let found = |of: CurvatureOf| {
        [
            kernels!(Three, ThreeData, ThreeConfig, of; top, a, b),
            kernels!(Four, FourData, FourConfig, of; top, a, b, c),
            kernels!(Five, FiveData, FiveConfig, of; top, a, b, c, d),
            kernels!(Six, SixData, SixConfig, of; top, a, b, c, d, e),
        ]
    };
    let partial = found(CurvatureOf::Partial);
    let more: Vec<f64> = partial.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Where the uppermost level reads the next one only, nothing comes from further below.
    assert!(more.iter().all(|&each| each == more[0] && each >= 0.0), "{partial:?}");
    let total = found(CurvatureOf::Total);
    assert!(total.windows(2).all(|pair| pair[1] > 5.0 * pair[0]), "{total:?}");
}

#[test]
fn where_it_changes_nothing_it_is_refused() {
    let refused = |json: &str| three(json).map(|_| ()).unwrap_err();
    for (json, at, why) in [
        (r#"{ "b": { "curvature": "partial" } }"#, "b.curvature", "no level below answers to `b`"),
        (r#"{ "top": { "curvature": "partial" } }"#, "top.curvature", "no hypergradient passes through `top`"),
        (
            r#"{ "a": { "curvature": "partial", "hypergradient": { "method": "unrolled" } } }"#,
            "a.curvature",
            "`unrolled` goes through the steps of `a`, which followed its total gradient",
        ),
    ] {
        let error = refused(json);
        assert!(
            matches!(&error, EngineError::Config(ConfigError::Conflict(ConflictError::Broken { rule: Violation::CurvatureIdle(_), path, .. })) if path == at),
            "{error}"
        );
        assert!(error.to_string().contains(why), "{error}");
    }
    let error = refused(r#"{ "a": { "curvature": "half" } }"#).to_string();
    assert!(error.contains("`a.curvature`: unknown curvature `half`; known are `total` and `partial`"), "{error}");
}

/// Configs from before there was a choice are read, and those that do not make it are written as they were.
#[test]
fn the_default_is_not_written() {
    let text = ThreeConfig::default().to_json().unwrap();
    assert!(!text.contains("curvature"), "{text}");
    assert_eq!(ThreeConfig::from_json(&text).unwrap(), ThreeConfig::default());
    let chosen = ThreeConfig::from_json(PARTIAL).unwrap();
    let text = chosen.to_json().unwrap();
    assert_eq!(text.matches(r#""curvature": "partial""#).count(), 1, "{text}");
    assert_eq!(ThreeConfig::from_json(&text).unwrap(), chosen);
}
