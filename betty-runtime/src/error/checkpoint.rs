//! What can be wrong with a checkpoint.

use burn::tensor::DType;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A checkpoint could not be written, read, or taken over. Nothing was half-written or half-loaded.
#[derive(Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file could not be read.
    #[error("cannot read the checkpoint `{}`: {reason}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's answer.
        reason: io::Error,
    },
    /// A file could not be written; if there was one before, it is unchanged.
    #[error("cannot write the checkpoint `{}`: {reason}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// The system's answer.
        reason: io::Error,
    },
    /// A checkpoint with numbers that are not finite would replace one without.
    #[error(
        "the checkpoint `{}` stays as it is, because `{tensor}` is finite in it and not in the one to be written; go on from the \
         file, or write to another", file.display()
    )]
    NotFinite {
        /// The file.
        file: PathBuf,
        /// The tensor's name.
        tensor: String,
    },
    /// A checkpoint was asked for while an iteration is in hand.
    #[error(
        "a checkpoint holds whole iterations, and one is in hand: take it at `Event::Iteration` or `Event::Validation`"
    )]
    WithinIteration,
    /// A file was read but refused.
    #[error("`{}` cannot be resumed from: {reason}", file.display())]
    InFile {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: Box<CheckpointError>,
    },
    /// The bytes are something else.
    #[error("it is no checkpoint of betty: {reason}")]
    NotACheckpoint {
        /// What was found, or not found.
        reason: String,
    },
    /// The end is missing, or there is more than there should be.
    #[error("it has {found} bytes instead of {expected}; it was cut short or written to by something else")]
    Length {
        /// Bytes that its header announces.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// Bytes changed after writing.
    #[error("its checksum is {found:08x} instead of {expected:08x}: bytes changed since it was written")]
    Damaged {
        /// The checksum it carries.
        expected: u32,
        /// The checksum of its bytes.
        found: u32,
    },
    /// Written by a later release.
    #[error("it has version {found} of the format, and this release reads up to {known}; update betty")]
    Version {
        /// Its version.
        found: u64,
        /// The newest version that this release reads.
        known: u64,
    },
    /// A name stands twice in its header.
    #[error("its header names `{name}` twice; it was not written by betty")]
    Repeated {
        /// The name.
        name: String,
    },
    /// Two tensors share bytes.
    #[error("its tensors `{tensor}` and `{other}` overlap; it was not written by betty")]
    Overlap {
        /// One of them.
        tensor: String,
        /// The other.
        other: String,
    },
    /// A number that no run comes to.
    #[error("it says that {what} is {found}, which no run comes to; it was not written by betty")]
    Impossible {
        /// What was counted, of which level.
        what: String,
        /// The number.
        found: u64,
    },
    /// It belongs to another program.
    #[error("it was saved by the program `{saved}`, but the engine runs `{running}`")]
    OtherProgram {
        /// The program that saved it.
        saved: String,
        /// The engine's program.
        running: String,
    },
    /// The program was changed after saving.
    #[error("it was saved with the levels {saved}, but the program has {running}")]
    OtherLevels {
        /// Levels with their lower levels, when saved.
        saved: String,
        /// Levels with their lower levels, now.
        running: String,
    },
    /// A tensor of the module, or of its optimizer, was not saved.
    #[error(
        "it has no tensor `{tensor}`, which level `{level}` needs; was its module, or what is trained of it, changed since?"
    )]
    Missing {
        /// The level.
        level: String,
        /// The tensor's name in the file.
        tensor: String,
    },
    /// A tensor was saved that the module does not have.
    #[error(
        "its tensor `{tensor}` belongs to nothing in the program; was a module, or what is trained of it, changed since?"
    )]
    Unused {
        /// The tensor's name in the file.
        tensor: String,
    },
    /// Tied tensors that were trained apart.
    #[error(
        "its tensors `{tensor}` and `{copy}` differ, but they are one in level `{level}`, whose module has one identifier for \
         both; it was saved by a release that trained them apart, and goes on with a module of `betty_runtime::untied` only"
    )]
    TiedApart {
        /// The level.
        level: String,
        /// The tensor's name in the file.
        tensor: String,
        /// The name that it has at another place.
        copy: String,
    },
    /// A tensor of another shape or type.
    #[error("its tensor `{tensor}` is {saved}, but level `{level}` needs {running}; was its module changed since?")]
    OtherShape {
        /// The level.
        level: String,
        /// The tensor's name in the file.
        tensor: String,
        /// Its type and shape in the file.
        saved: String,
        /// Its type and shape in the module.
        running: String,
    },
    /// Another optimizer than when saved.
    #[error(
        "level `{level}` was saved with the optimizer {saved}, but is configured with {running}; resume with the optimizer \
         that it was saved with"
    )]
    OtherOptimizer {
        /// The level.
        level: String,
        /// Optimizer and states for each parameter, when saved.
        saved: String,
        /// Optimizer and states for each parameter, now.
        running: String,
    },
    /// A learning-rate scheduler is missing, superfluous, or of another kind.
    #[error("the learning-rate scheduler of level `{level}` does not fit: {reason}")]
    OtherScheduler {
        /// The level.
        level: String,
        /// What does not fit.
        reason: String,
    },
    /// A stream that has already given more batches than the checkpoint has seen.
    #[error(
        "the data of level `{level}` are already {taken} batches in, behind the {saved} at which the checkpoint stands, and \
         streams do not go back; resume a new engine"
    )]
    StreamIsAhead {
        /// The level.
        level: String,
        /// Batches the engine has taken.
        taken: u64,
        /// Batches the saved run had taken.
        saved: u64,
    },
    /// A tensor of a type that files do not hold.
    #[error("tensor `{tensor}` is {dtype:?}, which a checkpoint cannot hold")]
    UnsupportedType {
        /// The tensor's name.
        tensor: String,
        /// Its type.
        dtype: DType,
    },
    /// A tensor could not be copied from its device.
    #[error("tensor `{tensor}` could not be saved: {reason}")]
    Device {
        /// The tensor's name.
        tensor: String,
        /// Why.
        reason: crate::execute::ReadError,
    },
}

crate::report::debug_as_report!(CheckpointError);
