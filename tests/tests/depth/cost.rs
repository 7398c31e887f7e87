//! What hypergradients through chains take, by depth: nested solves, one loop, and levels that stand still.
//!
//! All losses are sums over entries, so that every entry is a chain of numbers with a closed form; Krylov methods do not know.
//! Every level has 200 parameters and a Hessian of condition 1e3.

use betty_runtime::execute::launched;
use betty_runtime::{CurvatureOf, Engine, EngineError, LevelConfig, Multilevel, ProgramConfig, Stream, multilevel};
use burn::tensor::Tensor;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::level::{Vector, vector};
use crate::reference::Quadratics;

/// `h`, `b` and `c` of `½h·x² − b·x·above + c·x·below`, entry by entry.
type Weights = (Tensor<1>, (Tensor<1>, Tensor<1>));

fn judged(_top: &Vector, first: &Vector, (h, _): Weights) -> Tensor<1> {
    let x = first.x.val();
    (x.clone() * (x - h)).sum()
}

fn between(own: &Vector, above: &Vector, below: &Vector, (h, (b, c)): Weights) -> Tensor<1> {
    let x = own.x.val();
    (x.clone() * (x * h.mul_scalar(0.5) - above.x.val() * b + below.x.val() * c)).sum()
}

fn lowest(own: &Vector, above: &Vector, (h, (b, _)): Weights) -> Tensor<1> {
    let x = own.x.val();
    (x.clone() * (x * h.mul_scalar(0.5) - above.x.val() * b)).sum()
}

/// The numbers of a chain: points and weights of each level.
struct Chain {
    points: Vec<Vec<f64>>,
    weights: Vec<[Vec<f64>; 3]>,
}

const SIZE: usize = 200;

impl Chain {
    fn new(levels: usize) -> Self {
        let mut random = StdRng::seed_from_u64(5);
        let mut draw =
            |low: f64, high: f64| -> Vec<f64> { (0..SIZE).map(|_| random.random_range(low..high)).collect() };
        let mut chain = Chain { points: Vec::new(), weights: Vec::new() };
        for level in 0..levels {
            chain.points.push(draw(-1.0, 1.0));
            // From 1e-3 to 1, in another order at every level.
            let h = |i: usize| 10_f64.powf(-3.0 * ((i * (2 * level + 3)) % SIZE) as f64 / (SIZE - 1) as f64);
            let h: Vec<f64> = (0..SIZE).map(h).collect();
            let scaled = |by: Vec<f64>| by.iter().zip(&h).map(|(by, h)| by * h).collect();
            let (b, c) = (scaled(draw(-0.9, 0.9)), scaled(draw(-0.4, 0.4)));
            chain.weights.push([h, b, c]);
        }
        chain
    }

    /// The total gradient of the uppermost level, entry by entry, and its distance from what was found.
    fn error(&self, schedule: &betty_runtime::Schedule, found: &[f64]) -> f64 {
        let levels = self.points.len();
        let (mut gap, mut norm) = (0.0, 0.0);
        for i in 0..SIZE {
            let mut form = Quadratics { sizes: vec![1; levels], matrices: Vec::new(), linear: Vec::new() };
            for (level, [h, b, c]) in self.weights.iter().enumerate() {
                let (mut matrix, mut linear) = (vec![vec![0.0; levels]; levels], vec![0.0; levels]);
                if level == 0 {
                    (matrix[1][1], linear[1]) = (2.0, -h[i]);
                } else {
                    matrix[level][level] = h[i];
                    (matrix[level][level - 1], matrix[level - 1][level]) = (-b[i], -b[i]);
                    if level + 1 < levels {
                        (matrix[level][level + 1], matrix[level + 1][level]) = (c[i], c[i]);
                    }
                }
                form.matrices.push(matrix);
                form.linear.push(linear);
            }
            let z: Vec<f64> = self.points.iter().map(|point| point[i]).collect();
            let expected = form.total_gradients(schedule, &[], &z)[0][0];
            gap += (found[i] - expected).powi(2);
            norm += expected * expected;
        }
        (gap / norm).sqrt()
    }
}

/// What one hypergradient of the uppermost level took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) error: f64,
    pub(crate) kernels: f64,
    pub(crate) bytes: f64,
    /// Kernels and bytes, as `explain` says.
    pub(crate) told: (f64, f64),
}

pub(crate) type Configure<'a> = &'a dyn Fn(usize, &mut LevelConfig);

