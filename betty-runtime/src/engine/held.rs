//! A run as an engine holds it: made, and taken apart, by code that is compiled with the library.
//!
//! What is generic in the program is compiled in the crate of the user, and the destructor of everything that a run is made of
//! would be, too: more code than all that needs the type of the program.

use std::ops::{Deref, DerefMut};

use super::data::Data;
use super::run::Run;
use crate::config::LevelConfig;
use crate::data::BatchStream;
use crate::error::EngineError;
use crate::program::{LossFunctions, Own, Program};
use crate::schedule::Schedule;
use crate::trace::LevelModule;

/// A run, behind a pointer that knows its destructor.
pub(super) struct Held(Box<dyn AsRun>);

trait AsRun {
    fn run(&self) -> &Run;
    fn run_mut(&mut self) -> &mut Run;
}

impl AsRun for Run {
    fn run(&self) -> &Run {
        self
    }

    fn run_mut(&mut self) -> &mut Run {
        self
    }
}

impl Held {
    /// The run of a program of these modules on these streams, before its first step.
    ///
    /// # Errors
    /// [`EngineError`] when modules, numbers or streams do not fit together.
    pub(super) fn new(
        schedule: Schedule,
        modules: &[&dyn LevelModule],
        (config, configs): (String, &[&LevelConfig]),
        (own, functions): (Own, &dyn LossFunctions),
        streams: Vec<Box<dyn BatchStream>>,
    ) -> Result<Self, EngineError> {
        let mut program = Program::new(schedule, modules, configs, own, functions)?;
        let data = Data::new(streams);
        program.part_tasks();
        program.tell_of_last_tasks();
        program.tell_of_last_reads();
        data.check_together(&program)?;
        Ok(Held(Box::new(Run::new(program, config, data))))
    }
}

impl Deref for Held {
    type Target = Run;

    fn deref(&self) -> &Run {
        self.0.run()
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut Run {
        self.0.run_mut()
    }
}
