//! A Burn scheduler, with how often it was asked.

use std::cell::RefCell;
use std::rc::Rc;

use burn::lr_scheduler::LrSchedulerRecord;
use burn::lr_scheduler::module_lr_scheduler::{ModuleLearningRate, ModuleLrScheduler};

/// What decides the learning rates of a group of parameters.
#[derive(Clone)]
pub(crate) struct Scheduler {
    /// As it was given.
    given: Rc<ModuleLrScheduler>,
    now: ModuleLrScheduler,
    /// How often it was asked since it was given; unknown where a file does not say.
    steps: Option<u64>,
    /// One that was asked so often and by nobody else, to be gone on with. Clones share it.
    replayed: Rc<RefCell<(ModuleLrScheduler, u64)>>,
}

impl Scheduler {
    pub(crate) fn new(given: ModuleLrScheduler) -> Self {
        let replayed = Rc::new(RefCell::new((given.clone(), 0)));
        Scheduler { now: given.clone(), given: Rc::new(given), steps: Some(0), replayed }
    }

    /// The rates of the coming step.
    pub(crate) fn step(&mut self) -> ModuleLearningRate {
        self.steps = self.steps.map(|steps| steps + 1);
        self.now.step()
    }

    /// What it says of where it stands.
    pub(crate) fn record(&self) -> LrSchedulerRecord {
        self.now.to_record()
    }

    /// How often it was asked, if that is known.
    pub(crate) fn steps(&self) -> Option<u64> {
        self.steps
    }

    /// The one that was given, where it stands after so many steps.
    pub(crate) fn after(&self, steps: u64) -> Self {
        let mut replayed = self.replayed.borrow_mut();
        if replayed.1 > steps {
            *replayed = ((*self.given).clone(), 0);
        }
        let (scheduler, asked) = &mut *replayed;
        while *asked < steps {
            scheduler.step();
            *asked += 1;
        }
        Scheduler { now: scheduler.clone(), steps: Some(steps), ..self.clone() }
    }

    /// The one that was given, where a record says that it stands, after nobody knows how many steps.
    pub(crate) fn at(&self, record: LrSchedulerRecord) -> Self {
        Scheduler { now: (*self.given).clone().load_record(record), steps: None, ..self.clone() }
    }
}
