//! Work that is one item ahead, on a thread of its own.

use std::any::Any;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use crate::error::DataError;

/// What the thread makes. Its type is erased, so that channels are compiled here, once.
type Item = Result<Box<dyn Any + Send>, DataError>;

/// Takes what the thread makes, and answers whether somebody still wants it.
type Take<'a> = &'a mut dyn FnMut(Item) -> bool;

/// Items in the order in which a thread makes them.
pub(super) struct Ahead {
    items: Receiver<Item>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Has a thread make items until there are no more, or nobody takes them.
    pub(super) fn start(make: impl FnOnce(Take<'_>) + Send + 'static) -> Self {
        Self::spawn(Box::new(make))
    }

    fn spawn(make: Box<dyn FnOnce(Take<'_>) + Send>) -> Self {
        let (send, items) = sync_channel(1);
        let thread = std::thread::spawn(move || make(&mut |item| send.send(item).is_ok()));
        Ahead { items, thread: Some(thread) }
    }
}

impl Iterator for Ahead {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if let Ok(item) = self.items.recv() {
            return Some(item);
        }
        // The channel closes at the end, and when the thread panics.
        let thread = self.thread.take()?;
        thread.join().err().map(|_| Err("the data loader panicked; its message stands above".into()))
    }
}
