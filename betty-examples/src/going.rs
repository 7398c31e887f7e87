//! Runs that are watched, saved, stopped, and gone on with, as options say.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use betty_runtime::{Engine, Event, Multilevel, StreamPosition};
use clap::Args;

use crate::failure::{Failure, check_positive};
use crate::output::OutputFolder;
use crate::ranks::Ranks;
use crate::saved::{Choices, Point, SavedRun};
use crate::stop::Stop;
use crate::watching::Watching;

/// How runs are saved and gone on with.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Saving {
    /// Save runs into the output folder after every N steps, and at the end [default: at the end].
    #[arg(long, value_name = "N")]
    pub save_every: Option<u64>,
    /// Go on from what `--save-every`, or a run that was stopped by Ctrl-C or SIGTERM, left in the output folder. The results
    /// are those of runs that were never interrupted, and what had ended is not begun anew. Options that decide them have to be the
    /// same, but there may be more steps.
    #[arg(long)]
    pub resume: bool,
}

impl Saving {
    /// Refuses to save never, and to go on where nothing was saved.
    ///
    /// # Errors
    /// [`Failure::TooSmall`] and [`Failure::NothingToResume`].
    pub fn check(&self, folder: &Path) -> Result<(), Failure> {
        check_positive(&[("save-every", self.save_every.unwrap_or(1))])?;
        if !self.resume || has_saves(folder) {
            return Ok(());
        }
        Err(Failure::NothingToResume { checkpoint: folder.join("*.safetensors") })
    }
}

/// Whether a run is saved in a folder.
fn has_saves(folder: &Path) -> bool {
    let mut files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    files.any(|file| file.extension().is_some_and(|extension| extension == "safetensors"))
}

/// What runs of one program share.
#[derive(Clone, Copy)]
pub struct Going<'a> {
    /// How they are saved.
    pub saving: &'a Saving,
    /// How they are watched.
    pub watching: &'a Watching,
    /// Where all of that goes.
    pub output: &'a OutputFolder,
    /// The options that decide their numbers.
    pub choices: &'a Choices,
    /// Whether to stop.
    pub stop: &'a Stop,
    /// Whether to show a progress bar.
    pub progress: bool,
    /// The processes that share the run.
    pub ranks: &'a Ranks,
}

/// Points that are saved with a run.
pub type Curves = Rc<RefCell<Vec<Point>>>;

impl Going<'_> {
    /// Ends here if it was asked to stop: between runs, and in what is not saved.
    ///
    /// # Errors
    /// [`Failure::Stopped`].
    pub fn heed(&self) -> Result<(), Failure> {
        if !self.ranks.any(self.stop.is_asked())? {
            return Ok(());
        }
        Err(self.stopped_between_runs())
    }

    fn stopped_between_runs(&self) -> Failure {
        let said = match has_saves(self.output.path()) {
            true => "stopped; runs that had ended are saved; to go on, give the same options and `--resume`",
            false => "stopped before the first step of a run; nothing was saved",
        };
        Failure::Stopped { said: said.into(), code: self.stop.exit_code() }
    }

    /// Lets an engine take the steps that are missing of `steps` in all, which `--option` asks for. The run is called `name`, which no
    /// other run is; `curves` are saved with it, and hold what was saved before where it is gone on with.
    ///
    /// # Errors
    /// Those of the run; [`Failure::Stopped`] when it was asked to stop, and [`Failure::Saved`] when a saved run cannot be gone on
    /// with.
    pub fn train<P: Multilevel>(
        &self,
        engine: Engine<P>,
        name: &str,
        (option, steps): (&'static str, u64),
        curves: &Curves,
    ) -> Result<P, Failure> {
        let saved = SavedRun::new(self.output, name);
        let find = || {
            if !self.saving.resume {
                return Ok(None);
            }
            self.watching.check_saved(&saved)?;
            Ok(saved.find(self.choices, option, steps)?)
        };
        let found = self.ranks.together(find)?;
        let engine = self.ranks.join(engine)?;
        let stop = self.stop.clone();
        let (points, file) = (Rc::clone(curves), saved.clone());
        let engine = engine
            .progress(self.progress)
            .save_every(self.saving.save_every.unwrap_or(u64::MAX), saved.checkpoint())
            .stop_when(move || stop.is_asked())
            .observe(move |event| {
                // Curves are written before the levels, so that they are never behind.
                if let Event::Saving { .. } = event
                    && !points.borrow().is_empty()
                    && let Err(failure) = file.write_curves(&points.borrow())
                {
                    eprintln!("warning: {failure}");
                }
            });
        let mut engine = self.watching.attach(engine, self.output, name);
        match found {
            Some((checkpoint, before)) => {
                engine.resume(&checkpoint, StreamPosition::Start)?;
                *curves.borrow_mut() = before;
            }
            None => self.ranks.together(|| saved.begin(self.choices))?,
        }
        self.watching.explain(&mut engine, steps)?;
        let report = engine.run_until(steps)?;
        // Only the first rank is watched.
        self.ranks.together(|| self.watching.check(&report, Some(&saved)))?;
        if self.ranks.any(self.stop.is_asked())? {
            let step = engine.iterations();
            if step == 0 {
                return Err(self.stopped_between_runs());
            }
            let said = format!(
                "stopped after step {step} of {steps}, which is saved in `{}`; to go on, give the same options and `--resume`",
                saved.checkpoint().display()
            );
            return Err(Failure::Stopped { said, code: self.stop.exit_code() });
        }
        Ok(engine.into_problem())
    }
}
