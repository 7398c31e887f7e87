//! A run that is stopped before it has taken a step.

use betty_examples::data::digits;
use betty_examples::going::{Curves, Going, Saving};
use betty_examples::output::OutputFolder;
use betty_examples::penalized::{Classifier, Examples, Penalized, PenalizedConfig, PenalizedData};
use betty_examples::ranks::Ranks;
use betty_examples::saved::Choices;
use betty_examples::stop::Stop;
use betty_examples::watching::Watching;
use betty_runtime::{Engine, Stream};
use burn::tensor::Device;
use rand::SeedableRng;
use rand::rngs::StdRng;

#[test]
fn a_run_that_is_stopped_before_its_first_step_names_no_file() {
    let device = Device::flex();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = OutputFolder::open(folder.path()).expect("a folder");
    let (stop, choices) = (Stop::default(), Choices::new());
    stop.ask();
    let going = Going {
        saving: &Saving::default(),
        watching: &Watching::default(),
        output: &output,
        choices: &choices,
        stop: &stop,
        progress: false,
        ranks: &Ranks::default(),
    };
    let start = Classifier::new(digits().pixels(), None, digits().classes(), &mut StdRng::seed_from_u64(0), &device);
    let batch = || Stream::constant(Examples::of(&digits().subset(&[0, 1]), &device));
    let data = PenalizedData { penalties: batch(), classifier: batch() };
    let problem = Penalized { penalties: start.clone(), classifier: start };
    let engine = Engine::new(problem, data, PenalizedConfig::default()).expect("an engine");
    let Err(stopped) = going.train(engine, "run", ("steps", 2), &Curves::default()) else { panic!("it goes on") };
    let stopped = stopped.to_string();
    assert_eq!(stopped, "stopped before the first step of a run; nothing was saved");
    assert!(!folder.path().join("run.safetensors").exists(), "as it says");
    assert_eq!(going.heed().expect_err("stopped").to_string(), stopped);
    // One that had ended is there to go on with.
    std::fs::write(folder.path().join("other.safetensors"), "").expect("writable");
    assert!(going.heed().expect_err("stopped").to_string().contains("`--resume`"));
}
