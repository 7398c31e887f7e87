//! What streams are made of: sources that are asked for batches, and that take back what was only looked at.

use std::any::Any;
use std::collections::VecDeque;

use crate::error::DataError;

/// What a source is asked.
pub(super) enum Ask<'a> {
    /// For the next batch of a level that has taken so many, and of this program, if there is one.
    Next { program: Option<&'a dyn Any>, taken: u64 },
    /// To go past it.
    Skip,
}

/// What becomes of the batches that are drawn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Past {
    /// Those from now on may come back.
    Mark,
    /// Those since the last mark that stands come back: it is as if they had not been drawn.
    Undo,
    /// Those since the last mark that stands are used.
    Keep,
}

/// The next batch; none of it where that is only gone past, and depends on a program that is gone.
pub(super) type Next<B> = Option<Result<Option<B>, DataError>>;

/// Where batches come from.
pub(super) trait Source<B> {
    fn next(&mut self, ask: &Ask<'_>) -> Next<B>;

    /// Whether batches depend on a program.
    fn reads_program(&self) -> bool;

    /// Marks where the source stands, or goes back to where it stood.
    fn turn(&mut self, past: Past);
}

/// What a source is besides what it draws from, with all marks that stand.
pub(super) struct Marked<T> {
    pub(super) now: T,
    marks: Vec<T>,
}

impl<T: Clone> Marked<T> {
    pub(super) fn new(now: T) -> Self {
        Marked { now, marks: Vec::new() }
    }

    pub(super) fn turn(&mut self, past: Past) {
        match past {
            Past::Mark => self.marks.push(self.now.clone()),
            Past::Undo => self.now = self.marks.pop().unwrap_or_else(|| self.now.clone()),
            Past::Keep => drop(self.marks.pop()),
        }
    }
}

/// A source that knows nothing of programs, and cannot go back by itself.
pub(super) struct Plain<B, F> {
    draw: F,
    /// What was drawn since the first mark that stands, and where the marks are.
    drawn: Vec<B>,
    marks: Vec<usize>,
    /// What came back, the next one first.
    returned: VecDeque<B>,
}

impl<B, F: FnMut() -> Option<Result<B, DataError>>> Plain<B, F> {
    pub(super) fn new(draw: F) -> Self {
        Plain { draw, drawn: Vec::new(), marks: Vec::new(), returned: VecDeque::new() }
    }
}

impl<B: Clone, F: FnMut() -> Option<Result<B, DataError>>> Source<B> for Plain<B, F> {
    fn next(&mut self, _ask: &Ask<'_>) -> Next<B> {
        let batch = match self.returned.pop_front() {
            Some(batch) => batch,
            None => match (self.draw)()? {
                Ok(batch) => batch,
                Err(error) => return Some(Err(error)),
            },
        };
        if !self.marks.is_empty() {
            self.drawn.push(batch.clone());
        }
        Some(Ok(Some(batch)))
    }

    fn reads_program(&self) -> bool {
        false
    }

    fn turn(&mut self, past: Past) {
        match past {
            Past::Mark => self.marks.push(self.drawn.len()),
            Past::Undo | Past::Keep => {
                let mark = self.marks.pop().unwrap_or_default();
                if matches!(past, Past::Undo) {
                    self.drawn.drain(mark..).rev().for_each(|batch| self.returned.push_front(batch));
                }
                if self.marks.is_empty() {
                    self.drawn.clear();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use proptest::prelude::*;

    use crate::data::{BatchStream, Stream};
    use crate::trace::Number;

    type Three = ((u64, u64), u64);

    /// Sources of several lengths side by side, in turns, and numbered, with one that reads the number of the batch.
    fn composed() -> Stream<Three> {
        let count = |from: u64, length: u64| Stream::epochs(move |_| (from..from + length).map(Ok::<_, io::Error>));
        let mixed = Stream::mix([(1.0, count(0, 5)), (2.0, count(100, 7))], 3).expect("weights");
        let made = Stream::of_program(|offset: &u64, taken| Ok::<_, io::Error>(offset + taken));
        let number = |(batch, number): (u64, Number)| (batch, number.value().expect("it is given") as u64);
        mixed.numbered(10).map(number).zip(made)
    }

    fn next(stream: &mut Stream<Three>, taken: u64) -> Three {
        let batch = stream.next_batch_of(&1000_u64, taken).expect("no error").expect("a batch");
        *batch.downcast().expect("the stream's type")
    }

    proptest! {
        #[test]
        fn what_was_only_looked_at_comes_again(choices in prop::collection::vec(0..6_u8, 0..60)) {
            let mut fresh = composed();
            let all: Vec<Three> = (0..60).map(|taken| next(&mut fresh, taken)).collect();
            let (mut stream, mut at, mut marks) = (composed(), 0, Vec::new());
            for choice in choices {
                match (choice, marks.len()) {
                    (0, _) => {
                        stream.mark();
                        marks.push(at);
                    }
                    (1, 1..) => {
                        stream.undo();
                        at = marks.pop().expect("there is one");
                    }
                    (2, 1..) => {
                        stream.keep();
                        marks.pop();
                    }
                    _ => {
                        prop_assert_eq!(next(&mut stream, at), all[at as usize]);
                        at += 1;
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_gone_past_is_not_made() {
        let (mut gone, mut fresh) = (composed(), composed());
        for taken in 0..9 {
            assert!(gone.skip_batch().expect("no error"));
            next(&mut fresh, taken);
        }
        assert_eq!(next(&mut gone, 9), next(&mut fresh, 9));
    }
}
