//! What is checked of derivatives without looking at how they were traced.

use betty_runtime::execute::Value;
use betty_runtime::trace::{AnyBatch, Leaf};
use burn::tensor::{DType, Device, TensorData};
use rand::rngs::StdRng;

use super::compare::{close, close_at, dot, float, norm, random, split};
use super::elsewhere::check_elsewhere;
use super::options::Options;
use super::problem::{Answers, Problem};

/// Checks everything that needs no eager computation.
pub(crate) fn verify(
    name: &str,
    problem: &Problem,
    leaves: &[Leaf],
    batch: &AnyBatch,
    options: Options,
    dtype: DType,
    rng: &mut StdRng,
) -> Answers {
    let device = Device::flex();
    let host_leaves: Vec<(Vec<usize>, Vec<f64>)> =
        leaves.iter().map(|leaf| (leaf.value.shape(), leaf.value.to_vec().unwrap())).collect();
    let values = |flat: &[f64]| -> Vec<Value> {
        let parts = split(flat, &host_leaves);
        let data = parts.into_iter().zip(&host_leaves).map(|(part, (shape, _))| TensorData::new(part, shape.clone()));
        data.map(|data| Value::from_data(data.convert_dtype(dtype), &device)).collect()
    };
    let theta: Vec<f64> = host_leaves.iter().flat_map(|(_, values)| values.clone()).collect();
    let (u, v, cotangent) = (random(theta.len(), rng), random(theta.len(), rng), random(problem.size, rng));
    let run = |theta: &[f64], u: &[f64]| -> Answers {
        let vectors = [values(theta), values(u), vec![Value::from_tensor(float(&cotangent, &device, dtype))]];
        problem.run(vectors.concat(), batch.values(), &device)
    };
    let at = run(&theta, &u);
    if !options.against_double || dtype == DType::F64 {
        close(name, "gradient, recorded", &at.gradient, &at.burn, options.gradient(dtype));
    }
    let vectors = || [values(&theta), values(&u), vec![Value::from_tensor(float(&cotangent, &device, dtype))]].concat();
    if dtype == DType::F32 {
        check_elsewhere(name, problem, options, &vectors(), batch.values(), &at);
        if !options.only_f32 {
            return at;
        }
    }
    problem.check_lanes(name, options, vectors().into_iter().chain(batch.values().iter().cloned()).collect());
    if options.kink {
        return at;
    }
    close(name, "adjointness", &[dot(&cotangent, &at.jvp)], &[dot(&at.vjp, &u)], options.tolerance(1e-10));
    close(name, "reverse over reverse", &at.hvp, &at.reverse_hvp, options.tolerance(1e-10));
    let linearized = problem.linearized(values(&theta), values(&u), batch.values());
    close(name, "hvp, linearized", &at.hvp, &linearized, options.tolerance(1e-10));
    let other = run(&theta, &v);
    close(name, "symmetry", &[dot(&v, &at.hvp)], &[dot(&u, &other.hvp)], options.tolerance(1e-9));
    let mixture: Vec<f64> = u.iter().zip(&v).map(|(u, v)| u + 2.0 * v).collect();
    let sum: Vec<f64> = at.hvp.iter().zip(&other.hvp).map(|(u, v)| u + 2.0 * v).collect();
    close(name, "linearity", &run(&theta, &mixture).hvp, &sum, options.tolerance(1e-10));
    if options.single || options.only_f32 || options.rough {
        return at;
    }
    // Fourth order: the error is h⁴/30 times a fifth derivative, and rounding divided by h.
    let h = 1e-4;
    let moved = |steps: f64| -> Answers {
        let theta: Vec<f64> = theta.iter().zip(&u).map(|(x, u)| x + steps * h * u).collect();
        run(&theta, &u)
    };
    let (one, back, two, back_two) = (moved(1.0), moved(-1.0), moved(2.0), moved(-2.0));
    let differences = |what: &str, derivative: &[f64], of: fn(&Answers) -> &Vec<f64>| {
        let along: Vec<f64> = (0..of(&one).len())
            .map(|i| (8.0 * (of(&one)[i] - of(&back)[i]) - (of(&two)[i] - of(&back_two)[i])) / (12.0 * h))
            .collect();
        // A derivative that vanishes has no scale of its own; arguments here are of order one.
        let scale = 1e-3 * norm(of(&at)).max(1.0);
        close_at(name, what, derivative, &along, scale, options.differences.unwrap_or(1e-8));
    };
    differences("jvp, differences", &at.jvp, |answers| &answers.value);
    differences("hvp, differences", &at.hvp, |answers| &answers.gradient);
    differences("mixed, differences", &at.mixed, |answers| &answers.data_gradient);
    differences("third order, differences", &at.third, |answers| &answers.hvp);
    at
}
