//! Preconditioners of levels: fewer products for the same hypergradient, and what is wrong with others.

use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::error::rules::Violation;
use betty_runtime::execute::Vector as Flat;
use betty_runtime::hypergradient::{HypergradientError, Preconditioning, System, SystemPreconditioner};
use betty_runtime::linalg::Coordinates;
use betty_runtime::{
    ConfigError, ConflictError, Engine, EngineError, Event, Multilevel, NystromPreconditionerConfig,
    PreconditionerConfig, ProgramConfig, SolverError, Stream, multilevel,
};
use betty_tests::vectors::{parameter, tensor, values};
use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::closed_forms::{Vector, assert_near};

const N: usize = 40;

/// ½Σdᵢxᵢ² + ½(Σcᵢxᵢ)² − e^λΣxᵢ, scaled from 1 to 10⁶.
fn uneven(x: &Vector, lambda: &Vector, d: Tensor<1>) -> Tensor<1> {
    let along = (x.val() * coupling(&x.device())).sum().square();
    ((d * x.val().square()).sum() + along) * 0.5 - lambda.val().exp() * x.val().sum()
}

fn distance(_lambda: &Vector, x: &Vector, target: Tensor<1>) -> Tensor<1> {
    (x.val() - target).square().sum()
}

fn coupling(device: &Device) -> Tensor<1> {
    let numbers: Vec<f64> = (0..N).map(|i| (i as f64).cos()).collect();
    Tensor::from_data(TensorData::new(numbers, [N]), (device, DType::F64))
}

fn scales() -> Vec<f64> {
    (0..N).map(|i| 1e6_f64.powf(i as f64 / (N - 1) as f64)).collect()
}

/// The diagonal, from how the loss is made.
#[derive(Debug)]
struct Known {
    sign: f64,
    length: usize,
}

impl Preconditioning for Known {
    fn prepare(
        &self,
        _: &mut System<'_>,
        damping: f64,
        like: &Flat,
    ) -> Result<SystemPreconditioner, HypergradientError> {
        let inverse: Vec<f64> = scales().iter().map(|d| self.sign / (d + damping)).collect();
        let (inverse, length) = (like.with_coordinates(&inverse), self.length);
        Ok(Box::new(move |_: &mut System<'_>, r: &Flat| {
            let product = r.entrywise(&inverse)?;
            Ok(if length == 1 { product } else { Flat(vec![product.0[0].clone(); length]) })
        }))
    }
}

macro_rules! program {
    ($name:ident, $($preconditioner:tt)*) => {
        multilevel! {
            struct $name;
            level lambda: Vector { lower: [x], batch: Tensor<1>, loss: distance, optimizer: sgd(lr = 1e-13) }
            level x: Vector {
                upper: [lambda], batch: Tensor<1>, loss: uneven, optimizer: sgd(lr = 1e-7),
                hypergradient: cg(iterations = 200, tolerance = 1e-13), $($preconditioner)*
            }
        }
    };
}

program!(Plain,);
program!(Own, preconditioner: custom(Known { sign: 1.0, length: 1 }));
program!(Negative, preconditioner: custom(Known { sign: -1.0, length: 1 }));
program!(Longer, preconditioner: custom(Known { sign: 1.0, length: 2 }));

/// The gradient of the level above, and the products with the Hessian that it took.
macro_rules! gradient {
    ($name:ident, $data:ident, $config:expr) => {{
        let problem = $name { lambda: parameter(&[0.3]), x: parameter(&[0.1; N]) };
        let data = $data { lambda: Stream::constant(tensor(&[0.5; N])), x: Stream::constant(tensor(&scales())) };
        let products = Rc::new(RefCell::new(0));
        let told = Rc::clone(&products);
        let mut engine = Engine::new(problem, data, $config).unwrap().observe(move |event| {
            if let Event::Hypergradient { products, .. } = *event {
                *told.borrow_mut() = products;
            }
        });
        engine.run(1).map(|_| {
            let gradient = engine.gradient("lambda").unwrap().gradient.to_vec().unwrap();
            (gradient, *products.borrow(), values(&engine.problem().x))
        })
    }};
}

