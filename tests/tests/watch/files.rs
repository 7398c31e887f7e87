//! Tables and lines of events: what they hold, and how a run goes on with them.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use betty_runtime::watch::{CsvFile, JsonLines, ReportFile, WatchError};
use betty_runtime::{Engine, EngineError, Event, StreamPosition};
use serde_json::Value;

use crate::problem::{Pair, engine, text};

fn recorded(folder: &Path) -> Engine<Pair> {
    engine().attach(CsvFile::new(folder.join("run.csv"))).attach(JsonLines::new(folder.join("run.jsonl")))
}

/// The lines of a run, without times, and without where a process began, ended and saved.
fn lines(folder: &Path) -> Vec<Value> {
    let lines = text(&folder.join("run.jsonl")).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut lines: Vec<Value> = lines;
    lines.retain(|line| !["started", "resumed", "ended", "saving"].contains(&line["event"].as_str().unwrap()));
    lines.iter_mut().for_each(|line| drop(line.as_object_mut().unwrap().remove("time")));
    lines
}

#[test]
fn the_table_holds_every_number_that_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let told = Rc::new(RefCell::new(vec!["iteration,level,step,quantity,value".to_owned()]));
    let (rows, mut completed) = (Rc::clone(&told), 0);
    let mut engine = recorded(folder.path()).observe(move |event| {
        let row = |text: String| rows.borrow_mut().push(text);
        match event {
            Event::Step { name, step, loss, metrics, gradient_norm, learning_rate, .. } => {
                let at = completed + 1;
                row(format!("{at},{name},{step},loss,{loss:?}"));
                row(format!("{at},{name},{step},gradient_norm,{gradient_norm:?}"));
                row(format!("{at},{name},{step},learning_rate,{learning_rate:?}"));
                metrics.iter().for_each(|(name, value)| row(format!("{at},x,{step},\"{name}\",{value:?}")));
            }
            Event::Hypergradient { name, through, products, residual, .. } => {
                row(format!("{},{name},,{through}/products,{:?}", completed + 1, *products as f64));
                row(format!("{},{name},,{through}/residual,{:?}", completed + 1, residual.unwrap()));
            }
            Event::Iteration { iteration } => completed = *iteration,
            Event::Validation { iteration, value, metrics, .. } => {
                row(format!("{iteration},validation,,value,{value:?}"));
                row(format!("{iteration},validation,,last,{:?}", metrics[0].1));
            }
            _ => {}
        }
    });
    engine.run(4).unwrap();
    drop(engine);
    let table = text(&folder.path().join("run.csv"));
    assert_eq!(table.lines().collect::<Vec<_>>(), *told.borrow());
    assert_eq!(told.borrow().len(), 1 + 4 * (2 * 4 + 3 + 2) + 2);
}

#[test]
fn the_first_line_says_what_the_run_is_of() {
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path()).run(2).unwrap();
    let first: Value = serde_json::from_str(text(&folder.path().join("run.jsonl")).lines().next().unwrap()).unwrap();
    assert_eq!((&first["event"], &first["iteration"], &first["until"]), (&"started".into(), &0.into(), &2.into()));
    assert_eq!((&first["program"], &first["seed"]), (&"Pair".into(), &11.into()));
    assert_eq!(first["levels"][0]["lower"][0], "x");
    assert_eq!(first["config"]["x"]["optimizer"]["momentum"], 0.5, "{}", first["config"]);
}

