//! The protocol between ranks: every message is announced by a header of each, so that ranks that want different things, or one
//! that has failed, stop all of them with one error, and numbers are never mixed up.

use std::cell::{Cell, RefCell};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::header::{Header, Kind};
use super::{Collective, DistributedError};

/// So many bytes of what ranks work on are told when it is not the same.
const TOPIC: usize = 256;

/// All ranks, as one of them sees them.
pub(crate) struct Ranks {
    pub(super) collective: Box<dyn Collective>,
    state: RefCell<State>,
    /// Whether they are at work each by itself.
    pub(super) apart: Cell<bool>,
}

#[derive(Default)]
struct State {
    /// Messages so far.
    sequence: u64,
    /// What they are about.
    topic: String,
    /// Why ranks do not go on with what they have begun.
    failure: Option<DistributedError>,
    traffic: Traffic,
}

/// What has been sent so far.
#[derive(Clone, Copy, Default)]
struct Traffic {
    /// Messages, without their headers.
    messages: u64,
    /// Bytes of those, of one rank.
    bytes: u64,
}

impl Ranks {
    pub(crate) fn new(collective: impl Collective + 'static) -> Self {
        Ranks { collective: Box::new(collective), state: RefCell::default(), apart: Cell::new(false) }
    }

    /// The number of this rank.
    pub(crate) fn rank(&self) -> usize {
        self.collective.rank()
    }

    /// How many there are.
    pub(crate) fn size(&self) -> usize {
        self.collective.size()
    }

    /// Begins to work on something together; `topic` says on what, and must be the same on all ranks.
    ///
    /// # Errors
    /// [`DistributedError`] when a rank begins something else, or does not answer, and always once one did not.
    pub(crate) fn begin(&self, topic: String) -> Result<(), DistributedError> {
        self.begin_with(topic, false).map(drop)
    }

