//! Cost and accuracy of one hypergradient, method by method.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use betty_examples::failure::Failure;
use betty_examples::penalized::{Penalized, PenalizedConfig};
use betty_runtime::{Engine, EngineError, Event, ProgramConfig};
use burn::tensor::Device;
use peak_alloc::PeakAlloc;

use crate::problem::{STANDING_STILL, START, data, problem};

/// Counts what is allocated.
#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// A method's name, and options with their values.
pub(crate) type Setting = (&'static str, &'static [(&'static str, &'static str)]);

/// What is measured.
pub(crate) const SETTINGS: &[Setting] = &[
    ("cg", &[("iterations", "5")]),
    ("cg", &[("iterations", "20")]),
    ("cg", &[("iterations", "100")]),
    ("cg", &[("iterations", "20"), ("damping", "0.1")]),
    ("minres", &[("iterations", "20")]),
    ("gmres", &[("iterations", "20")]),
    ("neumann", &[("terms", "20"), ("step_size", "0.5")]),
    ("neumann", &[("terms", "100"), ("step_size", "0.5")]),
    ("nystrom", &[("rank", "20"), ("damping", "0.1")]),
    ("nystrom", &[("rank", "100"), ("damping", "0.1")]),
    ("penalty", &[("steps", "20"), ("step_size", "0.5"), ("warm_start", "false")]),
    ("penalty", &[("steps", "100"), ("step_size", "0.5"), ("warm_start", "false")]),
    ("finite_difference", &[]),
    ("sama", &[]),
    ("identity", &[]),
    ("dense", &[]),
    ("unrolled", &[]),
    ("unrolled", &[("truncate", "5")]),
    ("unrolled", &[("memory", "5")]),
    ("forward_gradient", &[("directions", "8")]),
    ("forward_gradient", &[("directions", "64")]),
    ("evolution", &[("pairs", "16"), ("sigma", "0.1")]),
];

/// A setting's row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// The setting.
    pub(crate) setting: Setting,
    /// After few lower steps, or after many if the method fails there; none if it fails at both.
    pub(crate) cost: Option<Cost>,
    /// Against the reference, after few lower steps, unless the method fails there.
    pub(crate) early: Option<Accuracy>,
    /// Against the reference, after many.
    pub(crate) converged: Option<Accuracy>,
}

/// What one hypergradient takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    /// Second-derivative products at the lower level.
    pub(crate) products: usize,
    /// Its time by the time of one gradient of the lower loss.
    pub(crate) time: f64,
    /// Most memory in use during the lower steps and the hypergradient, beyond what was there before, in KiB.
    pub(crate) memory: f64,
}

/// How close a hypergradient is to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Accuracy {
    /// ‖found − reference‖ / ‖reference‖
    pub(crate) error: f64,
    /// Cosine of the angle between both.
    pub(crate) cosine: f64,
}

impl Accuracy {
    fn of(found: &[f64], reference: &[f64]) -> Self {
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let gap: Vec<f64> = found.iter().zip(reference).map(|(x, y)| x - y).collect();
        let norm = |x: &[f64]| dot(x, x).sqrt();
        Accuracy {
            error: norm(&gap) / norm(reference),
            cosine: dot(found, reference) / (norm(found) * norm(reference)),
        }
    }
}

/// What is measured, and how thoroughly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measurement<'a> {
    /// Hidden units, if any.
    pub(crate) hidden: Option<usize>,
    /// Few lower steps.
    pub(crate) early: usize,
    /// So many that the lower level has converged.
    pub(crate) converged: usize,
    /// Repetitions, of which the fastest counts: whatever else the machine does can only add to it.
    pub(crate) repetitions: usize,
    /// Where to compute.
    pub(crate) device: &'a Device,
}

