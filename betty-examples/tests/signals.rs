//! Runs that are stopped or killed at any moment, and gone on with.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;

/// How often a run is stopped by each signal.
const STOPS: usize = 20;

/// The longest time after which it is stopped: about what a whole run takes.
const LONGEST: Duration = Duration::from_millis(900);

fn start(out: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_hyper_cleaning"))
        .args(["--steps", "12", "--hidden", "4", "--clean", "100", "--quiet", "--out"])
        .arg(out)
        .args(arguments)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {}", child.id())]).status();
    assert!(sent.expect("a shell").success());
}

/// Every file of the uninterrupted run is the same in the other one.
fn assert_equal(run: &Path, whole: &Path, signal: &str) {
    for entry in fs::read_dir(whole).expect("there").flatten() {
        let [expected, found] = [whole, run].map(|folder| fs::read(folder.join(entry.file_name())).expect("there"));
        assert!(expected == found, "SIG{signal}: {:?} differs", entry.file_name());
    }
}

fn finish(child: Child) {
    let output = child.wait_with_output().expect("started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// One run after the other is stopped at random moments and gone on with, until there were enough stops; each that came to
/// its end did what a run did that was never stopped.
fn stopped_by(signal: &str, code: Option<i32>, arguments: &[&str]) {
    let whole = tempfile::tempdir().expect("a temporary folder");
    finish(start(whole.path(), &[]));
    let mut random = StdRng::seed_from_u64(7);
    let mut run: TempDir = tempfile::tempdir().expect("a temporary folder");
    let mut stops = 0;
    while stops < STOPS {
        let is_saved = run.path().join("seed-0.safetensors").exists();
        let resume: &[&str] = if is_saved { &["--resume"] } else { &[] };
        let mut child = start(run.path(), &[arguments, resume].concat());
        std::thread::sleep(LONGEST.mul_f64(random.random_range(0.0..1.0)));
        if child.try_wait().expect("started").is_none() {
            send(signal, &child);
        }
        let output = child.wait_with_output().expect("started");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            assert_equal(run.path(), whole.path(), signal);
            run = tempfile::tempdir().expect("a temporary folder");
            continue;
        }
        stops += 1;
        if let Some(code) = code.filter(|_| output.status.code().is_some()) {
            // A signal that comes before the program listens ends it like any other.
            assert_eq!(output.status.code(), Some(code), "{message}");
            let saved = run.path().join("seed-0.safetensors").exists();
            let says = if saved { "to go on, give the same options and `--resume`" } else { "nothing was saved" };
            assert!(message.starts_with("stopped ") && message.contains(says), "{message}");
        }
    }
    let is_saved = run.path().join("seed-0.safetensors").exists();
    let resume: &[&str] = if is_saved { &["--resume"] } else { &[] };
    finish(start(run.path(), &[arguments, resume].concat()));
    assert_equal(run.path(), whole.path(), signal);
}

#[test]
fn a_run_that_is_stopped_by_ctrl_c_goes_on_bit_for_bit() {
    stopped_by("INT", Some(130), &[]);
}

#[test]
fn a_run_that_is_stopped_by_the_system_goes_on_bit_for_bit() {
    stopped_by("TERM", Some(143), &[]);
}

#[test]
fn a_run_that_is_killed_goes_on_bit_for_bit_from_its_last_save() {
    stopped_by("KILL", None, &["--save-every", "1"]);
}

#[test]
fn a_second_signal_ends_a_run_at_once() {
    let out = tempfile::tempdir().expect("a temporary folder");
    // Steps that take longer than any test waits.
    let child = Command::new(env!("CARGO_BIN_EXE_hyper_cleaning"))
        .args(["--restart", "10000000", "--method", "identity", "--quiet", "--out"])
        .arg(out.path())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    std::thread::sleep(Duration::from_secs(2));
    send("INT", &child);
    std::thread::sleep(Duration::from_millis(500));
    send("TERM", &child);
    let output = child.wait_with_output().expect("started");
    assert_eq!(output.status.code(), Some(143), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "it was not given the time to say anything");
    assert!(!out.path().join("seed-0.safetensors").exists());
}

/// Baselines are runs like others: stopped, saved, and not begun anew where they had ended.
#[test]
fn baselines_are_stopped_and_gone_on_with_too() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder"));
    let [whole, stopped] = [0, 1].map(|folder| folders[folder].path());
    let start = |out: &Path, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_two_uppers"));
        command.args(["--steps", "8", "--quiet", "--out"]).arg(out).args(arguments);
        command.stderr(Stdio::piped()).spawn().expect("the program starts")
    };
    finish(start(whole, &[]));
    let mut child = start(stopped, &[]);
    // From here on it is at its baselines.
    while !stopped.join("both.seed-0.safetensors").exists() {
        assert!(child.try_wait().expect("started").is_none(), "it has ended");
        std::thread::sleep(Duration::from_millis(5));
    }
    send("INT", &child);
    let output = child.wait_with_output().expect("started");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(130) && message.contains("give the same options and `--resume`"), "{message}");
    assert!(!stopped.join("accuracies.csv").exists());
    let saved = || {
        let files = fs::read_dir(stopped).expect("there").flatten();
        let files = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "safetensors"));
        let time = |file: &fs::DirEntry| file.metadata().and_then(|data| data.modified()).expect("there");
        files.map(|file| (file.file_name(), time(&file))).collect::<BTreeMap<_, _>>()
    };
    let before = saved();
    assert!((1..7).contains(&before.len()), "{before:?}");
    finish(start(stopped, &["--resume"]));
    let after = saved();
    let first: OsString = "both.seed-0.safetensors".into();
    assert_eq!((after.len(), after[&first]), (7, before[&first]));
    let read = |folder: &Path| fs::read_to_string(folder.join("accuracies.csv")).expect("there");
    assert_eq!(read(stopped), read(whole));
    // Now all have ended.
    finish(start(stopped, &["--resume"]));
    assert_eq!((saved(), read(stopped)), (after, read(whole)));
}
