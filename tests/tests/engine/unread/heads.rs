//! Parameters that only some batches read, as the heads of a network for several tasks.

use super::*;

/// One head a batch.
#[derive(Module, Debug)]
pub(super) struct Heads {
    first: Point,
    second: Point,
}

#[derive(Batch, Clone)]
pub(super) struct Sample {
    first: Option<Tensor<1>>,
    second: Option<Tensor<1>>,
}

pub(super) fn fit_head(net: &Heads, lambda: &Point, batch: Sample) -> Tensor<1> {
    let of_first = batch.first.map(|x| (net.first.val() - lambda.val() * x).square() * 0.5);
    let of_second = batch.second.map(|x| (net.second.val() * lambda.val() - x).square() * 0.5);
    match (of_first, of_second) {
        (Some(first), Some(second)) => first + second,
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => unreachable!("a sample has one of both"),
    }
}

pub(super) fn judge_heads(_lambda: &Point, net: &Heads, _: ()) -> Tensor<1> {
    net.first.val().square() * 0.5 + (net.second.val() - 2.0).square() * 0.5
}

multilevel! {
    struct Taking;

    level lambda: Point { lower: [net], batch: (), loss: judge_heads, optimizer: sgd(lr = 0.5) }
    level net: Heads {
        upper: [lambda], batch: Sample, loss: fit_head, optimizer: sgd(lr = 0.1, momentum = 0.9, weight_decay = 0.2),
        unroll: 5, start: initial, hypergradient: unrolled,
    }
}

/// Which heads each of five steps reads.
const TURNS: [(bool, bool); 5] = [(true, false), (false, true), (false, true), (true, true), (true, false)];

/// Five steps by hand: parameters, and the loss above after them.
fn by_hand(lambda: f64) -> ([f64; 2], f64) {
    let (mut at, mut velocity) = ([0.5, -1.0], [0.0, 0.0]);
    for (first, second) in TURNS {
        let slopes = [first.then_some(at[0] - lambda * 1.5), second.then_some((at[1] * lambda - 0.7) * lambda)];
        for (i, slope) in slopes.into_iter().enumerate() {
            if let Some(slope) = slope {
                velocity[i] = 0.9 * velocity[i] + slope + 0.2 * at[i];
                at[i] -= 0.1 * velocity[i];
            }
        }
    }
    (at, 0.5 * at[0] * at[0] + 0.5 * (at[1] - 2.0).powi(2))
}

/// One that reads these heads.
pub(super) fn sample((first, second): (bool, bool)) -> Result<Sample, std::convert::Infallible> {
    Ok(Sample { first: first.then(|| tensor(&[1.5])), second: second.then(|| tensor(&[0.7])) })
}

pub(super) fn at([first, second]: [f64; 2]) -> Heads {
    Heads { first: parameter(&[first]), second: parameter(&[second]) }
}

fn taking(json: &str) -> Engine<Taking> {
    let net = Stream::epochs(move |_| TURNS.into_iter().map(sample));
    let problem = Taking { lambda: parameter(&[0.8]), net: at([0.5, -1.0]) };
    let data = TakingData { lambda: Stream::constant(()), net };
    Engine::new(problem, data, TakingConfig::from_json(json).unwrap()).unwrap()
}

fn heads(net: &Heads) -> [f64; 2] {
    [values(&net.first)[0], values(&net.second)[0]]
}

