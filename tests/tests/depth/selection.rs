//! Selected parameters in a chain: what stands still in a middle level is read by all and differentiated by none.

use betty_runtime::{Batch, Engine, ProgramConfig, Stream, multilevel};
use betty_tests::vectors::values;
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};

/// `x` is what is trained, `y` what it is read with.
#[derive(Module, Debug)]
struct Pair {
    y: Param<Tensor<1>>,
    x: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct Part {
    x: Param<Tensor<1>>,
}

/// `y` in the program that has it as data.
#[derive(Batch, Clone)]
struct Known {
    y: Tensor<1>,
}

const Y: [f64; 3] = [0.8, -0.5, 0.3];

fn tensor(values: [f64; 3]) -> Tensor<1> {
    Tensor::from_data(TensorData::from(values), (&Device::flex(), DType::F64))
}

fn parameter(values: [f64; 3]) -> Param<Tensor<1>> {
    Param::from_tensor(tensor(values))
}

/// Curves upwards in `x`, and the more so along `y`.
fn bowl(x: Tensor<1>, y: Tensor<1>) -> Tensor<1> {
    let along = (x.clone() * y).sum();
    (x.clone().square().sum() + along.square() + x.exp().sum() * 0.3) * 0.5
}

fn lowest(x: Tensor<1>, y: Tensor<1>, above: Tensor<1>, y_above: Tensor<1>) -> Tensor<1> {
    bowl(x.clone(), y) - ((above + y_above) * x).sum()
}

fn middle(x: Tensor<1>, y: Tensor<1>, above: Tensor<1>, below: Tensor<1>, y_below: Tensor<1>) -> Tensor<1> {
    bowl(x.clone(), y) - (above * x).sum() + (below * y_below).square().sum()
}

fn top(x: Tensor<1>, middle: Tensor<1>, y: Tensor<1>) -> Tensor<1> {
    (middle.clone() - 0.5).square().sum() + (middle * y).sum() + x.square().sum() * 0.1
}

fn low_pair(low: &Pair, mid: &Pair, _batch: ()) -> Tensor<1> {
    lowest(low.x.val(), low.y.val(), mid.x.val(), mid.y.val())
}

fn mid_pair(mid: &Pair, up: &Part, low: &Pair, _batch: ()) -> Tensor<1> {
    middle(mid.x.val(), mid.y.val(), up.x.val(), low.x.val(), low.y.val())
}

fn top_pair(up: &Part, mid: &Pair, _batch: ()) -> Tensor<1> {
    top(up.x.val(), mid.x.val(), mid.y.val())
}

fn low_part(low: &Part, mid: &Part, Known { y }: Known) -> Tensor<1> {
    lowest(low.x.val(), y.clone(), mid.x.val(), y)
}

fn mid_part(mid: &Part, up: &Part, low: &Part, Known { y }: Known) -> Tensor<1> {
    middle(mid.x.val(), y.clone(), up.x.val(), low.x.val(), y)
}

fn top_part(up: &Part, mid: &Part, Known { y }: Known) -> Tensor<1> {
    top(up.x.val(), mid.x.val(), y)
}

multilevel! {
    struct Whole;

    level up: Part { lower: [mid], batch: (), loss: top_pair, optimizer: sgd(lr = 0.1) }
    level mid: Pair {
        upper: [up], lower: [low], batch: (), loss: mid_pair, optimizer: sgd(lr = 0.05, momentum = 0.5), unroll: 2,
        hypergradient: dense, freeze: [y],
    }
    level low: Pair {
        upper: [mid], batch: (), loss: low_pair, optimizer: adam(lr = 0.1), unroll: 3, hypergradient: dense, train: [x],
    }
}

multilevel! {
    struct Small;

    level up: Part { lower: [mid], batch: Known, loss: top_part, optimizer: sgd(lr = 0.1) }
    level mid: Part {
        upper: [up], lower: [low], batch: Known, loss: mid_part, optimizer: sgd(lr = 0.05, momentum = 0.5), unroll: 2,
        hypergradient: dense,
    }
    level low: Part {
        upper: [mid], batch: Known, loss: low_part, optimizer: adam(lr = 0.1), unroll: 3, hypergradient: dense,
    }
}

const UP: [f64; 3] = [0.1, 0.2, -0.3];
const MID: [f64; 3] = [-0.4, 0.6, 0.1];
const LOW: [f64; 3] = [0.5, -0.2, 0.7];

#[test]
fn a_chain_of_selected_parts_trains_as_if_they_were_whole_modules() {
    for (mid, low) in [("dense", "dense"), ("cg", "unrolled"), ("unrolled", "cg"), ("unrolled", "unrolled")] {
        let json = format!(
            r#"{{ "mid": {{ "hypergradient": {{ "method": "{mid}" }} }}, "low": {{ "hypergradient": {{ "method": "{low}" }} }} }}"#
        );
        let part = |x| Part { x: parameter(x) };
        let pair = |x| Pair { y: parameter(Y), x: parameter(x) };
        let nothing = || Stream::constant(());
        let data = WholeData { up: nothing(), mid: nothing(), low: nothing() };
        let problem = Whole { up: part(UP), mid: pair(MID), low: pair(LOW) };
        let mut whole = Engine::new(problem, data, WholeConfig::from_json(&json).unwrap()).unwrap();
        let known = || Stream::constant(Known { y: tensor(Y) });
        let data = SmallData { up: known(), mid: known(), low: known() };
        let problem = Small { up: part(UP), mid: part(MID), low: part(LOW) };
        let mut small = Engine::new(problem, data, SmallConfig::from_json(&json).unwrap()).unwrap();
        whole.run(3).unwrap();
        small.run(3).unwrap();
        let (whole, small) = (whole.into_problem(), small.into_problem());
        assert_ne!(values(&small.up.x), UP);
        for (found, expected) in
            [(&whole.up.x, &small.up.x), (&whole.mid.x, &small.mid.x), (&whole.low.x, &small.low.x)]
        {
            assert_eq!(values(found), values(expected), "{mid}, {low}");
        }
        assert_eq!((values(&whole.mid.y), values(&whole.low.y)), (Y.to_vec(), Y.to_vec()), "{mid}, {low}");
    }
}
