//! A quadratic whose hypergradient is known: every method against the closed form.
//!
//! ```text
//! θ*(λ) = argmin ½θᵀAθ − θᵀBλ = A⁻¹Bλ          C = ½‖θ*(λ) − t‖²          dC/dλ = BᵀA⁻¹(θ* − t)
//! ```
//!
//! A is symmetric with eigenvalues from 0.02 to 1, so that its inverse is known from how it is made. The lower level takes 50,
//! 200 and 1000 steps of descent; implicit methods solve at where those end, methods through the steps differentiate the steps.

use std::fmt;
use std::process::ExitCode;

use betty_examples::command::Setting;
use betty_examples::failure::{Failure, finish};
use betty_examples::metrics::csv_table;
use betty_examples::output::OutputFolder;
use betty_examples::plot::{Curve, Curves};
use betty_runtime::{Engine, EngineError, ProgramConfig, multilevel};
use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};
use clap::Parser;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

/// Lower and upper parameters.
const LOWER: usize = 20;
const UPPER: usize = 5;

/// After how many lower steps methods are compared.
const STEPS: [usize; 3] = [50, 200, 1000];

/// Each with what it is called.
const METHODS: [(&str, &str); 9] = [
    ("cg(iterations = 20)", r#"{ "method": "cg", "iterations": 20 }"#),
    ("minres(iterations = 20)", r#"{ "method": "minres", "iterations": 20 }"#),
    ("cg(iterations = 5)", r#"{ "method": "cg", "iterations": 5 }"#),
    ("neumann(terms = 100)", r#"{ "method": "neumann", "terms": 100, "step_size": 1.0 }"#),
    ("nystrom(rank = 10)", r#"{ "method": "nystrom", "rank": 10, "damping": 0.01 }"#),
    ("finite_difference", r#"{ "method": "finite_difference" }"#),
    ("dense", r#"{ "method": "dense" }"#),
    ("unrolled", r#"{ "method": "unrolled" }"#),
    ("forward", r#"{ "method": "forward" }"#),
];

type Vector = Param<Tensor<1>>;
/// A and B.
type Matrices = (Tensor<2>, Tensor<2>);

multilevel! {
    /// The quadratic; its upper level stands still.
    struct Quadratic;

    level above: Vector { lower: [below], batch: Tensor<1>, loss: distance, optimizer: sgd(lr = 1.0), warmup: 1_000_000 }
    level below: Vector {
        upper: [above], batch: Matrices, loss: quadratic, optimizer: sgd(lr = 1.0), hypergradient: cg(iterations = 20),
    }
}

fn quadratic(below: &Vector, above: &Vector, (a, b): Matrices) -> Tensor<1> {
    let theta = below.val().unsqueeze_dim::<2>(1);
    let pull = b.matmul(above.val().unsqueeze_dim(1));
    (theta.clone() * (a.matmul(theta.clone()).mul_scalar(0.5) - pull)).sum()
}

fn distance(_above: &Vector, below: &Vector, target: Tensor<1>) -> Tensor<1> {
    (below.val() - target).square().sum().mul_scalar(0.5)
}

/// Holds every method against the closed form of a quadratic's hypergradient.
#[derive(Debug, Parser)]
#[command(name = "quadratic", version)]
#[command(mut_arg("seed", |seed| seed.help("Seed of the quadratic")))]
#[command(mut_arg("out", |out| out.default_value("out/quadratic")))]
struct Options {
    /// What all examples have.
    #[command(flatten)]
    setting: Setting,
}

/// The numbers of the problem.
struct Problem {
    eigenvalues: Vec<f64>,
    /// The unit vector of the reflection `I − 2uuᵀ` whose columns are A's eigenvectors.
    reflection: Vec<f64>,
    b: Vec<Vec<f64>>,
    lambda: Vec<f64>,
    target: Vec<f64>,
}

impl Problem {
    fn draw(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut draw = |count: usize| -> Vec<f64> { (0..count).map(|_| rng.random_range(-1.0..1.0)).collect() };
        let u = draw(LOWER);
        let length = u.iter().map(|entry| entry * entry).sum::<f64>().sqrt();
        let eigenvalue = |k: usize| 0.02_f64.powf(k as f64 / (LOWER - 1) as f64);
        Problem {
            eigenvalues: (0..LOWER).map(eigenvalue).collect(),
            reflection: u.iter().map(|entry| entry / length).collect(),
            b: (0..LOWER).map(|_| draw(UPPER)).collect(),
            lambda: draw(UPPER),
            target: draw(LOWER),
        }
    }

    /// A function of A, given by what it does to eigenvalues, applied to a vector.
    fn apply(&self, function: impl Fn(f64) -> f64, vector: &[f64]) -> Vec<f64> {
        let reflect = |vector: &[f64]| -> Vec<f64> {
            let along: f64 = self.reflection.iter().zip(vector).map(|(u, x)| u * x).sum();
            self.reflection.iter().zip(vector).map(|(u, x)| x - 2.0 * along * u).collect()
        };
        let inside = reflect(vector);
        let scaled: Vec<f64> = self.eigenvalues.iter().zip(&inside).map(|(&value, x)| function(value) * x).collect();
        reflect(&scaled)
    }

    /// `BᵀA⁻¹(A⁻¹Bλ − t)`.
    fn hypergradient(&self) -> Vec<f64> {
        let pull: Vec<f64> =
            self.b.iter().map(|row| row.iter().zip(&self.lambda).map(|(b, lambda)| b * lambda).sum()).collect();
        let best = self.apply(|value| 1.0 / value, &pull);
        let gap: Vec<f64> = best.iter().zip(&self.target).map(|(theta, target)| theta - target).collect();
        let solved = self.apply(|value| 1.0 / value, &gap);
        (0..UPPER).map(|j| self.b.iter().zip(&solved).map(|(row, x)| row[j] * x).sum()).collect()
    }

    /// What a method finds after so many lower steps, in double precision.
    fn found(&self, method: &str, steps: usize, device: &Device) -> Result<Vec<f64>, EngineError> {
        let tensor = |values: &[f64]| -> Tensor<1> {
            Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), (device, DType::F64))
        };
        let columns: Vec<f64> = (0..LOWER)
            .flat_map(|k| {
                let unit: Vec<f64> = (0..LOWER).map(|i| f64::from(u8::from(i == k))).collect();
                self.apply(|value| value, &unit)
            })
            .collect();
        let matrices = (tensor(&columns).reshape([LOWER, LOWER]), tensor(&self.b.concat()).reshape([LOWER, UPPER]));
        let program = Quadratic {
            above: Param::from_tensor(tensor(&self.lambda)),
            below: Param::from_tensor(tensor(&[0.0; LOWER])),
        };
        let json = format!(r#"{{ "below": {{ "unroll": {steps}, "hypergradient": {method} }} }}"#);
        let data = QuadraticData { above: tensor(&self.target).into(), below: matrices.into() };
        let mut engine = Engine::new(program, data, QuadraticConfig::from_json(&json)?)?;
        engine.run(1)?;
        Ok(engine.gradient("above")?.gradient.to_vec()?)
    }
}

/// How far a method is off.
#[derive(Serialize)]
struct Row {
    method: &'static str,
    steps: usize,
    relative_error: f64,
}

struct Report(Vec<Row>);

impl Report {
    fn plot(&self) -> Curves {
        let of = |method: &'static str| self.0.iter().filter(move |row| row.method == method);
        let place = |row: &Row| ((row.steps as f64).log10(), row.relative_error.max(1e-16).log10());
        let curve =
            |&(name, _): &(&'static str, &str)| Curve { name: name.into(), points: of(name).map(place).collect() };
        Curves {
            title: "Error of the hypergradient of a quadratic".into(),
            x: "decimal logarithm of lower steps".into(),
            y: "decimal logarithm of the relative error".into(),
            curves: METHODS.iter().map(curve).collect(),
            dots: None,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "relative error of the hypergradient against the closed form\n")?;
        write!(f, "{:26}", "after lower steps")?;
        STEPS.iter().try_for_each(|steps| write!(f, "{steps:>10}"))?;
        for rows in self.0.chunks(STEPS.len()) {
            write!(f, "\n{:26}", rows[0].method)?;
            rows.iter().try_for_each(|row| write!(f, "{:>10.0e}", row.relative_error))?;
        }
        writeln!(f)
    }
}

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    let device = options.setting.machine.device.open(None)?;
    let output = OutputFolder::open(&options.setting.out)?;
    let problem = Problem::draw(options.setting.seed);
    let exact = problem.hypergradient();
    let norm = |vector: &[f64]| vector.iter().map(|entry| entry * entry).sum::<f64>().sqrt();
    let mut rows = Vec::new();
    for (name, method) in METHODS {
        for steps in STEPS {
            let found = problem.found(method, steps, &device)?;
            let gap: Vec<f64> = found.iter().zip(&exact).map(|(found, exact)| found - exact).collect();
            rows.push(Row { method: name, steps, relative_error: norm(&gap) / norm(&exact) });
        }
    }
    let report = Report(rows);
    output.write("errors.csv", csv_table(&report.0)?)?;
    output.write("errors.svg", report.plot().to_svg()?)?;
    options.setting.show(&report, &output)
}
