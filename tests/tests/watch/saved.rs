//! What was best, and the last checkpoints.

use std::fs;

use betty_runtime::watch::{KeepBest, KeepLast};
use betty_runtime::{Checkpoint, Event, Goal, StreamPosition, Validation};

use crate::problem::{Pair, engine, unvalidated, validation, with_config};

fn parameters(problem: &Pair) -> Vec<f32> {
    let of = |point: &crate::problem::Point| point.at.val().into_data().try_to_vec::<f32>().unwrap();
    [of(&problem.x), of(&problem.y)].concat()
}

#[test]
fn the_best_program_is_the_one_that_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("best.safetensors");
    let mut kept = engine().attach(KeepBest::in_file(&file));
    let (iteration, _) = kept.run(31).unwrap().best.unwrap();
    let last = parameters(kept.problem());
    kept.resume(&Checkpoint::open(&file).unwrap(), StreamPosition::Placed).unwrap();
    assert_eq!(kept.iterations(), iteration);
    let mut again = engine();
    again.run(iteration).unwrap();
    assert_eq!(parameters(kept.problem()), parameters(again.problem()));
    assert_ne!(parameters(kept.problem()), last);
}

#[test]
fn what_was_best_in_a_part_that_is_taken_back_is_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("best.safetensors");
    let best = |engine: &mut betty_runtime::Engine<Pair>, until| engine.run_until(until).unwrap().best.unwrap().0;
    let mut first = engine().attach(KeepBest::in_file(&file));
    first.run(3).unwrap();
    let early = first.checkpoint().unwrap();
    let late = best(&mut first, 60);
    assert!(late > 3);
    let kept = fs::read(&file).unwrap();

    let told = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let log = std::rc::Rc::clone(&told);
    let mut second = engine().attach(KeepBest::in_file(&file)).observe(move |event| {
        log.borrow_mut().extend(event.warning().map(|warning| warning.rule));
    });
    second.resume(&early, StreamPosition::Start).unwrap();
    second.run(1).unwrap();
    assert_eq!(told.take(), ["best"]);
    assert_eq!(fs::read(folder.path().join(format!("best.{late}.safetensors"))).unwrap(), kept);
    assert!(!file.exists());
    // What is best after that is of this run, and stays where it is gone on with later.
    let again = best(&mut second, 60);
    assert_eq!(Checkpoint::open(&file).unwrap().iterations(), again);
    let end = second.checkpoint().unwrap();
    let mut third = engine().attach(KeepBest::in_file(&file));
    third.resume(&end, StreamPosition::Start).unwrap();
    third.run(1).unwrap();
    assert_eq!(Checkpoint::open(&file).unwrap().iterations(), again);
}

#[test]
fn two_runs_do_not_keep_their_best_program_in_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("best.safetensors");
    let other = file.clone();
    let refused = std::rc::Rc::new(std::cell::RefCell::new(None));
    let seen = std::rc::Rc::clone(&refused);
    let mut first = engine().attach(KeepBest::in_file(&file)).observe(move |event| {
        if let Event::Iteration { iteration: 4 } = event {
            let before = fs::read(&other).unwrap();
            let mut second = engine().seed(12).attach(KeepBest::in_file(&other));
            *seen.borrow_mut() = second.run(9).err().map(|error| error.to_string());
            assert!(fs::read(&other).unwrap() == before, "a run writes only what is its own");
        }
    });
    first.run(9).unwrap();
    let said = refused.take().unwrap();
    assert!(said.contains("best.safetensors") && said.contains("another run is writing it"), "{said}");
    // A run that is over keeps nobody out.
    engine().seed(12).attach(KeepBest::in_file(&file)).run(3).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// As when a run is tried again from one checkpoint, and each try is best at the same iteration before it fails.
#[test]
fn what_was_put_aside_is_not_overwritten_by_what_comes_later() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("best.safetensors");
    let at_rate = |rate: f64| {
        let json = format!(r#"{{ "x": {{ "optimizer": {{ "name": "sgd", "lr": {rate}, "momentum": 0.5 }} }} }}"#);
        let every = Validation::every(5, Goal::Max, |problem: &Pair| {
            Ok(f64::from(problem.y.at.val().sum().into_scalar::<f32>()))
        });
        with_config(&json).validate(every).attach(KeepBest::in_file(&file))
    };
    let begun = at_rate(0.1).checkpoint().unwrap();
    let mut tries = Vec::new();
    for rate in [0.1, 0.05, 0.1, 0.025] {
        let mut engine = at_rate(rate);
        engine.resume(&begun, StreamPosition::Start).unwrap();
        assert_eq!(engine.run(5).unwrap().best.unwrap().0, 5);
        tries.push(fs::read(&file).unwrap());
    }
    assert!(tries[0] == tries[2] && tries[0] != tries[1]);
    let kept = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert!(kept("best.5.safetensors") == tries[0] && kept("best.5.1.safetensors") == tries[1]);
    assert!(kept("best.safetensors") == tries[3]);
    // What is there already needs no second copy.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn validation_that_is_given_after_a_checkpoint_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("best.safetensors");
    let mut first = engine().attach(KeepBest::in_file(&file));
    let best = first.run(31).unwrap().best;
    let kept = fs::read(&file).unwrap();
    let saved = first.checkpoint().unwrap();
    // What was resumed without validation keeps what that had come to, from checkpoint to checkpoint.
    let mut between = unvalidated();
    between.resume(&saved, StreamPosition::Start).unwrap();
    let saved = between.checkpoint().unwrap();
    let mut late = unvalidated();
    late.resume(&saved, StreamPosition::Start).unwrap();
    let mut late = late.validate(validation()).attach(KeepBest::in_file(&file));
    assert_eq!(late.run(3).unwrap().best, best);
    assert!(fs::read(&file).unwrap() == kept);
    // A checkpoint that knows of none has none to go on with.
    let mut none = unvalidated();
    none.run(31).unwrap();
    let of_none = none.checkpoint().unwrap();
    let mut again = unvalidated();
    again.resume(&saved, StreamPosition::Start).unwrap();
    again.resume(&of_none, StreamPosition::Placed).unwrap();
    let (iteration, _) = again.validate(validation()).run(3).unwrap().best.unwrap();
    assert!(iteration > 31);
}

