//! Steps that a set holds have no best response to compare with: the exact derivative knows nothing of the set.

use betty_runtime::EngineError;

use super::*;

fn judged(_above: &Vector, below: &Vector, _: ()) -> Tensor<1> {
    (below.x.val() - 1.0).square().sum() * 0.5
}

fn near(below: &Vector, above: &Vector, _: ()) -> Tensor<1> {
    (below.x.val() - above.x.val()).square().sum() * 0.5
}

/// `½‖x − above‖²` with `x ≥ 0`: the first entry is held at 0, the second one follows. Checks the hypergradient by the closed form,
/// and that nothing is compared with another one.
macro_rules! check_held {
    ($name:ident, $data:ident, $config:ident, $($fields:tt)*) => {{
        multilevel! {
            struct $name;
            level above: Vector { lower: [below], batch: (), loss: judged, optimizer: sgd(lr = 1e-300) }
            level below: Vector {
                upper: [above], batch: (), loss: near, unroll: 30, hypergradient: unrolled,
                $($fields)*
            }
        }
        let problem = $name { above: Vector::new([-1.0, 2.0]), below: Vector::new([0.0, 0.0]) };
        let data = $data { above: Stream::constant(()), below: Stream::constant(()) };
        let mut engine = Engine::new(problem, data, $config::default()).unwrap();
        engine.run(1).unwrap();
        let found = engine.gradient("above").unwrap().gradient.to_vec().unwrap();
        assert!(found[0] == 0.0 && (found[1] - 1.0).abs() < 1e-8, "{found:?}");
        let error = engine.verify_hypergradient("above").expect_err("there is nothing to compare with");
        assert!(matches!(&error, EngineError::NoReference { through, .. } if through == "below"), "{error}");
        let text = error.to_string();
        assert!(text.contains("`project`") && text.contains("differences of whole runs"), "{text}");
    }};
}

#[test]
fn steps_that_a_set_holds_have_no_reference() {
    check_held!(Held, HeldData, HeldConfig, optimizer: sgd(lr = 0.5), project: at_least(low = 0.0));
    check_held!(
        OfGroup, OfGroupData, OfGroupConfig,
        groups: { x: { optimizer: sgd(lr = 0.5), project: at_least(low = 0.0) } }
    );
}