fn config(json: &str) -> PlainConfig {
    PlainConfig::from_json(&format!(r#"{{ "x": {json} }}"#)).unwrap()
}

fn of(json: &str) -> (Vec<f64>, usize) {
    let (gradient, products, _) = gradient!(Plain, PlainData, config(json)).unwrap();
    (gradient, products)
}

#[test]
fn the_same_hypergradient_takes_fewer_products() {
    let (exact, _) = of(r#"{ "hypergradient": { "method": "dense" } }"#);
    let (plain, most) = of("{}");
    assert_near(&plain, &exact, 1e-9);
    for method in ["cg", "minres", "gmres"] {
        let tolerance = if method == "gmres" { "1e-12" } else { "1e-13" };
        let hypergradient =
            format!(r#""hypergradient": {{ "method": "{method}", "iterations": 200, "tolerance": {tolerance} }}"#);
        let diagonal = format!(r#"{{ {hypergradient}, "preconditioner": {{ "name": "diagonal", "probes": {N} }} }}"#);
        let (found, products) = of(&diagonal);
        assert_near(&found, &exact, 1e-10);
        // One product for each entry of the diagonal, and about a dozen iterations where none of 200 without was the last.
        assert!(products <= N + 16 && products < most, "{method}: {products} of {most}");
        let nystrom = format!(r#"{{ {hypergradient}, "preconditioner": {{ "name": "nystrom", "rank": 20 }} }}"#);
        let (found, products) = of(&nystrom);
        assert_near(&found, &exact, 1e-10);
        assert!(products < most, "{method}: {products} of {most}");
    }
}

#[test]
fn one_of_the_users_own_knows_the_scales() {
    let (exact, _) = of(r#"{ "hypergradient": { "method": "dense" } }"#);
    let (found, products, _) = gradient!(Own, OwnData, OwnConfig::default()).unwrap();
    assert_near(&found, &exact, 1e-10);
    assert!(products <= 4, "{products}");
    // It can be taken away, and then all is as it was without.
    let without = OwnConfig::from_json(r#"{ "x": { "preconditioner": null } }"#).unwrap();
    assert_eq!(gradient!(Own, OwnData, without).unwrap(), gradient!(Plain, PlainData, PlainConfig::default()).unwrap());
}

#[test]
fn what_is_no_preconditioner_ends_the_run() {
    let error = gradient!(Negative, NegativeData, NegativeConfig::default()).expect_err("not definite");
    let text = error.to_string();
    assert!(text.contains("the preconditioner is not positive definite") && text.contains("or use gmres"), "{text}");
    // Also where the level's method only prepares one loop for all levels.
    let joint = NegativeConfig::from_json(r#"{ "lambda": { "solve": { "name": "joint" } } }"#).unwrap();
    let text = gradient!(Negative, NegativeData, joint).expect_err("not definite").to_string();
    assert!(text.contains("the preconditioner is not positive definite"), "{text}");
    let error = gradient!(Longer, LongerData, LongerConfig::default()).expect_err("another space");
    let text = format!("{error:?}");
    assert!(text.contains("the preconditioner returned tensors of other shapes or types"), "{text}");
    let problem = Plain { lambda: parameter(&[0.3]), x: parameter(&[0.1; N]) };
    let data = PlainData { lambda: Stream::constant(tensor(&[0.5; N])), x: Stream::constant(tensor(&scales())) };
    let custom = config(r#"{ "preconditioner": { "name": "custom" } }"#);
    let error = Engine::new(problem, data, custom).map(drop).expect_err("the program names none");
    assert!(
        matches!(error, EngineError::Solver(SolverError::NoPreconditioner { ref level }) if level == "x"),
        "{error}"
    );
}

#[test]
fn a_config_names_it() {
    let with = config(r#"{ "preconditioner": { "name": "nystrom", "rank": 3 } }"#);
    let expected = NystromPreconditionerConfig { rank: 3, seed: 0 };
    assert_eq!(with.x.preconditioner, Some(PreconditionerConfig::NystromPreconditioner(expected)));
    assert_eq!(PlainConfig::from_json(&with.to_json().unwrap()).unwrap().x.preconditioner, with.x.preconditioner);
    assert!(!PlainConfig::default().to_json().unwrap().contains("preconditioner"));
    let refused = |json: &str| match PlainConfig::from_json(json) {
        Ok(config) => config.validate(&Plain::SCHEDULE).expect_err("the config has a mistake"),
        Err(error) => error,
    };
    assert_eq!(
        refused(r#"{ "x": { "preconditioner": { "name": "nystrom", "rank": 0 } } }"#).to_string(),
        "`x.preconditioner.rank` is 0; it must be an integer greater than zero"
    );
    assert_eq!(
        refused(r#"{ "x": { "preconditioner": { "name": "nystrem" } } }"#).to_string(),
        "`x.preconditioner.name`: unknown preconditioner `nystrem` (did you mean `nystrom`?); known are `diagonal`, `nystrom` and \
         `custom`"
    );
    let error =
        refused(r#"{ "x": { "hypergradient": { "method": "neumann" }, "preconditioner": { "name": "diagonal" } } }"#);
    assert!(matches!(error, ConfigError::Conflict(ConflictError::Broken { rule: Violation::NotPreconditioned, .. })));
    assert_eq!(
        error.to_string(),
        "`x.preconditioner`: `neumann` applies no preconditioner; choose `cg`, `minres` or `gmres` for `x`, or take `preconditioner` \
         away"
    );
    let error = refused(r#"{ "lambda": { "preconditioner": { "name": "diagonal" } } }"#);
    assert_eq!(
        error.to_string(),
        "`lambda.preconditioner`: no hypergradient passes through `lambda`, so its `preconditioner` is never used"
    );
}

/// In single precision, where vectors are orthonormal and preconditioners linear to seven digits.
#[test]
fn single_precision_is_precise_enough_for_a_preconditioner() {
    let scales = scales().into_iter().map(|d| d.sqrt());
    let place = (&Device::flex(), DType::F32);
    let single =
        |values: Vec<f64>| Tensor::<1>::from_data(TensorData::new(values, [N]).convert_dtype(DType::F32), place);
    let gradient = |json: &str| {
        let lambda = Tensor::<1>::from_data(TensorData::new(vec![0.3_f32], [1]), place);
        let problem = Single { lambda: Param::from_tensor(lambda), x: Param::from_tensor(single(vec![0.1; N])) };
        let data = SingleData {
            lambda: Stream::constant(single(vec![0.5; N])),
            x: Stream::constant(single(scales.clone().collect())),
        };
        let mut engine = Engine::new(problem, data, SingleConfig::from_json(json).unwrap()).unwrap();
        engine.gradient("lambda").unwrap().gradient.to_vec().unwrap()
    };
    let exact = gradient(r#"{ "x": { "hypergradient": { "method": "dense" } } }"#);
    for method in ["cg", "minres", "gmres"] {
        for preconditioner in [
            r#"{ "name": "diagonal" }"#,
            r#"{ "name": "nystrom", "rank": 20 }"#,
            r#"{ "name": "nystrom", "rank": 40 }"#,
        ] {
            let json = format!(
                r#"{{ "x": {{ "hypergradient": {{ "method": "{method}", "iterations": 60, "tolerance": 1e-6 }},
                              "preconditioner": {preconditioner} }} }}"#
            );
            assert_near(&gradient(&json), &exact, 1e-4);
        }
    }
}

multilevel! {
    struct Single;
    level lambda: Vector { lower: [x], batch: Tensor<1>, loss: distance, optimizer: sgd(lr = 0.1) }
    level x: Vector {
        upper: [lambda], batch: Tensor<1>, loss: single, optimizer: sgd(lr = 1e-4), hypergradient: cg,
    }
}

/// ½Σdᵢxᵢ² + ½(Σxᵢ)² − e^λΣxᵢ
fn single(x: &Vector, lambda: &Vector, d: Tensor<1>) -> Tensor<1> {
    let sum = x.val().sum();
    ((d * x.val().square()).sum() + sum.clone().square()) * 0.5 - lambda.val().exp() * sum
}
