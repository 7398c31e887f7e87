//! Several ranks in this process against one: the same run on shares of its batches.

use std::path::Path;

use betty_examples::data::digits;
use betty_examples::ranks::Ranks;
use betty_examples::stop::Stop;
use betty_runtime::distributed::Threads;
use burn::tensor::Device;
use clap::Parser;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::cli::Options;
use crate::experiment::{Experiment, Training};
use crate::model::Mlp;
use crate::report::Report;
use crate::source::Source;

/// What the other classifiers would not be trained with, which `--help` promises they are.
#[test]
fn what_one_classifier_alone_would_be_trained_with_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = |classifier: &str| {
        let file = folder.path().join("config.json");
        std::fs::write(&file, format!("{{\"classifier\": {classifier}}}")).expect("writable");
        Options::parse_from(["hyper_cleaning", "--config", &file.to_string_lossy()]).config()
    };
    for (field, value) in [
        ("schedule", r#"{"name": "cosine", "steps": 100}"#),
        ("clip", r#"{"norm": 1.0}"#),
        ("project", r#"{"name": "clamp", "low": -1, "high": 1}"#),
        ("accumulate", "2"),
        ("precision", r#""bf16""#),
    ] {
        let refused = config(&format!("{{\"{field}\": {value}}}")).expect_err(field).to_string();
        assert!(refused.contains(&format!("gives `classifier` another `{field}`")), "{refused}");
    }
    config(r#"{"unroll": 3, "optimizer": {"lr": 0.2}, "hypergradient": {"iterations": 3}}"#)
        .expect("shared, or none of theirs");
}

/// A signal reaches one process first: all of them leave a baseline after the same step.
#[test]
fn ranks_stop_a_baseline_together() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().to_string_lossy().into_owned();
    let options = ["hyper_cleaning", "--steps", "1", "--hidden", "2", "--quiet", "--out", &out];
    let ended = Threads::run(2, |rank| {
        let ranks = Ranks::of(rank);
        let stop = Stop::default();
        if !ranks.is_first() {
            stop.ask();
        }
        let options = Options::parse_from(options);
        let config = options.config().expect("a config");
        let source = Source::open(None).expect("digits");
        let output = ranks.open(folder.path()).expect("a folder");
        let device = Device::flex();
        let examples = digits().subset(&[0, 1, 2]);
        let classifier = Mlp::new(examples.pixels(), 2, examples.classes(), &mut StdRng::seed_from_u64(0), &device);
        let test = examples.to_device(&device);
        let experiment =
            Experiment { options: &options, config: &config, source: &source, device, output: &output, stop, ranks };
        experiment.baseline(Training::CleanOnly, &examples, None, classifier, &test, 0).expect("no failure").is_some()
    });
    assert_eq!(ended, [false, false]);
}

/// What a rank comes to: accuracies, losses on the way, and weights.
fn run(ranks: Ranks, folder: &Path, options: &[&str]) -> Vec<f64> {
    let out = folder.to_string_lossy().into_owned();
    let short = [
        "hyper_cleaning",
        "--steps",
        "3",
        "--hidden",
        "4",
        "--clean",
        "31",
        "--batch",
        "101",
        "--quiet",
        "--out",
        &out,
    ];
    let options = Options::parse_from(short.iter().chain(options));
    let config = options.config().expect("a config");
    let source = Source::open(None).expect("digits");
    let output = ranks.open(folder).expect("a folder");
    let experiment = Experiment {
        options: &options,
        config: &config,
        source: &source,
        device: Device::flex(),
        output: &output,
        stop: Stop::default(),
        ranks,
    };
    let outcome = experiment.run(0).expect("a run");
    let losses = outcome.trained.curves.iter().map(|point| point.value);
    let accuracies = outcome.curves.iter().flat_map(|curve| curve.points.iter().map(|&(_, accuracy)| accuracy));
    let found = losses.chain(accuracies).chain(outcome.weights.iter().copied()).collect();
    Report { outcomes: &[outcome], config: &config }.write(&output).expect("files");
    found
}

#[test]
fn ranks_come_to_what_one_process_comes_to() {
    for options in [&[][..], &["--weighting", "network", "--restart", "3"], &["--save-every", "2"]] {
        let alone = tempfile::tempdir().expect("a temporary folder");
        let whole = run(Ranks::default(), alone.path(), options);
        for size in [2, 3] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let found = Threads::run(size, |rank| run(Ranks::of(rank), folder.path(), options));
            for of_rank in &found {
                assert_eq!(of_rank, &found[0], "all ranks have the same");
                assert_eq!(of_rank.len(), whole.len());
                let gap = of_rank.iter().zip(&whole).map(|(x, y)| (x - y).abs() / y.abs().max(1.0)).fold(0.0, f64::max);
                // Sums in another order, in single precision; an accuracy is a multiple of 1/599.
                assert!(gap < 2e-3, "{size} ranks, {options:?}: {gap:e}");
            }
            // One rank has written the files, which are those of one process.
            let names = |folder: &Path| {
                let entries = std::fs::read_dir(folder).expect("there").flatten();
                let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
                names.sort();
                names
            };
            assert_eq!(names(folder.path()), names(alone.path()), "{options:?}");
        }
    }
}