/// Decay, momentum and derivative of a parameter that only some steps read.
#[test]
fn a_head_rests_where_a_batch_is_not_its_own() {
    for method in
        [r#"{ "method": "unrolled" }"#, r#"{ "method": "unrolled", "memory": 4 }"#, r#"{ "method": "forward" }"#]
    {
        let mut engine = taking(&format!(r#"{{ "net": {{ "hypergradient": {method} }} }}"#));
        engine.run(1).unwrap();
        let found = engine.into_problem();
        let (at, _) = by_hand(0.8);
        for (found, expected) in heads(&found.net).into_iter().zip(at) {
            assert!((found - expected).abs() < 1e-14, "{method}: {found} is not {expected}");
        }
        let slope = (0.8 - values(&found.lambda)[0]) / 0.5;
        let h = 1e-5;
        let difference = (by_hand(0.8 + h).1 - by_hand(0.8 - h).1) / (2.0 * h);
        assert!((slope - difference).abs() < 1e-9, "{method}: {slope} is not {difference}");
    }
}

/// What Adam corrects by the number of a step, it corrects by the number of the steps that moved the parameter, as Burn's does:
/// also in a run that goes on, and where tasks are computed together.
#[test]
fn every_parameter_counts_its_own_steps() {
    let adam = |start: &str, lambda: &str| {
        format!(
            r#"{{ "net": {{ "optimizer": {{ "name": "adam", "lr": 0.1 }}, "start": "{start}" }}, "lambda": {{ {lambda} }} }}"#
        )
    };
    // One round by hand: the two heads, their moments and their numbers.
    let round = |at: &mut [f64; 2], moments: &mut [[f64; 2]; 2], steps: &mut [i32; 2], lambda: f64| {
        for (first, second) in TURNS {
            let slopes = [first.then_some(at[0] - lambda * 1.5), second.then_some((at[1] * lambda - 0.7) * lambda)];
            for (i, slope) in slopes.into_iter().enumerate() {
                let Some(slope) = slope else { continue };
                steps[i] += 1;
                moments[i] = [0.9 * moments[i][0] + 0.1 * slope, 0.999 * moments[i][1] + 0.001 * slope * slope];
                let mean = moments[i][0] / (1.0 - 0.9_f64.powi(steps[i]));
                let square: f64 = moments[i][1] / (1.0 - 0.999_f64.powi(steps[i]));
                at[i] -= 0.1 * mean / (square.sqrt() + 1e-5);
            }
        }
    };
    let epsilon = r#""epsilon": 1e-5"#;
    let json = adam("kept", "").replace(r#""lr": 0.1"#, &format!(r#""lr": 0.1, {epsilon}"#));
    let mut engine = taking(&json);
    let (mut at, mut moments, mut steps) = ([0.5, -1.0], [[0.0; 2]; 2], [0; 2]);
    let mut lambda = 0.8;
    let mut resumed = None;
    for iteration in 0..3 {
        round(&mut at, &mut moments, &mut steps, lambda);
        engine.run(1).unwrap();
        for (found, expected) in heads(&engine.problem().net).into_iter().zip(at) {
            assert!((found - expected).abs() < 1e-12, "{iteration}: {found} is not {expected}");
        }
        lambda = values(&engine.problem().lambda)[0];
        if iteration == 0 {
            let mut other = taking(&json);
            other.resume(&engine.checkpoint().unwrap(), betty_runtime::StreamPosition::Start).unwrap();
            resumed = Some(other);
        }
    }
    let mut resumed = resumed.unwrap();
    resumed.run(2).unwrap();
    assert_eq!(heads(&resumed.problem().net), heads(&engine.problem().net));

    let of_tasks = |vectorize: bool| {
        let json = adam("initial", &format!(r#""tasks": 2, "vectorize": {vectorize}"#));
        let mut engine = taking(&json);
        engine.run(2).unwrap();
        let problem = engine.into_problem();
        [heads(&problem.net).to_vec(), values(&problem.lambda)].concat()
    };
    let (one_by_one, together) = (of_tasks(false), of_tasks(true));
    for (x, y) in one_by_one.iter().zip(&together) {
        assert!((x - y).abs() < 1e-12, "{one_by_one:?} {together:?}");
    }
}

#[test]
fn a_checkpoint_of_such_a_run_goes_on() {
    let mut whole = large("{}");
    whole.run(2).unwrap();
    let saved = whole.checkpoint().unwrap();
    whole.run(2).unwrap();
    let mut resumed = large("{}");
    resumed.resume(&saved, betty_runtime::StreamPosition::Start).unwrap();
    resumed.run(2).unwrap();
    assert_eq!(values(&resumed.problem().lambda.x), values(&whole.problem().lambda.x));
    assert_alone(&resumed.problem().net, &more(&[]), "resumed");
}
