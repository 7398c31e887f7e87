//! The report. `tools/report/check.py` looks at one in a browser.

use std::env;
use std::fs;
use std::path::Path;

use betty_runtime::watch::{JsonLines, ReportFile, WatchError};
use betty_runtime::{Engine, EngineError, Event, ProgramConfig, Stream, StreamPosition, Warning};
use serde_json::Value;

use crate::health::{IllConfig, IllData, ill, problem, shift};
use crate::problem::{Pair, engine, text};

fn reported(file: &Path) -> Engine<Pair> {
    engine().attach(ReportFile::new(file)).watch(|event, program| {
        if let Event::Iteration { iteration: 3 } = event {
            let (rule, level, fact) = ("mine".into(), Some("x".into()), "it is three <of all>".into());
            program.warn(Warning { rule, level, fact, advice: "count again".into() });
        }
    })
}

fn record(file: &Path) -> Value {
    let page = text(file);
    let (_, rest) = page.split_once(r#"id="record">"#).unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn the_page_shows_what_was_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    let file = env::var_os("BETTY_REPORT").map_or(file, Into::into);
    let mut engine = reported(&file);
    engine.explain().unwrap();
    engine.verify_hypergradient("y").unwrap();
    engine.run(60).unwrap();
    engine.verify_hypergradient("y").unwrap();
    let page = text(&file);
    for part in [
        "complete",
        "Memory by step",
        "step of x, at once",
        "largest, y through x",
        "After iteration 60",
        "<b>60</b> of 60",
        "it is three &lt;of all&gt;",
        "Level y",
        "Level x",
        "norms of the gradient",
        "angle between direct and indirect",
        "residuals of the solves",
        "learning rate",
        "worst, by far",
        "Validation",
        "step of x",
        "hypergradient of y through x",
        "Config",
        "x × 2",
        "y × 1",
    ] {
        assert!(page.contains(part), "no `{part}`");
    }
    assert!(!page.contains("http-equiv=\"refresh\""));
    assert!(
        !page.contains("http://")
            || page.matches("http://").count() == page.matches("http://www.w3.org/2000/svg").count()
    );
    let record = record(&file);
    assert_eq!(record["warnings"][0]["iteration"], 3);
    assert_eq!(record["series"]["y/direct"]["points"].as_array().unwrap().len(), 60);
    assert_eq!(record["seed"], 11);
}

/// What is written of Burn is what the lock file has.
#[test]
fn versions_and_the_build_are_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let [page, lines] = ["report.html", "run.jsonl"].map(|name| folder.path().join(name));
    let mut engine = engine().attach(ReportFile::new(&page)).attach(JsonLines::new(&lines));
    engine.run(1).unwrap();
    drop(engine);
    let lock = text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock"));
    let (_, rest) = lock.split_once("name = \"burn\"\nversion = \"").unwrap();
    let (burn, _) = rest.split_once('"').unwrap();
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let first: Value = serde_json::from_str(text(&lines).lines().next().unwrap()).unwrap();
    for said in [record(&page), first] {
        assert_eq!((said["burn"].as_str().unwrap(), said["build"].as_str().unwrap()), (burn, build));
        assert_eq!(said["betty"], env!("CARGO_PKG_VERSION"));
    }
    let page = text(&page);
    assert!(page.contains(&format!("<td>{burn}</td>")) && page.contains(&format!("{build} build")), "{burn}");
}

#[test]
fn what_a_solver_tells_has_charts_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    let config = r#"{ "x": { "solver": { "name": "lbfgs", "iterations": 3 } } }"#;
    ill(2.0, 1.0, config).attach(ReportFile::new(&file)).run(5).unwrap();
    let page = text(&file);
    for part in ["iterations of the solver", "norms of the gradient", "after lbfgs"] {
        assert!(page.contains(part), "no `{part}`");
    }
    assert!(!page.contains(">metrics<") && !page.contains(">lbfgs/iterations<"));
    assert_eq!(record(&file)["series"]["x/lbfgs/iterations"]["points"].as_array().unwrap().len(), 5);
}

