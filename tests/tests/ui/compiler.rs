//! The compiler, with the libraries that this test was built with: a program with a mistake compiles nothing but itself.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What programs name.
const LIBRARIES: [&str; 2] = ["betty_runtime", "burn"];

/// What the compiler says does not depend on a terminal, and leaves no part of a type out.
const WORDING: [&str; 3] = ["--error-format=json", "--diagnostic-width=140", "--verbose"];

/// A compiler that knows the libraries.
pub(crate) struct Compiler {
    libraries: Vec<OsString>,
    output: TempDir,
}

impl Compiler {
    /// Asks cargo where the libraries are. It has nothing left to build, since this test was built with the same ones.
    pub(crate) fn new() -> Self {
        let artifacts = build();
        let mut folders = BTreeSet::new();
        let mut libraries = Vec::new();
        for artifact in &artifacts {
            let Some(file) = artifact["filenames"].as_array().and_then(|files| files.iter().find_map(library)) else {
                continue;
            };
            folders.extend(file.parent().map(Path::to_owned));
            if let Some(name) = LIBRARIES.into_iter().find(|name| artifact["target"]["name"] == *name) {
                libraries.extend(["--extern".into(), format!("{name}={}", file.display()).into()]);
            }
        }
        assert_eq!(libraries.len(), 2 * LIBRARIES.len(), "each library is built once");
        libraries.extend(folders.iter().flat_map(|folder| {
            let folder = format!("dependency={}", folder.display());
            ["-L".into(), folder.into()]
        }));
        Compiler { libraries, output: TempDir::new().unwrap() }
    }

    /// Everything that it says about a program that does not compile.
    pub(crate) fn errors(&self, program: &Path) -> Option<String> {
        let output = Command::new(Path::new(env!("CARGO")).with_file_name("rustc"))
            .args(["--edition=2024", "--crate-type=bin", "--emit=metadata"])
            .args(WORDING)
            .arg("--out-dir")
            .arg(self.output.path())
            .args(&self.libraries)
            .arg(Path::new("tests").join(program))
            // From where the libraries were compiled, so that their files are found.
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
            .output()
            .unwrap();
        if output.status.success() {
            return None;
        }
        let said = String::from_utf8(output.stderr).unwrap();
        let messages =
            said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{said}")));
        // Messages without a place count the others, or tell how to read about them.
        let placed = messages.filter(|message| message["spans"].as_array().is_some_and(|spans| !spans.is_empty()));
        let rendered: Vec<String> = placed.map(|message| normalized(message["rendered"].as_str().unwrap())).collect();
        Some(rendered.join("\n"))
    }
}

/// What cargo says about each part of what this test was built from.
fn build() -> Vec<Value> {
    // target/debug/deps/ui-0123456789abcdef
    let test = env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let features: Vec<&str> = ["cuda", "ndarray", "rocm", "wgpu"]
        .into_iter()
        .zip([cfg!(feature = "cuda"), cfg!(feature = "ndarray"), cfg!(feature = "rocm"), cfg!(feature = "wgpu")])
        .filter(|of| of.1)
        .map(|of| of.0)
        .collect();
    let output = Command::new(env!("CARGO"))
        .args(["build", "--package=betty-tests", "--lib", "--offline", "--message-format=json"])
        .args(["--features", &features.join(","), "--profile"])
        .arg(profile.file_name().filter(|name| *name != "debug").unwrap_or("dev".as_ref()))
        .arg("--target-dir")
        .arg(profile.parent().unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "the libraries are not there");
    let messages = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let messages = messages.map(|line| serde_json::from_slice::<Value>(line).unwrap());
    messages.filter(|message| message["reason"] == "compiler-artifact").collect()
}

/// A file that the compiler reads a library from.
fn library(file: &Value) -> Option<PathBuf> {
    let file = PathBuf::from(file.as_str()?);
    let extension = file.extension()?.to_str()?;
    ["rlib", env::consts::DLL_EXTENSION].contains(&extension).then_some(file)
}

/// How a line begins that lists one implementation of a trait.
const LISTED: &str = "             ";
/// How many of them stand in an expected message.
const SHOWN: usize = 8;

/// A message without what moves whenever a file of the libraries changes: lines and columns in them, and all but the first
/// implementations of a trait.
fn normalized(message: &str) -> String {
    let mut text = String::new();
    let mut is_own = true;
    let mut listed = 0;
    for line in message.lines() {
        let mut line = line.to_owned();
        if let Some((margin, place)) = line.split_once("--> ") {
            let own = place.strip_prefix("tests/");
            is_own = own.is_some();
            let library = || format!("$WORKSPACE/{}", place.split(':').next().unwrap_or(place));
            line = format!("{margin}--> {}", own.map_or_else(library, str::to_owned));
        }
        let digits = line.chars().take_while(char::is_ascii_digit).count();
        if !is_own {
            line.replace_range(..digits, &" ".repeat(digits));
        }
        listed = if line.starts_with(LISTED) { listed + 1 } else { 0 };
        if listed > SHOWN + 1 {
            continue;
        }
        if listed == SHOWN + 1 {
            line = LISTED[2..].to_owned() + "and $N others";
        }
        text.push_str(&line);
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}