#[test]
fn a_run_that_goes_on_has_the_files_of_one_that_was_never_interrupted() {
    let (whole, broken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    recorded(whole.path()).run(8).unwrap();
    let saved = broken.path().join("run.safetensors");
    let mut first = recorded(broken.path()).save_every(4, &saved);
    first.run(4).unwrap();
    let checkpoint = fs::read(&saved).unwrap();
    // Killed after an iteration more, in the middle of a line.
    first.run(1).unwrap();
    drop(first);
    for name in ["run.csv", "run.jsonl"] {
        let longer = text(&broken.path().join(name));
        assert!(longer.len() > 100);
        // … which ends within a character.
        fs::write(broken.path().join(name), [longer.as_bytes(), b"6,gr\xc3"].concat()).unwrap();
    }
    fs::write(&saved, checkpoint).unwrap();
    let mut second = recorded(broken.path()).save_every(4, &saved);
    assert!(second.resume_if_present(&saved, StreamPosition::Start).unwrap());
    second.run_until(8).unwrap();
    drop(second);
    let table = |folder: &Path| text(&folder.join("run.csv"));
    assert_eq!(table(broken.path()), table(whole.path()));
    assert_eq!(lines(broken.path()), lines(whole.path()));
    // The same engine, back in time.
    let mut third = recorded(broken.path());
    third.run(3).unwrap();
    third.run(2).unwrap();
    let mut again = engine();
    again.run(3).unwrap();
    third.resume(&again.checkpoint().unwrap(), StreamPosition::Placed).unwrap();
    // Nothing is taken away until it goes on from there.
    let last = |folder: &Path| table(folder).lines().last().unwrap().to_owned();
    third.explain().unwrap();
    assert!(last(broken.path()).starts_with("5,"), "{}", last(broken.path()));
    assert_eq!(
        fs::read_to_string(broken.path().join("run.jsonl")).unwrap().matches(r#""event":"iteration""#).count(),
        5
    );
    third.run(1).unwrap();
    drop(third);
    assert!(last(broken.path()).starts_with("4,"), "{}", last(broken.path()));
    assert_eq!(
        fs::read_to_string(broken.path().join("run.jsonl")).unwrap().matches(r#""event":"iteration""#).count(),
        4
    );
}

#[test]
fn records_may_be_sparse() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.csv");
    let lines = folder.path().join("run.jsonl");
    let engine = engine().attach(CsvFile::new(&file).every(5)).attach(JsonLines::new(&lines).every(5));
    { engine }.run(11).unwrap();
    let table = text(&file);
    let iterations: Vec<u64> =
        table.lines().skip(1).map(|row| row.split(',').next().unwrap().parse().unwrap()).collect();
    let steps: Vec<u64> = iterations.iter().copied().filter(|iteration| iteration.is_multiple_of(5)).collect();
    assert_eq!(steps, [vec![5; 13], vec![10; 13]].concat());
    assert_eq!(iterations.len() - steps.len(), 2 * 3);
    let steps = text(&lines).lines().filter(|line| line.contains(r#""event":"step""#)).count();
    assert_eq!(steps, 2 * 3);
}

#[test]
fn a_file_of_somebody_else_stays_and_ends_the_run_before_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.csv");
    let mut first = engine();
    first.run(2).unwrap();
    let checkpoint = first.checkpoint().unwrap();
    fs::write(&file, "my,own\ntable,1\n").unwrap();
    let mut engine = engine().attach(CsvFile::new(&file));
    engine.resume(&checkpoint, StreamPosition::Start).unwrap();
    let error = engine.run(1).unwrap_err();
    let EngineError::ObserverFailed { iteration: 2, source } = &error else { panic!("{error}") };
    assert!(matches!(source.downcast_ref(), Some(WatchError::Foreign { .. })), "{source}");
    assert!(error.to_string().ends_with("take it away, or choose another file"), "{error}");
    assert_eq!((engine.iterations(), text(&file).as_str()), (2, "my,own\ntable,1\n"));
}

#[test]
fn a_file_is_written_by_one_run_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = recorded(folder.path());
    first.run(2).unwrap();
    let error = recorded(folder.path()).run(1).unwrap_err().to_string();
    assert!(error.contains("run.csv`: another run is writing it"), "{error}");
    drop(first);
    recorded(folder.path()).run(1).unwrap();
}

#[test]
fn a_folder_that_is_not_there_is_a_typed_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = recorded(&folder.path().join("nowhere")).run(1).unwrap_err();
    let EngineError::ObserverFailed { iteration: 0, source } = error else { panic!("{error}") };
    assert!(matches!(source.downcast_ref(), Some(WatchError::Write { .. })), "{source}");
}

#[test]
fn a_run_that_begins_anew_takes_the_place_of_a_run_and_of_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let watched = || recorded(folder.path()).attach(ReportFile::new(at("run.html")));
    watched().run(2).unwrap();
    watched().run(1).unwrap();
    assert!(!text(&at("run.csv")).contains("\n2,"));
    for (name, theirs) in [("run.csv", "my,own\n"), ("run.jsonl", "{\"mine\": 1}\n"), ("run.html", "<p>mine</p>")] {
        let before = fs::read(at(name)).unwrap();
        fs::write(at(name), theirs).unwrap();
        let error = watched().run(1).unwrap_err();
        let EngineError::ObserverFailed { iteration: 0, source } = &error else { panic!("{error}") };
        assert!(matches!(source.downcast_ref(), Some(WatchError::Foreign { .. })), "{source}");
        assert_eq!(text(&at(name)), theirs);
        fs::write(at(name), before).unwrap();
    }
}
