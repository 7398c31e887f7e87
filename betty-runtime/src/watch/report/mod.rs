//! A run as one page for people.

mod asked;
mod chart;
mod diagram;
mod page;
mod record;
mod series;
mod text;

use std::fs;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::asked::Asked;
use self::page::{page, record_in};
use self::record::{Record, Warned};
use super::error::WatchError;
use super::log::not_written;
use super::place::Place;
use super::scalars::scalars;
use crate::engine::Facts;
use crate::error::DataError;
use crate::file::{Claim, replace};
use crate::{Current, Event, Looks, Multilevel, Observer};

/// The page is written so often at the most, and so that writing takes no more than this share of the time.
const EVERY: Duration = Duration::from_secs(5);
const SHARE: u32 = 20;

/// The steps of an iteration that are drawn at the most.
const TURNS: usize = 60;

/// Writes a report: one HTML file that needs nothing else, which a browser loads again while the run goes on, and which stays as
/// its record. It shows the state of the run and all warnings in order; loss, metrics, rates and norms of every level, the direct
/// and the indirect gradient and the angle between them, residuals and products of the solves, iterations of a level's own solver;
/// validation; what time was spent on, and the memory of the process (on Linux); levels and schedule as a picture; config, seed,
/// versions of this library and of Burn, and whether it is a debug or a release build. The numbers stand
/// in it as JSON, too. When somebody asks the engine, before the run or between two, it shows what that came to as well: of
/// [`explain`](crate::Engine::explain) what each level's steps take of the memory, of
/// [`verify_hypergradient`](crate::Engine::verify_hypergradient) how good a hypergradient was, and the ends of the spectra.
///
/// Curves are over iterations, the last step of each; long ones are means over several. A run that goes on from a checkpoint
/// goes on with the report.
#[derive(Debug)]
pub struct ReportFile {
    file: PathBuf,
    place: Place,
    record: Option<Record>,
    /// Whether a checkpoint was put in the place of what the record goes up to.
    went_back: bool,
    /// What was asked for before the first run.
    asked: Asked,
    /// Keeps other runs out.
    claim: Option<Claim>,
    /// When the page was written, and how long that took.
    written: Option<(Instant, Duration)>,
    /// When the last event was heard, and what the time since then is spent on, if that is known.
    heard: Option<(Instant, Option<&'static str>)>,
    /// When the iteration in hand began.
    began: Option<Instant>,
    /// The last numbers of the iteration in hand.
    numbers: Vec<(String, f64)>,
    /// Its steps in their order.
    turns: Vec<(String, u64)>,
    measured_memory: Option<Instant>,
}

impl ReportFile {
    /// Writes into this file.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>) -> Self {
        ReportFile {
            file: file.into(),
            place: Place::default(),
            record: None,
            went_back: false,
            asked: Asked::default(),
            claim: None,
            written: None,
            heard: None,
            began: None,
            numbers: Vec::new(),
            turns: Vec::new(),
            measured_memory: None,
        }
    }

    fn hear_event(&mut self, event: &Event<'_>, facts: &Facts<'_>) -> Result<(), WatchError> {
        self.place.hear(event);
        match *event {
            Event::Started { iteration, until } => self.start(iteration, until, facts)?,
            // What came after that iteration stays until a run goes on from there.
            Event::Resumed { .. } => {
                self.went_back = true;
                self.numbers.clear();
                self.turns.clear();
            }
            _ => {}
        }
        let iteration = self.place.of(event);
        let asked = self.record.as_mut().map_or(&mut self.asked, |record| &mut record.asked);
        if asked.hear(event, iteration) {
            // The time since the last event was spent on an answer, and on none of the run's steps.
            self.heard = self.heard.map(|_| (Instant::now(), None));
            return self.write();
        }
        if !self.place.is_running && !matches!(event, Event::Ended { .. }) {
            return Ok(());
        }
        self.spend(event);
        if let (Some(warning), Some(record)) = (event.warning(), &mut self.record) {
            let crate::Warning { rule, level, fact, advice } = warning;
            record.warn(Warned { iteration, rule, level, fact, advice });
        }
        match *event {
            Event::Step { .. } | Event::Solved { .. } | Event::Hypergradient { .. } | Event::Parts { .. } => {
                self.note(event);
            }
            Event::Iteration { iteration } => self.complete(iteration),
            Event::Validation { .. } => {
                self.note(event);
                self.settle(iteration);
            }
            Event::Ended { reason, .. } => {
                self.record.iter_mut().for_each(|record| record.ended = Some(reason.unwrap_or_default().into()));
            }
            _ => {}
        }
        let is_last = matches!(event, Event::Ended { .. } | Event::Saving { .. });
        let is_between = is_last || matches!(event, Event::Iteration { .. } | Event::Started { .. });
        match self.written {
            _ if !is_between => Ok(()),
            Some((at, took)) if !is_last && at.elapsed() < EVERY.max(SHARE * took) => Ok(()),
            _ => self.write(),
        }
    }

