//! What a person who supervises a run should know.

/// Something that is not as it should be, though the run can go on: what was seen, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What was looked at, in a word or two with dashes: the same for all warnings of one kind.
    pub rule: String,
    /// The level that it is about, if it is about one.
    pub level: Option<String>,
    /// What was seen, as a sentence without a full stop.
    pub fact: String,
    /// What to do, likewise.
    pub advice: String,
}

impl Warning {
    /// Whether it says something of the program: that a file could not be written does not, nor that a run is tried again, goes on with
    /// other numbers of a scheduler or for another goal, or reads more often than it was asked to.
    pub(crate) fn is_of_program(&self) -> bool {
        !["save", "retry", "best", "reading", "scheduler", "validation"].contains(&self.rule.as_str())
    }
}