/// The best value of one goal is the worst of the other: nothing would ever be better.
#[test]
fn validation_for_another_goal_begins_anew() {
    let constant = |goal| Validation::every(1, goal, |_: &Pair| Ok(0.0)).patience(3);
    let begun = |goal| {
        let worst = if goal == Goal::Min { 1.0 } else { -1.0 };
        let mut first = unvalidated().validate(Validation::every(1, goal, move |_: &Pair| Ok(worst)).patience(3));
        first.run(2).unwrap();
        first.checkpoint().unwrap()
    };
    let told = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    for (before, after, is_late) in [
        (Goal::Min, Goal::Max, false),
        (Goal::Max, Goal::Min, false),
        (Goal::Min, Goal::Max, true),
        (Goal::Min, Goal::Min, true),
        (Goal::Max, Goal::Max, false),
    ] {
        let log = std::rc::Rc::clone(&told);
        let mut engine = unvalidated().observe(move |event| {
            log.borrow_mut().extend(event.warning().map(|warning| warning.rule));
        });
        if !is_late {
            engine = engine.validate(constant(after));
        }
        engine.resume(&begun(before), StreamPosition::Start).unwrap();
        if is_late {
            engine = engine.validate(constant(after));
        }
        let report = engine.run(1).unwrap();
        assert_eq!(report.best, Some((3, 0.0)), "from {before:?} to {after:?}");
        let expected: &[&str] = if before == after { &[] } else { &["validation"] };
        assert_eq!(told.take(), expected, "from {before:?} to {after:?}");
    }
}

#[test]
fn the_last_checkpoints_are_kept_and_can_be_gone_back_to() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let numbers = || KeepLast::list(&file).unwrap().into_iter().map(|(of, _)| of).collect::<Vec<_>>();
    let mut kept = engine().save_every(2, &file).attach(KeepLast::new(3));
    kept.run(9).unwrap();
    assert_eq!(numbers(), [6, 8, 9]);
    let (_, eight) = KeepLast::list(&file).unwrap().swap_remove(1);
    assert_eq!(eight, folder.path().join("run.8.safetensors"));
    let mut back = engine().save_every(2, &file).attach(KeepLast::new(3));
    back.resume(&Checkpoint::open(&eight).unwrap(), StreamPosition::Start).unwrap();
    back.run_until(9).unwrap();
    assert_eq!(parameters(back.problem()), parameters(kept.problem()));
    // From further back, what was later is not the past of anything.
    let mut fresh = engine().save_every(2, &file).attach(KeepLast::new(3));
    fresh.run(2).unwrap();
    assert_eq!(numbers(), [2]);
}

#[test]
fn what_other_runs_have_saved_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let at = |number: u64| folder.path().join(format!("run.{number}.safetensors"));
    // Of runs that are called 1 and 3, of which one has another seed and as many iterations, and something else.
    engine().save_every(100, at(1)).run(5).unwrap();
    engine().seed(12).save_every(100, at(3)).run(3).unwrap();
    fs::write(at(5), "five").unwrap();
    let others = || [1, 3, 5].map(|number| fs::read(at(number)).unwrap());
    let before = others();
    engine().save_every(2, &file).attach(KeepLast::new(1)).run(8).unwrap();
    assert!(others() == before);
    let listed: Vec<u64> = KeepLast::list(&file).unwrap().into_iter().map(|(of, _)| of).collect();
    assert_eq!(listed, [3, 8]);
}

#[test]
fn a_checkpoint_that_cannot_be_kept_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    fs::create_dir_all(folder.path().join("run.2.safetensors/in the way")).unwrap();
    let told = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let log = std::rc::Rc::clone(&told);
    let mut kept = engine().save_every(2, &file).attach(KeepLast::new(3)).observe(move |event| {
        if let Event::Warning(warning) = event {
            log.borrow_mut().push(warning.fact.clone());
        }
    });
    kept.run(4).unwrap();
    assert_eq!(told.borrow().len(), 1, "{told:?}");
    assert!(told.borrow()[0].contains("run.2.safetensors"), "{told:?}");
}