impl Measurement<'_> {
    /// The row of every setting.
    pub(crate) fn rows(&self, settings: &[Setting], mut done: impl FnMut()) -> Result<Vec<Row>, Failure> {
        let reference = self.hypergradient(("dense", &[]), self.converged)?;
        let rows = settings.iter().map(|&setting| {
            let row = self.row(setting, &reference)?;
            done();
            Ok(row)
        });
        rows.collect()
    }

    fn row(&self, setting: Setting, reference: &[f64]) -> Result<Row, Failure> {
        let early = self.try_hypergradient(setting, self.early)?;
        let converged = self.try_hypergradient(setting, self.converged)?;
        let works = [(&early, self.early), (&converged, self.converged)].into_iter().find(|(found, _)| found.is_some());
        let cost = works.map(|(_, steps)| self.cost(setting, steps)).transpose()?;
        let accuracy = |found: Option<Vec<f64>>| found.map(|found| Accuracy::of(&found, reference));
        Ok(Row { setting, cost, early: accuracy(early), converged: accuracy(converged) })
    }

    fn cost(&self, setting: Setting, steps: usize) -> Result<Cost, Failure> {
        let products = Rc::new(RefCell::new(0));
        let seen = Rc::clone(&products);
        let mut engine = self.engine(setting, steps)?.observe(move |event| {
            if let Event::Hypergradient { products, .. } = *event {
                *seen.borrow_mut() = products;
            }
        });
        // The first time traces and compiles; the second is the one that counts.
        engine.run(1)?;
        engine.gradient("penalties")?;
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        engine.run(1)?;
        engine.gradient("penalties")?;
        let memory = ALLOCATOR.peak_usage().saturating_sub(before) as f64 / 1024.0;
        // Both are timed in turn, so that both see the same machine.
        let (mut time, mut unit) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..self.repetitions {
            time = time.min(seconds(|| engine.gradient("penalties"))?);
            unit = unit.min(seconds(|| engine.gradient("classifier"))?);
        }
        Ok(Cost { products: products.take(), time: time / unit, memory })
    }

    /// The hypergradient after so many lower steps.
    fn hypergradient(&self, setting: Setting, steps: usize) -> Result<Vec<f64>, EngineError> {
        let mut engine = self.engine(setting, steps)?;
        engine.run(1)?;
        Ok(engine.gradient("penalties")?.gradient.to_vec()?)
    }

    /// The same, or `None` where the method finds that it cannot be had.
    fn try_hypergradient(&self, setting: Setting, steps: usize) -> Result<Option<Vec<f64>>, EngineError> {
        match self.hypergradient(setting, steps) {
            Ok(found) => Ok(Some(found)),
            Err(EngineError::Hypergradient { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn engine(&self, (method, options): Setting, steps: usize) -> Result<Engine<Penalized>, EngineError> {
        let options: String = options.iter().map(|(name, value)| format!(r#", "{name}": {value}"#)).collect();
        let method = format!(r#""hypergradient": {{ "method": "{method}"{options} }}"#);
        let classifier = format!(r#"{{ "unroll": {steps}, {START}, {method} }}"#);
        let config = PenalizedConfig::from_json(&format!(r#"{{ {STANDING_STILL}, "classifier": {classifier} }}"#))?;
        Engine::new(problem(self.hidden, self.device), data(self.device), config)
    }
}

fn seconds<T, E>(mut work: impl FnMut() -> Result<T, E>) -> Result<f64, E> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// What is allocated is counted for the whole process.
    static ALONE: Mutex<()> = Mutex::new(());

    #[test]
    fn an_engine_that_never_ran_leaves_nothing_behind() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let device = Device::flex();
        let measurement = Measurement { hidden: Some(4), early: 5, converged: 5, repetitions: 1, device: &device };
        let make =
            |count| (0..count).for_each(|_| drop(measurement.engine(SETTINGS[0], 5).expect("a setting that fits")));
        make(3);
        let before = ALLOCATOR.current_usage();
        make(20);
        let grown = ALLOCATOR.current_usage().saturating_sub(before);
        // Two levels of four parameters, each of which took a kilobyte of Burn's table.
        assert!(grown < 20 * 500, "{grown} bytes");
    }

    fn measurement(device: &Device) -> Measurement<'_> {
        Measurement { hidden: None, early: 20, converged: 400, repetitions: 1, device }
    }

    /// Exact methods meet from two sides: by elimination, and by differentiating the steps that lead there.
    #[test]
    fn the_reference_is_what_unrolling_to_convergence_gives() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let device = Device::flex();
        let measurement = measurement(&device);
        let steps = 4000;
        let dense = measurement.hypergradient(("dense", &[]), steps).expect("a hypergradient");
        let unrolled = measurement.hypergradient(("unrolled", &[]), steps).expect("a hypergradient");
        let accuracy = Accuracy::of(&unrolled, &dense);
        // What 4000 steps leave of the distance to the best response.
        assert!(accuracy.error < 1e-6, "{accuracy:?}");
    }

    #[test]
    fn a_row_counts_products_and_tells_good_from_bad() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let device = Device::flex();
        let settings: &[Setting] = &[("cg", &[("iterations", "20")]), ("identity", &[]), ("unrolled", &[])];
        let mut done = 0;
        let rows = measurement(&device).rows(settings, || done += 1).expect("rows");
        assert_eq!(done, 3);
        let cost = |row: &Row| row.cost.expect("it works");
        assert_eq!(cost(&rows[0]).products, 20);
        assert_eq!(cost(&rows[1]).products, 0);
        let error = |row: &Row| row.converged.expect("positive definite").error;
        assert!(error(&rows[0]) < error(&rows[1]));
        assert!(rows.iter().all(|row| cost(row).time > 0.0 && cost(row).memory > 0.0), "{rows:?}");
        assert!(cost(&rows[2]).memory > cost(&rows[1]).memory, "20 steps are kept");
    }

    #[test]
    fn accuracy_of_a_turned_vector() {
        let accuracy = Accuracy::of(&[0.0, 2.0], &[2.0, 0.0]);
        assert_eq!((accuracy.error, accuracy.cosine), (2.0f64.sqrt(), 0.0));
    }
}
