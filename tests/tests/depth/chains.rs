//! Chains of levels with losses that are no quadratics, so that third derivatives count.

use burn::tensor::Tensor;

use betty_runtime::multilevel;

use crate::level::Vector;
use crate::unrolled::{Nothing, square};

fn judged(top: &Vector, a: &Vector, _: Nothing) -> Tensor<1> {
    (a.x.val().exp() * top.x.val().cos()).sum()
}

fn between(own: &Vector, above: &Vector, below: &Vector, _: Nothing) -> Tensor<1> {
    let gap = own.x.val() - above.x.val().sin();
    square(gap.clone()).mul_scalar(0.5)
        + square(gap.clone() * gap).mul_scalar(0.1)
        + (below.x.val().sin() * own.x.val()).sum().mul_scalar(0.3)
}

fn lowest(own: &Vector, above: &Vector, _: Nothing) -> Tensor<1> {
    square(own.x.val() - above.x.val().cos()).mul_scalar(0.5) + square(own.x.val() * own.x.val()).mul_scalar(0.2)
}

macro_rules! chain {
    ($program:ident: $($level:ident below $above:ident above $below:ident,)*; $bottom:ident below $last:ident) => {
        multilevel! {
            pub(crate) struct $program;
            level top: Vector { lower: [a], batch: Nothing, loss: judged, optimizer: sgd(lr = 0.1) }
            $(level $level: Vector {
                upper: [$above], lower: [$below], batch: Nothing, loss: between, optimizer: sgd(lr = 0.1),
                hypergradient: cg(iterations = 5, tolerance = 0.0),
            })*
            level $bottom: Vector {
                upper: [$last], batch: Nothing, loss: lowest, optimizer: sgd(lr = 0.1),
                hypergradient: cg(iterations = 5, tolerance = 0.0),
            }
        }
    };
}

chain!(Three: a below top above b,; b below a);
chain!(Four: a below top above b, b below a above c,; c below b);
chain!(Five: a below top above b, b below a above c, c below b above d,; d below c);
chain!(Six: a below top above b, b below a above c, c below b above d, d below c above e,; e below d);