/// The Hessian of the lower level is 2 + y on the diagonal.
#[test]
fn what_the_engine_was_asked_for_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    let mut engine = engine().attach(ReportFile::new(&file));
    let explanation = engine.explain().unwrap();
    engine.verify_hypergradient("y").unwrap();
    assert!(!file.exists(), "there is no run to report");
    engine.run(20).unwrap();
    let check = engine.verify_hypergradient("y").unwrap();
    let asked = record(&file)["asked"].clone();
    let end = |end: &str, number: usize| {
        let point = &asked["spectra"][format!("{end}, y through x")]["points"][number];
        (point[0].as_u64().unwrap(), point[1].as_f64().unwrap())
    };
    for (name, expected) in [("smallest", 2.3), ("largest", 2.9)] {
        let (iteration, value) = end(name, 0);
        assert!(iteration == 0 && (value - expected).abs() < 1e-5, "{name}: {value}");
    }
    let spectrum = check.responses[0].spectrum;
    assert_eq!([end("smallest", 1), end("largest", 1)], [(20, spectrum.smallest.value), (20, spectrum.largest.value)]);
    let y: Vec<f32> = engine.problem().y.at.val().into_data().try_to_vec().unwrap();
    let largest = 2.0 + f64::from(y.iter().copied().fold(f32::MIN, f32::max));
    assert!((end("largest", 1).1 - largest).abs() < 1e-5);

    let held: u64 = asked["memory"].as_array().unwrap().iter().map(|held| held[1].as_u64().unwrap()).sum();
    let counted: usize = explanation.levels.iter().map(|level| level.peak + level.kept).sum();
    assert_eq!(held, counted as u64);
    assert_eq!(asked["explanation"], explanation.to_string());
    assert_eq!(asked["checks"][1][1], check.to_string());

    // Going on goes on with what was answered; going back forgets what came later.
    engine.run(5).unwrap();
    assert_eq!(record(&file)["asked"], asked);
    let checkpoint = engine.checkpoint().unwrap();
    engine.run(5).unwrap();
    engine.verify_hypergradient("y").unwrap();
    assert_eq!(record(&file)["asked"]["checks"].as_array().unwrap().len(), 3);
    engine.resume(&checkpoint, StreamPosition::Placed).unwrap();
    engine.run(1).unwrap();
    let now = record(&file)["asked"].clone();
    assert_eq!(now["checks"], asked["checks"]);
    for (name, series) in asked["spectra"].as_object().unwrap() {
        assert_eq!(now["spectra"][name]["points"], series["points"]);
    }
}

#[test]
fn it_is_there_while_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    let seen = file.clone();
    reported(&file)
        .watch(move |event, _| {
            if let Event::Iteration { iteration: 2 } = event {
                assert!(text(&seen).contains("http-equiv=\"refresh\""));
            }
        })
        .run(2)
        .unwrap();
    assert!(!text(&file).contains("http-equiv=\"refresh\""));
}

#[test]
fn two_runs_do_not_share_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    let mut first = reported(&file);
    first.run(2).unwrap();
    let error = reported(&file).run(2).unwrap_err().to_string();
    assert!(error.contains("report.html") && error.contains("another run is writing it"), "{error}");
    first.run(2).unwrap();
    assert_eq!(record(&file)["iteration"], 4);
    drop(first);
    reported(&file).run(3).unwrap();
    assert_eq!(record(&file)["iteration"], 3);
}

