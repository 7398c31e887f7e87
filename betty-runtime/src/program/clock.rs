//! When steps were taken, and since when each level waits for those below it.

/// Counts the steps and starts of all levels together.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    now: u64,
    /// For each level: the time of its last turn, …
    turned: Vec<u64>,
    /// … and since when it waits, or has waited if no step was taken since.
    began: Vec<u64>,
}

impl Clock {
    pub(crate) fn new(levels: usize) -> Self {
        Clock { now: 0, turned: vec![0; levels], began: vec![0; levels] }
    }

    /// How many there were.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// A step is taken, or a level starts again: answers when.
    pub(crate) fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now - 1
    }

    /// Level `k` goes on from here.
    pub(crate) fn turn(&mut self, k: usize) {
        self.turned[k] = self.now;
    }

    /// Level `k` begins to wait.
    pub(crate) fn wait(&mut self, k: usize) {
        self.began[k] = self.turned[k];
    }

    /// When level `k` last went on.
    pub(crate) fn turned(&self, k: usize) -> u64 {
        self.turned[k]
    }

    /// Since when level `k` waits.
    pub(crate) fn began(&self, k: usize) -> u64 {
        self.began[k]
    }
}
