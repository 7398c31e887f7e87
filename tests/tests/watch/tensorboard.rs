//! Event files for TensorBoard. `tools/tensorboard/check.py` reads them with TensorBoard itself.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use betty_runtime::StreamPosition;
use betty_runtime::watch::{CsvFile, TensorBoard};

use crate::problem::engine;

/// A run that is interrupted after iteration 5, and goes on from iteration 4; its table is beside.
fn write(folder: &Path) {
    let attach = || engine().attach(TensorBoard::new(folder)).attach(CsvFile::new(folder.join("run.csv")));
    let mut first = attach();
    first.run(4).unwrap();
    let checkpoint = first.checkpoint().unwrap();
    first.run(1).unwrap();
    drop(first);
    let mut second = attach();
    second.resume(&checkpoint, StreamPosition::Start).unwrap();
    second.run_until(8).unwrap();
}

#[test]
fn every_run_has_a_file_of_whole_records() {
    let folder = tempfile::tempdir().unwrap();
    let folder = env::var_os("BETTY_TENSORBOARD").map_or_else(|| folder.path().to_owned(), PathBuf::from);
    write(&folder);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.to_string_lossy().contains("tfevents"));
    files.sort();
    let counts: Vec<usize> = files.iter().map(|file| records(&fs::read(file).unwrap())).collect();
    // The version, the start, the config; then one for each iteration, and for each validation.
    assert_eq!(counts, [3 + 5 + 1, 3 + 4 + 1]);
}

/// How many records there are, by their lengths.
fn records(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while !bytes.is_empty() {
        let (length, _) = bytes.split_first_chunk::<8>().unwrap();
        let frame = 8 + 4 + usize::try_from(u64::from_le_bytes(*length)).unwrap() + 4;
        bytes = bytes.get(frame..).expect("a whole record");
        count += 1;
    }
    count
}
