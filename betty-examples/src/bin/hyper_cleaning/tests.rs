//! Several ranks in this process against one: the same run on shares of its batches.

use std::path::Path;

use betty_examples::ranks::Ranks;
use betty_examples::stop::Stop;
use betty_runtime::distributed::Threads;
use burn::tensor::Device;
use clap::Parser;

use crate::cli::Options;
use crate::experiment::Experiment;
use crate::report::Report;
use crate::source::Source;

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
