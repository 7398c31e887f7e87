//! Results as text, tables and plots.

use std::fmt;

use betty_examples::failure::Failure;
use betty_examples::metrics::{Summary, csv_table};
use betty_examples::output::OutputFolder;
use betty_examples::plot::{Curve, Curves};
use betty_runtime::{Multilevel, ProgramConfig};
use serde::Serialize;

use crate::experiment::{Learner, Outcome, TEST_STEPS};
use crate::problem::{Maml, MamlConfig};

/// Steps that the table and the plots show.
const STEPS: [usize; 3] = [0, 1, TEST_STEPS];

#[derive(Serialize)]
struct ErrorRow {
    learner: &'static str,
    steps: usize,
    mean_squared_error: f64,
    half_width_95: Option<f64>,
}

#[derive(Serialize)]
struct TaskRow {
    learner: &'static str,
    task: usize,
    amplitude: f32,
    phase: f32,
    steps: usize,
    mean_squared_error: f64,
}

#[derive(Serialize)]
struct TrainingRow {
    learner: &'static str,
    iteration: u64,
    validation_error: f64,
}

impl Learner {
    /// Mean over the test tasks of the error after so many steps.
    pub(crate) fn error(&self, steps: usize) -> Option<Summary> {
        Summary::of(&self.errors.iter().map(|errors| errors[steps]).collect::<Vec<_>>())
    }
}

impl Outcome {
    /// Writes everything into a folder.
    pub(crate) fn write(&self, config: &MamlConfig, output: &OutputFolder) -> Result<(), Failure> {
        output.write("errors.csv", csv_table(self.error_rows())?)?;
        output.write("tasks.csv", csv_table(self.task_rows())?)?;
        output.write("training.csv", csv_table(self.training_rows())?)?;
        output.write("training.svg", self.training_plot().to_svg()?)?;
        output.write("errors.svg", self.error_plot().to_svg()?)?;
        for task in 0..self.learners[0].functions.len() {
            output.write(&format!("task_{task}.svg"), self.task_plot(task).to_svg()?)?;
        }
        output.write("levels.txt", Maml::SCHEDULE.to_string())?;
        output.write("config.json", config.to_json()? + "\n")?;
        Ok(())
    }

    fn error_rows(&self) -> impl Iterator<Item = ErrorRow> {
        self.learners.iter().flat_map(|learner| {
            (0..=TEST_STEPS).filter_map(|steps| {
                let error = learner.error(steps)?;
                let (mean_squared_error, half_width_95) = (error.mean, error.half_width());
                Some(ErrorRow { learner: learner.name, steps, mean_squared_error, half_width_95 })
            })
        })
    }

    fn task_rows(&self) -> impl Iterator<Item = TaskRow> {
        self.learners.iter().flat_map(move |learner| {
            learner.errors.iter().zip(&self.tasks).enumerate().flat_map(move |(index, (errors, task))| {
                errors.iter().enumerate().map(move |(steps, &mean_squared_error)| TaskRow {
                    learner: learner.name,
                    task: index,
                    amplitude: task.wave.amplitude,
                    phase: task.wave.phase,
                    steps,
                    mean_squared_error,
                })
            })
        })
    }

    fn training_rows(&self) -> impl Iterator<Item = TrainingRow> {
        self.learners.iter().flat_map(|learner| {
            let row =
                |&(iteration, validation_error)| TrainingRow { learner: learner.name, iteration, validation_error };
            learner.curve.iter().map(row)
        })
    }

    fn training_plot(&self) -> Curves {
        let curve = |learner: &Learner| Curve {
            name: learner.name.into(),
            points: learner.curve.iter().map(|&(iteration, error)| (iteration as f64, error)).collect(),
        };
        Curves {
            title: "Error on new tasks, adapted as in training".into(),
            x: "iteration".into(),
            y: "mean squared error".into(),
            curves: self.learners.iter().map(curve).collect(),
            dots: None,
        }
    }

    fn error_plot(&self) -> Curves {
        let curve = |learner: &Learner| Curve {
            name: learner.name.into(),
            points: (0..=TEST_STEPS).filter_map(|step| Some((step as f64, learner.error(step)?.mean))).collect(),
        };
        Curves {
            title: format!("{} points of a new sine wave", self.shots),
            x: "gradient steps".into(),
            y: "mean squared error".into(),
            curves: self.learners.iter().map(curve).collect(),
            dots: None,
        }
    }

    /// A wave, the points that are seen of it, and the functions before and after adaptation.
    fn task_plot(&self, index: usize) -> Curves {
        let task = &self.tasks[index];
        let grid = task.wave.grid();
        let line =
            |name: String, y: Vec<f64>| Curve { name, points: grid.x.iter().map(|&x| f64::from(x)).zip(y).collect() };
        let mut curves = vec![line("wave".into(), grid.y.iter().copied().map(f64::from).collect())];
        let [maml, pretrained] = &self.learners;
        for steps in STEPS {
            curves.push(line(format!("{}, {}", maml.name, plural(steps)), maml.functions[index][steps].clone()));
        }
        let last = pretrained.functions[index][TEST_STEPS].clone();
        curves.push(line(format!("{}, {}", pretrained.name, plural(TEST_STEPS)), last));
        let support = task.support.x.iter().zip(&task.support.y).map(|(&x, &y)| (f64::from(x), f64::from(y)));
        let amplitude_and_phase = (task.wave.amplitude, task.wave.phase);
        Curves {
            title: format!("A new wave: amplitude {:.2}, phase {:.2}", amplitude_and_phase.0, amplitude_and_phase.1),
            x: "x".into(),
            y: "y".into(),
            curves,
            dots: Some(Curve { name: "seen".into(), points: support.collect() }),
        }
    }
}

/// The table for people.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shots, iterations, tasks) = (self.shots, self.iterations, self.tasks.len());
        writeln!(f, "{shots} points a task, {iterations} iterations")?;
        let intervals = if tasks < 30 { "too few for intervals" } else { "with 95 % intervals" };
        writeln!(f, "mean squared error on {tasks} new tasks, {intervals}\n")?;
        write!(f, "{:12}{:>6}", "", "rate")?;
        STEPS.iter().try_for_each(|&steps| write!(f, "{:>16}", plural(steps)))?;
        for learner in &self.learners {
            write!(f, "\n{:12}{:>6}", learner.name, learner.adaptation.rate)?;
            for error in STEPS.iter().filter_map(|&steps| learner.error(steps)) {
                let interval = error.half_width().map(|half| format!(" ± {half:.2}")).unwrap_or_default();
                write!(f, "{:>16}", format!("{:.2}{interval}", error.mean))?;
            }
        }
        writeln!(f)
    }
}

fn plural(steps: usize) -> String {
    if steps == 1 { "1 step".into() } else { format!("{steps} steps") }
}