fn measure<P: Multilevel>(engine: Result<Engine<P>, EngineError>, chain: &Chain, runs: bool) -> Taken {
    let mut engine = engine.unwrap();
    let explained = engine.explain().unwrap();
    let costs = explained.levels[0].responses.iter().map(|response| response.cost);
    let told = costs.fold((0.0, 0.0), |(kernels, bytes), cost| (kernels + cost.kernels, bytes + cost.bytes));
    if !runs {
        return Taken { error: f64::NAN, kernels: f64::NAN, bytes: f64::NAN, told };
    }
    let before = launched();
    let found = engine.gradient("top").unwrap().gradient.to_vec().unwrap();
    let after = launched();
    let error = chain.error(&P::SCHEDULE, &found);
    let (kernels, bytes) = (after.kernels - before.kernels, after.bytes - before.bytes);
    Taken { error, kernels, bytes, told }
}

macro_rules! chain {
    ($measure:ident, $program:ident, $data:ident, $config:ident: $first:ident $($level:ident below $above:ident above $below:tt by $loss:ident),*) => {
        multilevel! {
            struct $program;
            level top: Vector { lower: [$first], batch: Weights, loss: judged, optimizer: sgd(lr = 0.1) }
            $(level $level: Vector {
                upper: [$above], lower: $below, batch: Weights, loss: $loss, optimizer: sgd(lr = 0.1),
                hypergradient: cg,
            })*
        }

        pub(crate) fn $measure(configure: Configure<'_>, runs: bool) -> Taken {
            let chain = Chain::new($program::SCHEDULE.levels.len());
            let mut points = chain.points.iter().map(|point| Vector::new(point));
            let mut point = || points.next().unwrap();
            let problem = $program { top: point(), $($level: point(),)* };
            let mut weights = chain.weights.iter().map(|[h, b, c]| Stream::constant((vector(h), (vector(b), vector(c)))));
            let mut stream = || weights.next().unwrap();
            let data = $data { top: stream(), $($level: stream(),)* };
            let mut config = $config::default();
            config.levels_mut().into_iter().enumerate().for_each(|(number, level)| configure(number, level));
            let engine = Engine::new(problem, data, config);
            measure(engine, &chain, runs)
        }
    };
}

chain!(two, Two, TwoData, TwoConfig: a a below top above [] by lowest);
chain!(three, Three, ThreeData, ThreeConfig: a a below top above [b] by between, b below a above [] by lowest);
chain!(four, Four, FourData, FourConfig: a
    a below top above [b] by between, b below a above [c] by between, c below b above [] by lowest);
chain!(five, Five, FiveData, FiveConfig: a
    a below top above [b] by between, b below a above [c] by between, c below b above [d] by between,
    d below c above [] by lowest);
chain!(six, Six, SixData, SixConfig: a
    a below top above [b] by between, b below a above [c] by between, c below b above [d] by between,
    d below c above [e] by between, e below d above [] by lowest);
chain!(seven, Seven, SevenData, SevenConfig: a
    a below top above [b] by between, b below a above [c] by between, c below b above [d] by between,
    d below c above [e] by between, e below d above [f] by between, f below e above [] by lowest);
chain!(eight, Eight, EightData, EightConfig: a
    a below top above [b] by between, b below a above [c] by between, c below b above [d] by between,
    d below c above [e] by between, e below d above [f] by between, f below e above [g] by between,
    g below f above [] by lowest);

