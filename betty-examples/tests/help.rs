//! What `--help` says: every program lists what it can do, in the words of all programs where it is the same.

use std::collections::BTreeMap;
use std::process::Command;

const PROGRAMS: [(&str, &str); 18] = [
    ("choosing", env!("CARGO_BIN_EXE_choosing")),
    ("hyper_cleaning", env!("CARGO_BIN_EXE_hyper_cleaning")),
    ("penalties", env!("CARGO_BIN_EXE_penalties")),
    ("sinusoid_maml", env!("CARGO_BIN_EXE_sinusoid_maml")),
    ("influence", env!("CARGO_BIN_EXE_influence")),
    ("quadratic", env!("CARGO_BIN_EXE_quadratic")),
    ("distillation", env!("CARGO_BIN_EXE_distillation")),
    ("schedule", env!("CARGO_BIN_EXE_schedule")),
    ("plain_loop", env!("CARGO_BIN_EXE_plain_loop")),
    ("pilot", env!("CARGO_BIN_EXE_pilot")),
    ("few_shot", env!("CARGO_BIN_EXE_few_shot")),
    ("three_levels", env!("CARGO_BIN_EXE_three_levels")),
    ("darts", env!("CARGO_BIN_EXE_darts")),
    ("long_tail", env!("CARGO_BIN_EXE_long_tail")),
    ("two_uppers", env!("CARGO_BIN_EXE_two_uppers")),
    ("by_hand", env!("CARGO_BIN_EXE_by_hand")),
    ("weak_labels", env!("CARGO_BIN_EXE_weak_labels")),
    ("deep", env!("CARGO_BIN_EXE_deep")),
];

/// Programs whose runs can be gone on with.
const RESUMED: [&str; 12] = [
    "hyper_cleaning",
    "distillation",
    "schedule",
    "few_shot",
    "three_levels",
    "darts",
    "long_tail",
    "two_uppers",
    "weak_labels",
    "penalties",
    "sinusoid_maml",
    "pilot",
];

/// Programs with tables over seeds and settings, and those that take data of the user's.
const FULL: [&str; 8] =
    ["distillation", "schedule", "few_shot", "three_levels", "darts", "long_tail", "two_uppers", "weak_labels"];
const DATA: [&str; 3] = ["hyper_cleaning", "long_tail", "pilot"];

/// Options that mean the same wherever they are.
const SHARED: [&str; 12] = [
    "--seeds",
    "--out",
    "--config",
    "--print-config",
    "--device",
    "--quiet",
    "--log",
    "--on-unhealthy",
    "--read-every",
    "--save-every",
    "--resume",
    "--distributed",
];

/// Each long option with its whole description.
fn options(program: &str) -> BTreeMap<String, String> {
    let output = Command::new(program).arg("--help").output().expect("the program starts");
    assert!(output.status.success() && output.stderr.is_empty());
    let mut options: BTreeMap<String, String> = BTreeMap::new();
    let mut current = None;
    for line in String::from_utf8(output.stdout).expect("text").lines() {
        let line = line.trim();
        if line.starts_with('-') && !line.starts_with("- ") {
            // `-q, --quiet` or `--seed <SEED>`, then the description, if all are short; `- value: …` is none.
            let (option, description) = line.split_once("  ").unwrap_or((line, ""));
            let name = option.split_whitespace().find(|word| word.starts_with("--")).expect("a long name").to_owned();
            let before = options.insert(name.clone(), description.trim().to_owned());
            assert_eq!(before, None, "{program} lists {name} twice");
            current = Some(name);
        } else if let Some(description) = current.as_ref().and_then(|name| options.get_mut(name)) {
            description.push_str(line);
            description.push('\n');
        }
    }
    options
}

/// The first sentence, without what is particular to a program after it.
fn meaning(description: &str) -> &str {
    description.split(['.', ';', '[', '\n']).next().expect("one part at least").trim()
}

#[test]
fn shared_options_are_described_in_the_same_words() {
    let programs = PROGRAMS.map(|(name, path)| (name, options(path)));
    for option in SHARED {
        let described: Vec<(&str, &str)> =
            programs.iter().filter_map(|(name, all)| Some((*name, meaning(all.get(option)?)))).collect();
        assert!(described.len() > 1, "{option} is shared by nobody: {described:?}");
        assert!(!described[0].1.is_empty(), "{option} says nothing");
        assert!(described.iter().all(|(_, text)| *text == described[0].1), "{option}: {described:?}");
    }
}

#[test]
fn programs_list_what_they_can_do_and_nothing_else() {
    let has = |program: usize, option: &str| options(PROGRAMS[program].1).contains_key(option);
    for option in ["--seed", "--seeds", "--out", "--config", "--print-config", "--resume", "--save-every"] {
        assert!(!has(0, option) && has(1, option), "{option}");
    }
    for (program, (name, _)) in PROGRAMS.iter().enumerate() {
        for option in ["--resume", "--save-every", "--read-every"] {
            assert_eq!(has(program, option), RESUMED.contains(name), "{name} {option}");
        }
        assert_eq!(has(program, "--full"), FULL.contains(name), "{name} --full");
        assert_eq!(has(program, "--data"), DATA.contains(name), "{name} --data");
    }
    assert!(has(2, "--seeds") && !has(3, "--seeds"));
    for program in 0..PROGRAMS.len() {
        assert!(has(program, "--device") && has(program, "--quiet"));
    }
}

#[test]
fn results_go_into_a_folder_of_the_program() {
    // The last one prints tables.
    for (name, path) in PROGRAMS[1..8].iter().chain(&PROGRAMS[10..17]) {
        let options = options(path);
        assert!(options["--out"].contains(&format!("[default: out/{name}]")), "{}", options["--out"]);
        assert!(options["--seed"].starts_with("Seed of ") && options["--seed"].contains("[default: 0]"));
    }
}

#[test]
fn a_device_that_does_not_exist_is_refused_by_all() {
    for (name, path) in PROGRAMS {
        let output = Command::new(path).args(["--device", "tpu"]).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(2), "{name}");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(message.contains("--device") && message.contains("tpu"), "{name}: {message}");
    }
}
