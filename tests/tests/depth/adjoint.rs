//! The system below a level as an operator: its transpose, and the order in which it is symmetric.

use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::__private::derivatives::{Curvature, Input, Lagrangian, Loss, Point};
use betty_runtime::__private::hypergradient::{BestResponse, Direction, Response};
use betty_runtime::execute::{Value, Vector};
use betty_runtime::hypergradient::ConjugateGradient;
use betty_runtime::linalg::{CgOptions, Coordinates, LinearOperator};
use betty_runtime::trace::{AnyBatch, trace_for};
use betty_runtime::{Multilevel, Schedule};
use burn::tensor::{DType, Device};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::chains::Five;
use crate::level::{self, vector};

fn random(random: &mut StdRng, like: &Vector) -> Vector {
    let numbers: Vec<f64> = (0..like.dimension()).map(|_| random.random_range(-1.0..1.0)).collect();
    like.with_coordinates(&numbers)
}

/// The levels below level 0 of a program at random multipliers, each damped differently.
fn response<P: Multilevel>(problem: &P, schedule: &Schedule, seed: u64) -> (Response, Vec<usize>) {
    let device = Device::flex();
    let draw = &mut StdRng::seed_from_u64(seed);
    let leaves: Vec<Vec<Value>> =
        problem.modules().iter().map(|module| module.leaves().into_iter().map(|leaf| leaf.value).collect()).collect();
    let batch = AnyBatch::new(vector(&[0.0]));
    let mut response = Response::default();
    let mut curvatures: Vec<(usize, Rc<RefCell<Curvature>>)> = Vec::new();
    let stops: Vec<usize> = schedule.levels[0].sweep.iter().map(|stop| stop.level).collect();
    let mut multipliers: Vec<((usize, usize, usize), Value)> = Vec::new();
    for &stop in &stops {
        let trace = trace_for(&device, "test", &batch, |tracer| problem.loss(stop, tracer)).unwrap();
        let loss = Loss::new(trace, |_| vec![0], &device);
        let below: Vec<usize> = schedule.levels[stop].sweep.iter().map(|stop| stop.level).collect();
        let known = |level: &usize| Rc::clone(&curvatures.iter().find(|(of, _)| of == level).unwrap().1);
        let of_below: Vec<_> = below.iter().map(|level| (*level, known(level))).collect();
        let borrowed: Vec<_> = of_below.iter().map(|(level, curvature)| (*level, curvature.borrow())).collect();
        let borrowed: Vec<_> = borrowed.iter().map(|(level, curvature)| (*level, curvature.lagrangian())).collect();
        let lagrangian = Lagrangian::new(stop, &loss, &borrowed).unwrap();
        let inputs: Vec<Value> = lagrangian
            .inputs()
            .map(|(input, like)| match input {
                Input::Leaf { level, index } => leaves[level][index].clone(),
                Input::Batch { index, .. } => batch.values()[index].clone(),
                Input::Multiplier { of, index, part } => {
                    let known = multipliers.iter().find(|(key, _)| *key == (of, index, part));
                    if let Some((_, value)) = known {
                        return value.clone();
                    }
                    let zeros = Vector(vec![Value::zeros(&like.shape, DType::F64, &device)]);
                    let value = random(draw, &zeros).0.remove(0);
                    multipliers.push(((of, index, part), value.clone()));
                    value
                }
                other => unreachable!("{other:?}"),
            })
            .collect();
        let curvature = Rc::new(RefCell::new(Curvature::new(lagrangian, &device).unwrap()));
        curvatures.push((stop, Rc::clone(&curvature)));
        let options = CgOptions { iterations: 1, tolerance: 0.0, damping: 0.1 + 0.1 * stop as f64 };
        let method = Rc::new(ConjugateGradient { options, warm_start: false });
        let point = Point::new(inputs, 0);
        response.add(stop, BestResponse::stationary(method, curvature, point, below.into()));
    }
    (response, stops)
}

fn five() -> Five {
    let at = |k: f64| level::Vector::new(&[0.3 - 0.2 * k, 0.1 + 0.3 * k]);
    Five { top: at(0.0), a: at(1.0), b: at(2.0), c: at(3.0), d: at(4.0) }
}

#[test]
fn the_two_directions_are_transposes() {
    let (mut response, stops) = response(&five(), &Five::SCHEDULE, 1);
    let zero = response.unknowns(&stops);
    // 2⁴ − 1 blocks of two numbers.
    assert_eq!(zero.dimension(), 30);
    let draw = &mut StdRng::seed_from_u64(2);
    let mut is_symmetric = true;
    for _ in 0..5 {
        let (x, y) = (random(draw, &zero), random(draw, &zero));
        let forth = response.whole(&stops, Direction::Tangent).apply(&x).unwrap();
        let back = response.whole(&stops, Direction::Adjoint).apply(&y).unwrap();
        let (left, right) = (forth.dot(&y).unwrap(), back.dot(&x).unwrap());
        assert!((left - right).abs() <= 1e-12 * left.abs().max(1.0), "{left} {right}");
        let other = response.whole(&stops, Direction::Tangent).apply(&y).unwrap();
        is_symmetric &= (other.dot(&x).unwrap() - left).abs() <= 1e-6;
    }
    assert!(!is_symmetric, "rows are named by what they determine");
}

#[test]
fn the_rows_in_another_order_are_a_hessian() {
    let (mut response, stops) = response(&five(), &Five::SCHEDULE, 3);
    let zero = response.unknowns(&stops);
    let matrix = |is_paired: bool, response: &mut Response| -> Vec<Vec<f64>> {
        let unit = |k: usize| zero.with_coordinates(&(0..30).map(|i| f64::from(i == k)).collect::<Vec<_>>());
        let column = |k: usize| {
            let product = match is_paired {
                true => response.repaired(&stops).unwrap().apply(&unit(k)),
                false => response.whole(&stops, Direction::Adjoint).apply(&unit(k)),
            };
            product.unwrap().coordinates().unwrap()
        };
        (0..30).map(column).collect()
    };
    let paired = matrix(true, &mut response);
    let plain = matrix(false, &mut response);
    for (i, column) in paired.iter().enumerate() {
        assert!(column.iter().zip(&paired).all(|(entry, other)| (entry - other[i]).abs() < 1e-12), "{i}");
    }
    // Each column of the one is a column of the other, but for its sign.
    for column in &plain {
        let is_there = |other: &Vec<f64>| {
            [1.0, -1.0].iter().any(|sign| column.iter().zip(other).all(|(x, y)| (x - sign * y).abs() < 1e-12))
        };
        assert_eq!(paired.iter().filter(|other| is_there(other)).count(), 1);
    }
}