pub(crate) type Measure = fn(Configure<'_>, bool) -> Taken;
pub(crate) const CHAINS: [Measure; 7] = [two, three, four, five, six, seven, eight];

fn cg(level: &mut LevelConfig, iterations: usize, tolerance: f64) {
    if level.hypergradient.is_some() {
        let method = json!({ "method": "cg", "iterations": iterations, "tolerance": tolerance });
        level.hypergradient = Some(serde_json::from_value(method).unwrap());
    }
}

pub(crate) fn nested(chain: Measure, iterations: usize, runs: bool) -> Taken {
    chain(&|_, level| cg(level, iterations, 0.0), runs)
}

pub(crate) fn joint(chain: Measure, options: &Value, inner: usize) -> Taken {
    let configure = |number: usize, level: &mut LevelConfig| {
        cg(level, inner, 1e-8);
        if number == 0 {
            level.solve = Some(serde_json::from_value(options.clone()).unwrap());
        }
    };
    chain(&configure, true)
}

/// One loop with a preconditioner of each level: prepared by so many iterations of each, or by minimal residuals if by none.
pub(crate) fn preconditioned(chain: Measure, iterations: usize, inner: usize, preconditioner: &Value) -> Taken {
    let prepare = inner > 0;
    let options =
        json!({ "name": "joint", "iterations": iterations, "restart": 100, "tolerance": 1e-15, "prepare": prepare });
    let configure = |number: usize, level: &mut LevelConfig| {
        cg(level, inner.max(1), 1e-8);
        match number {
            0 => level.solve = Some(serde_json::from_value(options.clone()).unwrap()),
            _ => level.preconditioner = Some(serde_json::from_value(preconditioner.clone()).unwrap()),
        }
    };
    chain(&configure, true)
}

/// Nested solves that leave this much of the system, prepared by as many iterations of each level's own.
pub(crate) fn inexact(chain: Measure, tolerance: f64, inner: usize) -> Taken {
    let options =
        json!({ "name": "inexact", "iterations": 400, "restart": 400, "tolerance": tolerance, "prepare": inner > 0 });
    let configure = |number: usize, level: &mut LevelConfig| {
        cg(level, inner.max(1), 1e-8);
        if number == 0 {
            level.solve = Some(serde_json::from_value(options.clone()).unwrap());
        }
    };
    chain(&configure, true)
}

pub(crate) fn partial(chain: Measure, levels: usize, iterations: usize) -> Taken {
    let configure = |number: usize, level: &mut LevelConfig| {
        cg(level, iterations, 0.0);
        if number > 0 && number + 1 < levels {
            level.curvature = CurvatureOf::Partial;
        }
    };
    chain(&configure, true)
}

/// One iteration from the last solution, prepared by a few of each level: what each step of a single loop takes.
pub(crate) fn single_loop(chain: Measure) -> Taken {
    let options = json!({ "name": "joint", "iterations": 1, "tolerance": 0.0, "warm_start": true });
    let configure = |number: usize, level: &mut LevelConfig| {
        cg(level, 2, 0.0);
        if number == 0 {
            level.solve = Some(serde_json::from_value(options.clone()).unwrap());
        }
    };
    chain(&configure, false)
}

/// The fewest iterations for which the error is small enough, to a tenth.
pub(crate) fn fewest(small: f64, error: impl Fn(usize) -> f64) -> usize {
    let mut high = 2;
    while error(high) > small {
        high *= 2;
    }
    let mut low = high / 2;
    while high - low > 1.max(low / 10) {
        let middle = (low + high) / 2;
        if error(middle) > small { low = middle } else { high = middle }
    }
    high
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Taken { error, kernels, bytes, told: (told, _) } = self;
        write!(f, "error {error:.1e}, {kernels:.3e} kernels, {bytes:.2e} bytes, {told:.3e} kernels told")
    }
}

pub(crate) const SMALL: f64 = 1e-6;

/// The fewest iterations of nested solves that make two levels so exact.
pub(crate) const ITERATIONS: usize = 68;

/// Nested solves of four levels are counted with the iterations that two levels need; more levels need more.
#[test]
fn four_levels_take_a_fiftieth() {
    let options = json!({ "name": "joint", "iterations": 60, "restart": 60, "tolerance": 1e-15 });
    let found = joint(four, &options, 20);
    let iterations = fewest(SMALL, |iterations| nested(two, iterations, true).error);
    assert_eq!(iterations, ITERATIONS);
    let of_nested = nested(four, iterations, false);
    assert!(found.error <= SMALL && found.kernels <= found.told.0, "{found}");
    assert!(50.0 * found.kernels <= of_nested.told.0, "{found}, nested {of_nested}");
}

/// Both with what two levels need: as many iterations of nested solves, and the same error.
#[test]
pub(crate) fn nested_solves_need_not_be_exact() {
    let (found, of_nested) = (inexact(three, SMALL, 20), nested(three, ITERATIONS, true));
    assert!(found.error <= SMALL && 2.0 * found.kernels <= of_nested.kernels, "{found}, nested {of_nested}");
}

/// Without a preconditioner, minimal residuals on the whole system of three levels are still off by as much after so many iterations
/// as they are exact with one; Hessians are diagonal here.
#[test]
fn preconditioners_make_one_loop_short() {
    let options = json!({ "name": "joint", "iterations": 1000, "tolerance": 1e-15, "prepare": false });
    let plain = joint(three, &options, 1);
    let found = preconditioned(three, 1000, 0, &json!({ "name": "diagonal", "probes": 1 }));
    assert!(found.error <= SMALL && plain.error > 0.1, "{found}, without {plain}");
    assert!(found.kernels <= found.told.0, "{found}");
}
