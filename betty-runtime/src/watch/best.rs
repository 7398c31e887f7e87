//! The program as it was when validation was best.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::error::WatchError;
use super::last::numbered;
use super::log::not_written;
use crate::checkpoint::Label;
use crate::error::DataError;
use crate::file::Claim;
use crate::{Checkpoint, Current, Event, Looks, Multilevel, Observer, Warning};

/// Keeps the best program: writes a [`Checkpoint`](crate::Checkpoint) whenever the validation function is the best so far. The
/// file holds the one or the other at any time. Where a run goes back behind it, to be gone on with by other numbers say, it is no
/// longer of that run: then it is put aside, as `best.150.safetensors` if it is that of iteration 150, with a warning `best`. What was
/// put aside stays: another one of that iteration becomes `best.150.1.safetensors`. There is a best program again once validation is
/// better than it was before the iteration that the run goes back to. While a run writes the file, others are refused, with a
/// [`WatchError`](super::WatchError), where the file system knows locks.
///
/// `engine.resume(&Checkpoint::open(file)?, StreamPosition::Placed)` puts its parameters into an engine, wherever its data stand:
///
/// ```
/// # use betty_runtime::{EngineError, Stream, multilevel};
/// use betty_runtime::watch::KeepBest;
/// use betty_runtime::{Checkpoint, Engine, Goal, StreamPosition, Validation};
/// # use burn::module::Param;
/// # use burn::tensor::{Device, Tensor};
/// # type Point = Param<Tensor<1>>;
/// # fn loss(x: &Point, _batch: ()) -> Tensor<1> { x.val().square().sum() }
/// # multilevel! {
/// #     struct Descent;
/// #     level x: Point { batch: (), loss: loss, optimizer: sgd(lr = 0.75) }
/// # }
/// # fn main() -> Result<(), EngineError> {
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let file = folder.path().join("best.safetensors");
/// # let problem = Descent { x: Param::from_tensor(Tensor::from_floats([8.0], &Device::flex())) };
/// # let data = DescentData { x: Stream::constant(()) };
/// // The loss that is trained is `x²`, and goes from 8 to -4, 2, -1, …: what is validated is best at 2.
/// let gap = |problem: &Descent| Ok((problem.x.val().into_scalar::<f32>() - 2.0).abs().into());
/// let mut engine = Engine::new(problem, data, DescentConfig::default())?
///     .validate(Validation::every::<f64>(1, Goal::Min, gap))
///     .attach(KeepBest::in_file(&file));
/// engine.run(4)?;
/// engine.resume(&Checkpoint::open(&file)?, StreamPosition::Placed)?;
/// assert_eq!(engine.iterations(), 2);
/// assert_eq!(engine.problem().x.val().into_scalar::<f32>(), 2.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct KeepBest {
    file: PathBuf,
    /// Keeps other runs out while one goes on.
    claim: Option<Claim>,
}

impl KeepBest {
    /// Keeps it in this file.
    #[must_use]
    pub fn in_file(file: impl Into<PathBuf>) -> Self {
        KeepBest { file: file.into(), claim: None }
    }
}

impl KeepBest {
    /// Keeps other runs from writing the file.
    fn claimed(&self) -> Result<Option<Claim>, WatchError> {
        // What is there and is no file, a device say, has no neighbours of its own.
        if self.file.exists() && !self.file.is_file() {
            return Ok(None);
        }
        Claim::on(&self.file).map(Some).map_err(|reason| not_written(&self.file, reason))
    }

    /// Puts aside what came after the iteration that this program goes on from.
    fn put_aside<P: Multilevel>(&self, iteration: u64, program: &Current<'_, P>) -> Result<(), WatchError> {
        let facts = program.facts();
        let is_later = |label: &Label| {
            (label.program.as_str(), label.seed) == (facts.schedule.name, facts.seed) && label.iterations > iteration
        };
        let Some(later) = Checkpoint::label(&self.file).filter(is_later) else { return Ok(()) };
        let _claim = self.claimed()?;
        let aside = aside(&self.file, later.iterations).map_err(|reason| not_written(&self.file, reason))?;
        fs::rename(&self.file, &aside).map_err(|reason| not_written(&aside, reason))?;
        let fact = format!(
            "the best program so far is that of iteration {}, and the run goes on after {iteration}: it is kept as `{}`",
            later.iterations,
            aside.display()
        );
        let advice = format!(
            "compare it with what this run comes to, or take it away; `{}` is written again when validation is better than it was up to \
             iteration {iteration}",
            self.file.display()
        );
        program.warn(Warning { rule: "best".into(), level: None, fact, advice });
        Ok(())
    }
}

/// Where the file can be put aside without taking the place of another program: several tries may each be best at the same iteration.
/// The same one again, as after a run that was killed and goes on with equal numbers, takes its own place.
fn aside(file: &Path, iteration: u64) -> io::Result<PathBuf> {
    let first = numbered(file, iteration);
    let more = (1..).map(|number| numbered(&first, number));
    for name in std::iter::once(first.clone()).chain(more) {
        if !name.try_exists()? || fs::read(&name)? == fs::read(file)? {
            return Ok(name);
        }
    }
    Ok(first)
}

impl<P: Multilevel> Observer<P> for KeepBest {
    fn hear(&mut self, event: &Event<'_>, program: &Current<'_, P>) -> Result<ControlFlow<String>, DataError> {
        match *event {
            Event::Started { .. } => self.claim = self.claimed()?,
            Event::Validation { best: true, .. } => {
                let kept = program.checkpoint().and_then(|checkpoint| checkpoint.save(&self.file));
                kept.map_err(WatchError::from)?;
            }
            Event::Ended { .. } => self.claim = None,
            Event::Resumed { iteration } => self.put_aside(iteration, program)?,
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    fn looks(&self) -> Looks {
        Looks::Never
    }
}
