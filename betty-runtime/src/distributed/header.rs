//! What is announced before every message.

use std::fmt;

/// Bytes of a header.
const LENGTH: usize = 32;

/// What ranks exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// They begin to work on something together.
    Begin,
    /// Numbers, to be summed.
    Sum,
    /// Numbers that are summed inside of a loss or a step.
    Inside,
    /// Something from each, for all.
    Gather,
    /// Something from the first, for all.
    Broadcast,
    /// They are done with what they began.
    End,
}

const KINDS: [Kind; 6] = [Kind::Begin, Kind::Sum, Kind::Inside, Kind::Gather, Kind::Broadcast, Kind::End];

/// An announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// Whether the rank has failed, and its message follows.
    pub(super) failed: bool,
    /// How many messages came before.
    pub(super) sequence: u64,
    /// How many bytes follow.
    pub(super) bytes: u64,
    /// A hash of what the message is about: the program, or the question that is asked.
    pub(super) topic: u64,
}

impl Header {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let kind = KINDS.iter().position(|&kind| kind == self.kind).unwrap_or_default() as u64;
        let first = kind | (u64::from(self.failed) << 8);
        [first, self.sequence, self.bytes, self.topic].iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// The headers of all ranks.
    pub(super) fn all(bytes: &[u8]) -> Vec<Self> {
        let (chunks, _) = bytes.as_chunks::<LENGTH>();
        chunks.iter().map(Self::from_bytes).collect()
    }

    fn from_bytes(bytes: &[u8; LENGTH]) -> Self {
        let (words, _) = bytes.as_chunks::<8>();
        let word = |index: usize| u64::from_le_bytes(words[index]);
        let kind = KINDS.get((word(0) & 0xff) as usize).copied().unwrap_or(Kind::End);
        Header { kind, failed: word(0) >> 8 != 0, sequence: word(1), bytes: word(2), topic: word(3) }
    }

    /// Whether both announce the same message; what each rank gathers, or has to say at the beginning, may have a length of its own.
    pub(super) fn agrees(self, other: Self) -> bool {
        let of_all = |header: Self| match header.kind {
            Kind::Gather | Kind::Begin => Header { bytes: 0, ..header },
            _ => header,
        };
        of_all(self) == of_all(other)
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Header { sequence, bytes, .. } = self;
        match self.kind {
            Kind::Begin => write!(f, "message {sequence}, the beginning"),
            Kind::Sum => write!(f, "message {sequence}, a sum of {bytes} bytes"),
            Kind::Inside => write!(f, "message {sequence}, a sum of {bytes} bytes inside of a loss or a step"),
            Kind::Gather => write!(f, "message {sequence}, something of each"),
            Kind::Broadcast => write!(f, "message {sequence}, {bytes} bytes of rank 0"),
            Kind::End => write!(f, "message {sequence}, the end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_arrives() {
        for kind in KINDS {
            for failed in [false, true] {
                let header = Header { kind, failed, sequence: 1 << 40, bytes: 12_345, topic: u64::MAX - 3 };
                let twice = [header.to_bytes(), header.to_bytes()].concat();
                assert_eq!(Header::all(&twice), [header, header]);
            }
        }
    }

    #[test]
    fn only_what_is_gathered_may_differ_in_length() {
        let header = |kind, bytes| Header { kind, failed: false, sequence: 3, bytes, topic: 7 };
        assert!(header(Kind::Gather, 1).agrees(header(Kind::Gather, 2)));
        assert!(!header(Kind::Sum, 1).agrees(header(Kind::Sum, 2)));
        assert!(!header(Kind::Sum, 1).agrees(header(Kind::Broadcast, 1)));
    }
}