    /// Begins a record, or goes on with the one in the file.
    fn start(&mut self, iteration: u64, until: u64, facts: &Facts<'_>) -> Result<(), WatchError> {
        if self.claim.is_none() {
            self.claim = Some(Claim::on(&self.file).map_err(|reason| not_written(&self.file, reason))?);
        }
        let mut record = match self.record.take() {
            Some(record) => record,
            None => {
                self.went_back = true;
                // Only a report is begun anew.
                self.read()?.filter(|_| iteration > 0).unwrap_or_default()
            }
        };
        record.of(facts);
        // What was told of an iteration that failed is told once, and stays where the same run goes on.
        if std::mem::take(&mut self.went_back) {
            record.cut(iteration);
        }
        record.asked.add(std::mem::take(&mut self.asked));
        (record.until, record.ended) = (until, None);
        if record.began == 0.0 {
            record.began = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        }
        self.record = Some(record);
        let now = Instant::now();
        (self.heard, self.began) = (Some((now, None)), Some(now));
        Ok(())
    }

    /// The record in the file, if there is one.
    fn read(&self) -> Result<Option<Record>, WatchError> {
        match fs::read_to_string(&self.file) {
            Ok(text) if text.is_empty() => Ok(None),
            Ok(text) => match record_in(&text) {
                Some(record) => Ok(Some(record)),
                None => {
                    Err(WatchError::Foreign { file: self.file.clone(), what: "it holds no record of a run".into() })
                }
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(reason) => Err(not_written(&self.file, reason)),
        }
    }

    /// Takes note of what the time since the last event was spent on.
    fn spend(&mut self, event: &Event<'_>) {
        let Some((since, known)) = self.heard else { return };
        let what = match *event {
            _ if known.is_some() => known.map(str::to_owned),
            Event::Hypergradient { name, through, .. } => Some(format!("hypergradient of {name} through {through}")),
            Event::Parts { name, .. } => Some(format!("gradient of {name}")),
            Event::Solved { name, .. } => Some(format!("solve of {name}")),
            Event::Step { name, .. } => Some(format!("step of {name}")),
            Event::Validation { .. } => Some("validation".to_owned()),
            _ => None,
        };
        if let (Some(record), Some(what)) = (&mut self.record, what) {
            *record.shares.entry(what).or_default() += since.elapsed().as_secs_f64();
        }
        let next = matches!(event, Event::Saving { .. }).then_some("checkpoints");
        self.heard = Some((Instant::now(), next));
    }

    fn note(&mut self, event: &Event<'_>) {
        for number in scalars(event) {
            self.numbers.push((format!("{}/{}", number.of, number.name), number.value));
        }
        if let (Event::Solved { name, solver, .. }, Some(record)) = (event, &mut self.record) {
            record.solvers.insert((*name).to_owned(), (*solver).to_owned());
        }
        if let Event::Step { name, looks_ahead: false, .. } = event {
            let length = self.turns.len();
            match self.turns.last_mut() {
                Some((last, count)) if last == name => *count += 1,
                _ if length < TURNS => self.turns.push(((*name).to_owned(), 1)),
                _ => {}
            }
        }
    }

    /// Adds what the iteration came to, the last value of each number.
    fn complete(&mut self, iteration: u64) {
        self.settle(iteration);
        let Some(record) = &mut self.record else { return };
        (record.iteration, record.turns) = (iteration, std::mem::take(&mut self.turns));
        if let Some(began) = self.began.replace(Instant::now()) {
            let took = began.elapsed().as_secs_f64();
            record.elapsed += took;
            record.push("run/seconds_for_an_iteration".into(), iteration, took);
        }
        if self.measured_memory.is_none_or(|at| at.elapsed() > Duration::from_secs(1)) {
            self.measured_memory = Some(Instant::now());
            if let Some(bytes) = resident() {
                record.push("run/memory_in_MiB".into(), iteration, bytes / (1 << 20) as f64);
            }
        }
    }

    fn settle(&mut self, iteration: u64) {
        let last: std::collections::BTreeMap<String, f64> = self.numbers.drain(..).collect();
        if let Some(record) = &mut self.record {
            last.into_iter().for_each(|(tag, value)| record.push(tag, iteration, value));
        }
    }

    fn write(&mut self) -> Result<(), WatchError> {
        let Some(record) = &self.record else { return Ok(()) };
        let start = Instant::now();
        replace(&self.file, page(record).as_bytes()).map_err(|reason| not_written(&self.file, reason))?;
        let now = Instant::now();
        self.written = Some((now, start.elapsed()));
        // The time of this is nobody's.
        if let Some((since, _)) = &mut self.heard {
            *since = now;
        }
        Ok(())
    }
}

impl<P: Multilevel> Observer<P> for ReportFile {
    fn hear(&mut self, event: &Event<'_>, program: &Current<'_, P>) -> Result<ControlFlow<String>, DataError> {
        self.hear_event(event, &program.facts())?;
        Ok(ControlFlow::Continue(()))
    }

    fn looks(&self) -> Looks {
        Looks::Never
    }

    fn asks_for_parts(&self) -> bool {
        true
    }
}

/// The memory that the process holds, in bytes, where the system tells.
fn resident() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024.0 * kilobytes)
}