#[test]
fn the_parts_of_a_hypergradient_add_up() {
    let mut told = Vec::new();
    let file = tempfile::tempdir().unwrap();
    let lines = file.path().join("run.jsonl");
    let mut engine = engine().parts(true).attach(betty_runtime::watch::JsonLines::new(&lines));
    engine.run(5).unwrap();
    drop(engine);
    for line in text(&lines).lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let number = |name: &str| line[name].as_f64().unwrap();
        if line["event"] == "parts" {
            told.push((number("direct"), number("indirect"), number("cosine"), f64::NAN));
        } else if line["event"] == "step" && line["level"] == "y" {
            told.last_mut().unwrap().3 = number("gradient_norm");
        }
    }
    assert_eq!(told.len(), 5);
    for (direct, indirect, cosine, total) in told {
        // The law of cosines; the numbers are of vectors in single precision.
        let square = direct * direct + indirect * indirect + 2.0 * direct * indirect * cosine;
        assert!((square.sqrt() - total).abs() < 1e-5 * (direct + indirect), "{direct} {indirect} {cosine} {total}");
        assert!(indirect > 1e-3 && direct > 1e-3 && cosine.abs() < 0.999);
    }
}

#[test]
fn nothing_is_told_of_parts_that_nobody_asks_for() {
    let mut engine = engine().observe(|event| assert!(!matches!(event, Event::Parts { .. }), "{event:?}"));
    engine.run(2).unwrap();
}

#[test]
fn a_run_that_goes_on_goes_on_with_its_report() {
    let (whole, broken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let [whole, broken] = [whole.path(), broken.path()].map(|folder| folder.join("report.html"));
    for file in [&whole, &broken] {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
    }
    reported(&whole).run(9).unwrap();
    let mut first = reported(&broken);
    first.run(4).unwrap();
    let checkpoint = first.checkpoint().unwrap();
    first.run(2).unwrap();
    drop(first);
    let mut second = reported(&broken);
    second.resume(&checkpoint, StreamPosition::Start).unwrap();
    second.run_until(9).unwrap();
    let (mut whole, mut broken) = (record(&whole), record(&broken));
    for record in [&mut whole, &mut broken] {
        let series = record["series"].as_object_mut().unwrap();
        series.retain(|tag, _| !tag.starts_with("run/"));
    }
    for same in ["series", "warnings", "iteration", "until", "turns", "levels", "config"] {
        assert_eq!(whole[same], broken[same], "{same}");
    }
}

#[test]
fn warnings_of_an_iteration_that_failed_stay_when_the_same_engine_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    let batch = |number: usize| shift(1.0, 1.0, if number == 7 { f32::NAN } else { 2.0 });
    let x = Stream::batches((0..).map(move |number| Ok::<_, std::io::Error>(batch(number))));
    let data = IllData { y: Stream::constant(shift(1.0, 1.0, 2.0)), x };
    let mut engine =
        Engine::new(problem(), data, IllConfig::from_json(r#"{ "x": { "unroll": 2 } }"#).unwrap()).unwrap();
    engine = engine.attach(ReportFile::new(&file));
    engine.run(2).unwrap();
    let saved = engine.checkpoint().unwrap();
    let told = || {
        let warnings = record(&file)["warnings"].clone();
        let told = warnings.as_array().unwrap().iter();
        told.map(|warning| (warning["iteration"].as_u64().unwrap(), warning["rule"].clone())).collect::<Vec<_>>()
    };
    assert!(matches!(engine.run(5), Err(EngineError::NonFinite { .. })));
    assert_eq!(told(), [(4, "non-finite".into())]);
    engine.run(5).unwrap();
    assert_eq!(told(), [(4, "non-finite".into())]);
    // Where a run goes back, what came later is no part of it.
    engine.resume(&saved, StreamPosition::Placed).unwrap();
    engine.run(1).unwrap();
    assert_eq!(told(), []);
}

#[test]
fn a_page_of_somebody_else_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    fs::write(&file, "<p>mine</p>").unwrap();
    let mut first = engine();
    first.run(1).unwrap();
    let mut second = reported(&file);
    second.resume(&first.checkpoint().unwrap(), StreamPosition::Start).unwrap();
    let error = second.run(1).unwrap_err();
    let EngineError::ObserverFailed { source, .. } = &error else { panic!("{error}") };
    assert!(matches!(source.downcast_ref(), Some(WatchError::Foreign { .. })), "{source}");
    assert_eq!(text(&file), "<p>mine</p>");
}
