//! A method that the library does not know.

use betty_runtime::hypergradient::{HypergradientError, Solved, System};
use betty_runtime::linalg::InnerProductSpace;
use betty_runtime::{
    ConfigError, ConflictError, Engine, EngineError, HypergradientMethod, Stream, execute, multilevel,
};

use super::*;

/// A method of a user's own: steepest descent on the system, with a fixed step.
#[derive(Debug)]
struct Descent {
    steps: usize,
}

impl HypergradientMethod for Descent {
    fn name(&self) -> &'static str {
        "descent"
    }

    fn solve(
        &self,
        system: &mut System<'_>,
        v: &execute::Vector,
        _guess: Option<execute::Vector>,
    ) -> Result<Solved, HypergradientError> {
        let mut x = v.zero();
        for _ in 0..self.steps {
            let product = system.apply(&x)?;
            x.add_scaled(0.4, v);
            x.add_scaled(-0.4, &product);
        }
        Ok(Solved { x, residual: None })
    }
}

multilevel! {
    struct Custom;

    level outer: Vector { lower: [inner], batch: Matrices, loss: upper, optimizer: sgd(lr = 0.2) }
    level inner: Vector {
        upper: [outer], batch: Matrices, loss: lower, optimizer: sgd(lr = 0.5),
        hypergradient: custom(Descent { steps: 200 }, batch = fresh),
    }
}

#[test]
fn a_users_own_method() {
    let problem = Custom { outer: Vector::new(LAMBDA), inner: Vector::new(THETA) };
    let data = CustomData { outer: Stream::constant(matrices()), inner: Stream::constant(matrices()) };
    let mut engine = Engine::new(problem, data, CustomConfig::default()).unwrap();
    let found = engine.gradient("outer").unwrap().gradient.to_vec().unwrap();
    assert_close(&found, &expected(&solve(0.0, &cotangent())), 1e-10);
}

#[test]
fn a_config_cannot_name_a_method_that_the_program_does_not() {
    let problem = Quadratic { outer: Vector::new(LAMBDA), inner: Vector::new(THETA) };
    let data = QuadraticData { outer: Stream::constant(matrices()), inner: Stream::constant(matrices()) };
    let mut config = QuadraticConfig::default();
    config.inner.hypergradient = Some(method(r#"{"method": "custom"}"#));
    let error = Engine::new(problem, data, config).err().unwrap();
    assert!(
        matches!(&error, EngineError::Config(ConfigError::Conflict(ConflictError::NoCustomMethod { level })) if level == "inner"),
        "{error}"
    );
}