    /// As [`begin`](Self::begin), with something that this rank may have to say beforehand; answers whether any rank has.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub(crate) fn begin_with(&self, topic: String, mine: bool) -> Result<bool, DistributedError> {
        {
            let mut state = self.state.borrow_mut();
            match &state.failure {
                Some(lost @ DistributedError::Collective(_)) => return Err(lost.clone()),
                _ => (state.failure, state.topic) = (None, topic),
            }
        }
        let headers = self.announce(Kind::Begin, usize::from(mine))?;
        Ok(headers.iter().any(|header| header.bytes > 0))
    }

    /// Ends what was begun, which came to `outcome` here. If it failed on some ranks only, all of them get the error of the first
    /// of these; if it failed on all of them, each has its own.
    ///
    /// # Errors
    /// As `outcome`, or [`DistributedError`].
    pub(crate) fn end<T, E: From<DistributedError> + ToString>(&self, outcome: Result<T, E>) -> Result<T, E> {
        let told = self.tell(outcome.as_ref().err().map(ToString::to_string))?;
        told.map_or(outcome, |other| Err(other.into()))
    }

    /// Ends what was begun, which came to this error here, if to any; the error of another rank that takes the place of the
    /// outcome here, if one does.
    fn tell(&self, error: Option<String>) -> Result<Option<DistributedError>, DistributedError> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let Traffic { messages, bytes } = self.state.borrow().traffic;
        tracing::debug!(messages, bytes, "exchanged with the other ranks so far");
        let Some(error) = error else { return self.announce(Kind::End, 0).map(|_| None) };
        let message = error.into_bytes();
        let headers = self.exchange(Header { failed: true, ..self.header(Kind::End, message.len()) })?;
        Ok((!headers.iter().all(|header| header.failed)).then(|| self.failed(&headers, message)))
    }

    /// Why ranks do not go on with what they have begun.
    pub(crate) fn failure(&self) -> Option<DistributedError> {
        self.state.borrow().failure.clone()
    }

    /// What every rank gives, in order.
    ///
    /// # Errors
    /// [`DistributedError`].
    pub(crate) fn gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>, DistributedError> {
        let headers = self.announce(Kind::Gather, mine.len())?;
        let longest = headers.iter().map(|header| header.bytes as usize).max().unwrap_or_default();
        let mut padded = mine.to_vec();
        padded.resize(longest, 0);
        let all = self.carried(longest, |collective| collective.gather(&padded))?;
        let parts = headers.iter().enumerate();
        Ok(parts.map(|(rank, header)| all[rank * longest..][..header.bytes as usize].to_vec()).collect())
    }

    /// As [`gather`](Self::gather), of something that nothing else that is gathered is taken for, `what` it is.
    ///
    /// # Errors
    /// [`DistributedError`].
    pub(crate) fn gather_of(&self, what: &str, mine: &[u8]) -> Result<Vec<Vec<u8>>, DistributedError> {
        let topic = self.state.borrow().topic.clone();
        self.state.borrow_mut().topic = format!("{topic}: {what}");
        let all = self.gather(mine);
        self.state.borrow_mut().topic = topic;
        all
    }

    /// A number of every rank, in order.
    ///
    /// # Errors
    /// [`DistributedError`].
    pub(crate) fn numbers(&self, mine: u64) -> Result<Vec<u64>, DistributedError> {
        Ok(first_words(&self.gather(&mine.to_le_bytes())?))
    }

    /// As [`numbers`](Self::numbers), of something that nothing else that is gathered is taken for, `what` it is.
    ///
    /// # Errors
    /// [`DistributedError`].
    pub(crate) fn numbers_of(&self, what: &str, mine: u64) -> Result<Vec<u64>, DistributedError> {
        Ok(first_words(&self.gather_of(what, &mine.to_le_bytes())?))
    }

    /// Whether any rank says so.
    ///
    /// # Errors
    /// [`DistributedError`].
    pub(crate) fn any(&self, mine: bool) -> Result<bool, DistributedError> {
        Ok(self.numbers(u64::from(mine))?.contains(&1))
    }

    /// What rank 0 has, for all.
    ///
    /// # Errors
    /// [`DistributedError`].
    pub(crate) fn broadcast(&self, buffer: &mut [u8]) -> Result<(), DistributedError> {
        self.broadcast_from(0, buffer)
    }

    /// What this rank has, for all.
    ///
    /// # Errors
    /// [`DistributedError`].
    pub(super) fn broadcast_from(&self, rank: usize, buffer: &mut [u8]) -> Result<(), DistributedError> {
        self.announce(Kind::Broadcast, buffer.len())?;
        self.carried(buffer.len(), |collective| collective.broadcast(buffer, rank))
    }

    /// Refuses what is not the same on all ranks.
    ///
    /// # Errors
    /// [`DistributedError::Differs`].
    pub(crate) fn check_same(&self, what: &'static str, mine: u64) -> Result<(), DistributedError> {
        let all = self.numbers(mine)?;
        match all.iter().position(|&theirs| theirs != all[0]) {
            Some(rank) => Err(self.fails(DistributedError::Differs { what, rank })),
            None => Ok(()),
        }
    }

    /// Announces a message, and learns what all ranks announce.
    pub(super) fn announce(&self, kind: Kind, bytes: usize) -> Result<Vec<Header>, DistributedError> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let headers = self.exchange(self.header(kind, bytes))?;
        if headers.iter().any(|header| header.failed) {
            return Err(self.failed(&headers, Vec::new()));
        }
        if let Some(rank) = headers.iter().position(|header| !header.agrees(headers[0])) {
            let (ours, theirs) = match headers[rank].topic == headers[0].topic {
                true => (headers[0].to_string(), headers[rank].to_string()),
                false => self.topics(rank)?,
            };
            return Err(self.fails(DistributedError::OutOfStep { rank, theirs, ours }));
        }
        Ok(headers)
    }

    /// Carries a message that was announced.
    pub(super) fn carried<T>(
        &self,
        bytes: usize,
        carry: impl FnOnce(&dyn Collective) -> Result<T, super::CollectiveError>,
    ) -> Result<T, DistributedError> {
        let carried = carry(&*self.collective).map_err(|error| self.fails(error.into()))?;
        let traffic = &mut self.state.borrow_mut().traffic;
        traffic.messages += 1;
        traffic.bytes += bytes as u64;
        Ok(carried)
    }

    fn header(&self, kind: Kind, bytes: usize) -> Header {
        let State { sequence, topic, .. } = &*self.state.borrow();
        Header { kind, failed: false, sequence: *sequence, bytes: bytes as u64, topic: hash_of(topic) }
    }

    /// What rank 0 and another one work on, which all ranks ask when they see that it is not the same.
    fn topics(&self, other: usize) -> Result<(String, String), DistributedError> {
        let mut mine = self.state.borrow().topic.clone().into_bytes();
        mine.resize(TOPIC, 0);
        let all = self.collective.gather(&mine).map_err(|error| self.fails(error.into()))?;
        let of = |rank: usize| {
            String::from_utf8_lossy(&all[rank * TOPIC..][..TOPIC]).trim_end_matches(['\0', '\u{fffd}']).to_owned()
        };
        Ok((of(0), of(other)))
    }

    fn exchange(&self, header: Header) -> Result<Vec<Header>, DistributedError> {
        let all = self.collective.gather(&header.to_bytes()).map_err(|error| self.fails(error.into()))?;
        self.state.borrow_mut().sequence += 1;
        Ok(Header::all(&all))
    }

    /// The error of the first rank that announces one; `mine` is what this rank has to say, if it is that one.
    fn failed(&self, headers: &[Header], mut message: Vec<u8>) -> DistributedError {
        let rank = headers.iter().position(|header| header.failed).unwrap_or_default();
        message.resize(headers[rank].bytes as usize, 0);
        match self.collective.broadcast(&mut message, rank) {
            Ok(()) => self.fails(DistributedError::OnRank { rank, message: String::from_utf8_lossy(&message).into() }),
            Err(error) => self.fails(error.into()),
        }
    }

    /// Remembers a failure, until something new is begun.
    pub(crate) fn fails(&self, error: DistributedError) -> DistributedError {
        self.state.borrow_mut().failure = Some(error.clone());
        error
    }
}

/// A number that each message begins with.
fn first_words(all: &[Vec<u8>]) -> Vec<u64> {
    let word = |bytes: &Vec<u8>| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    all.iter().map(word).collect()
}

fn hash_of(topic: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    topic.hash(&mut hasher);
    hasher.finish()
}
