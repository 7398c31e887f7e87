//! Levels whose steps begin at a new draw: the function that makes their module, held against the one they have.

use std::rc::Rc;

use burn::tensor::DType;

use super::{Level, Program};
use crate::config::Start;
use crate::error::{EngineError, StartError};
use crate::execute::{Program as Plan, Vector};
use crate::trace::{Drawn, Made, record_made};

/// What makes the module of a level, by its number.
pub(crate) type Makes = fn(usize, &burn::tensor::Device) -> Option<Drawn>;

impl Level {
    /// Records what draws the level's starts, if it begins at such.
    ///
    /// # Errors
    /// [`StartError`] where the program names no function, where that cannot be recorded, and where it makes another module.
    pub(super) fn with_draws(mut self, makes: Makes) -> Result<Self, EngineError> {
        if self.config.start != Start::Fresh {
            return Ok(self);
        }
        let name = || self.name.to_owned();
        let made = record_made(self.name, &self.device(), |device| makes(self.number, device));
        let made = made.map_err(|error| StartError::Unrecorded { level: name(), reason: error.deed() })?;
        let made = made.ok_or_else(|| StartError::NoFunction { level: name() })?;
        self.check_made(&made)?;
        let node = |&index: &usize| made.places.iter().find(|place| place.path == self.paths[index]).map(|of| of.node);
        let outputs: Vec<_> = self.trainable.iter().filter_map(node).collect();
        self.draws = Some(Rc::new(Plan::new(&made.graph, &[], &outputs, &self.device())));
        Ok(self)
    }

    /// The level's parameters as they are drawn under this seed; none if its steps begin elsewhere.
    pub(crate) fn drawn(&self, seed: u64) -> Option<Vector> {
        self.draws.as_ref().map(|draws| Vector(draws.run([], seed)))
    }

    /// Whether the module that is made is the level's, tensor by tensor.
    fn check_made(&self, made: &Made) -> Result<(), StartError> {
        let look = |shape: &[usize], dtype: DType| format!("{dtype:?} {shape:?}");
        let differs = |path: &str, held: String, drawn: String| StartError::Drawn {
            level: self.name.into(),
            parameter: if path.is_empty() { self.name.into() } else { path.into() },
            held,
            drawn,
        };
        for (index, leaf) in self.leaves.iter().enumerate() {
            let held = look(&leaf.shape(), leaf.dtype());
            let mut first = None;
            for path in self.paths_of(index) {
                let Some(place) = made.places.iter().find(|place| place.path == path) else {
                    return Err(differs(path, held, "no such tensor".into()));
                };
                let (shape, dtype) = made.look(place);
                let drawn = look(shape, dtype);
                if drawn != held {
                    return Err(differs(path, held, drawn));
                }
                if *first.get_or_insert(place.first) != place.first {
                    return Err(differs(path, "tied to another place".into(), "one by itself".into()));
                }
            }
        }
        let known = |path: &str| (0..self.leaves.len()).any(|index| self.paths_of(index).any(|known| known == path));
        match made.places.iter().find(|place| !known(&place.path)) {
            Some(place) => {
                let (shape, dtype) = made.look(place);
                Err(differs(&place.path, "no such tensor".into(), look(shape, dtype)))
            }
            None => Ok(()),
        }
    }
}

impl Program {
    /// Level `lower` starts at parameters that are drawn under this seed, with a new optimizer.
    pub(crate) fn start_at_draw(&mut self, lower: usize, seed: u64) {
        self.restart(lower, None);
        let level = &mut self.levels[lower];
        if let Some(parameters) = level.drawn(seed) {
            level.set_parameters(parameters);
        }
    }
}
