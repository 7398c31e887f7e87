//! A user's measure of progress, and when to give up on it: an observer of its own.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use super::current::Current;
use super::data::word;
use super::multilevel::Multilevel;
use super::watch::{Answer, Listener, Stop, Told};
use crate::checkpoint::ValidationState;
use crate::distributed::{DistributedError, Ranks};
use crate::error::{DataError, EngineError};
use crate::event::{Event, Goal, Score, Warning};
use crate::panic::caught;

type Function<P> = dyn FnMut(&P) -> Result<Score, DataError>;

/// A validation function with its rhythm, and optional early stopping.
pub struct Validation<P> {
    every: u64,
    goal: Goal,
    patience: Option<u64>,
    function: Box<Function<P>>,
    best: Option<(u64, f64)>,
    without_improvement: u64,
    /// What there is to tell of what it goes on from.
    news: Option<Warning>,
    /// Those that validate as well, if there are others.
    pub(super) ranks: Option<Rc<Ranks>>,
}

impl<P> Validation<P> {
    /// Calls `function` on the program after every `every` iterations (at least 1). It answers a number, or a [`Score`] with
    /// metrics beside it.
    pub fn every<S: Into<Score>>(
        every: u64,
        goal: Goal,
        mut function: impl FnMut(&P) -> Result<S, DataError> + 'static,
    ) -> Self {
        let function = Box::new(move |program: &P| function(program).map(Into::into));
        let every = every.max(1);
        let (patience, best, news, ranks) = (None, None, None, None);
        Validation { every, goal, patience, function, best, without_improvement: 0, news, ranks }
    }

    /// Stops the run after `calls` calls in a row without improvement.
    #[must_use]
    pub fn patience(mut self, calls: u64) -> Self {
        self.patience = Some(calls);
        self
    }

    /// Iteration and value of the best call so far.
    pub fn best(&self) -> Option<(u64, f64)> {
        self.best
    }

    pub(super) fn state(&self) -> ValidationState {
        let best = self.best.map(|(iteration, value)| (iteration, value.to_bits()));
        ValidationState { goal: Some(self.goal), best, without_improvement: self.without_improvement }
    }

    /// Goes on from where validation stood, or begins anew where that was for another goal: no value is better than one that was best
    /// the other way round, or all are.
    pub(super) fn restore(&mut self, state: ValidationState) {
        if let Some(saved) = state.goal.filter(|saved| *saved != self.goal) {
            (self.best, self.without_improvement) = (None, 0);
            self.news = Some(Warning {
                rule: "validation".into(),
                level: None,
                fact: format!(
                    "{} of validation is the best from here on, and in the run that was saved it was {saved}: what was best so far is \
                     forgotten",
                    self.goal
                ),
                advice: "if that is not meant, resume with the goal that the run was begun with; a best program that `KeepBest` has \
                         written gives way to the first one that is validated, so keep a copy of it"
                    .into(),
            });
            return;
        }
        self.best = state.best.map(|(iteration, bits)| (iteration, f64::from_bits(bits)));
        self.without_improvement = state.without_improvement;
    }

    pub(super) fn is_due(&self, iteration: u64) -> bool {
        iteration.is_multiple_of(self.every)
    }

    /// Calls the function; answers its score and whether it is the best so far.
    pub(super) fn call(&mut self, problem: &P, iteration: u64) -> Result<(Score, bool), DataError> {
        let mut score = (self.function)(problem)?;
        if let Some(ranks) = &self.ranks {
            average(&mut score, ranks)?;
        }
        let value = score.value;
        let better = match (self.best, self.goal) {
            (None, _) => !value.is_nan(),
            (Some((_, best)), Goal::Min) => value < best,
            (Some((_, best)), Goal::Max) => value > best,
        };
        if better {
            self.best = Some((iteration, value));
            self.without_improvement = 0;
        } else {
            self.without_improvement += 1;
        }
        Ok((score, better))
    }

    pub(super) fn is_over(&self) -> bool {
        self.patience.is_some_and(|patience| self.without_improvement >= patience.max(1))
    }
}

/// Puts the means of what all ranks have in the place of a score: of metrics, those of the same name.
fn average(score: &mut Score, ranks: &Ranks) -> Result<(), DistributedError> {
    let mut order: Vec<usize> = (0..score.metrics.len()).collect();
    // Of those with one name in the order in which they were given.
    order.sort_by(|&one, &other| score.metrics[one].0.cmp(&score.metrics[other].0));
    let mut names = DefaultHasher::new();
    order.iter().for_each(|&of| score.metrics[of].0.hash(&mut names));
    let numbers = order.iter().map(|&of| score.metrics[of].1.to_bits());
    let told: Vec<u64> = [names.finish(), score.value.to_bits()].into_iter().chain(numbers).collect();
    let all = ranks.gather_of("a validation", &told.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>())?;
    if let Some(rank) = all.iter().position(|of| word(of, 0) != word(&all[0], 0)) {
        return Err(ranks.fails(DistributedError::Differs { what: "validation metrics", rank }));
    }
    let mean = |place: usize| {
        let numbers: Vec<f64> = all.iter().map(|of| f64::from_bits(word(of, place))).collect();
        match numbers.iter().all(|number| number.to_bits() == numbers[0].to_bits()) {
            true => numbers[0],
            false => numbers.iter().sum::<f64>() / numbers.len() as f64,
        }
    };
    score.value = mean(1);
    order.into_iter().enumerate().for_each(|(place, of)| score.metrics[of].1 = mean(2 + place));
    Ok(())
}

/// Calls a validation function when it is due, tells everybody of its value, and ends the run when it is over.
pub(super) fn listener<P: Multilevel>(validation: Rc<RefCell<Validation<P>>>) -> Listener {
    Box::new(move |event, present| {
        let mut validation = validation.borrow_mut();
        let mut answer = Answer::default();
        if let Event::Resumed { .. } | Event::Started { .. } = event {
            answer.tell.extend(validation.news.take().map(Told::Warning));
        }
        let Event::Iteration { iteration } = *event else { return answer };
        if validation.is_due(iteration) {
            let called = caught(|| validation.call(&Current::new(present), iteration));
            match called.unwrap_or_else(|panic| Err(format!("it panicked: {panic}").into())) {
                Ok((Score { value, metrics }, best)) => {
                    answer.tell.push(Told::Validation { iteration, value, best, metrics });
                    answer.stop = validation.is_over().then_some(Stop::Early);
                }
                Err(source) => answer.error = Some(EngineError::Validation { iteration, source }),
            }
        }
        answer
    })
}
