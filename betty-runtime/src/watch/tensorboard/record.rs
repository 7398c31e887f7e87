//! Records of an event file: protocol buffers in TFRecord frames.
//!
//! A frame is the length of its bytes (64 bits), the checksum of that, the bytes, and the checksum of those, all little-endian. The
//! bytes are a message `tensorflow.Event`; the numbers of its fields, and of those inside, are those of `event.proto`,
//! `summary.proto` and `tensor.proto`.

use super::crc::masked;

/// A message: fields one after the other.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    fn int(mut self, field: u64, value: u64) -> Self {
        self.key(field, 0);
        self.varint(value);
        self
    }

    fn double(mut self, field: u64, value: f64) -> Self {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn float(mut self, field: u64, value: f32) -> Self {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        self.key(field, 2);
        self.varint(value.as_ref().len() as u64);
        self.0.extend(value.as_ref());
        self
    }

    fn message(self, field: u64, value: Message) -> Self {
        self.bytes(field, value.0)
    }

    fn framed(self) -> Vec<u8> {
        let length = (self.0.len() as u64).to_le_bytes();
        let mut frame = Vec::with_capacity(self.0.len() + 16);
        frame.extend(length);
        frame.extend(masked(&length).to_le_bytes());
        frame.extend(&self.0);
        frame.extend(masked(&self.0).to_le_bytes());
        frame
    }
}

/// The first record of a file.
pub(super) fn version(time: f64) -> Vec<u8> {
    Message::default().double(1, time).bytes(3, "brain.Event:2").framed()
}

/// That a run begins, or goes on, with a step: readers forget what files before say of it and of later ones.
pub(super) fn started(time: f64, step: u64) -> Vec<u8> {
    const START: u64 = 1;
    Message::default().double(1, time).int(2, step).message(7, Message::default().int(1, START)).framed()
}

/// Numbers with their tags.
pub(super) fn scalars<'a>(time: f64, step: u64, numbers: impl Iterator<Item = (&'a str, f64)>) -> Vec<u8> {
    let summary = numbers.fold(Message::default(), |summary, (tag, number)| {
        summary.message(1, Message::default().bytes(1, tag).float(2, number as f32))
    });
    Message::default().double(1, time).int(2, step).message(5, summary).framed()
}

/// A text in Markdown.
pub(super) fn text(time: f64, step: u64, tag: &str, text: &str) -> Vec<u8> {
    const STRING: u64 = 7;
    let shape = Message::default().message(2, Message::default().int(1, 1));
    let tensor = Message::default().int(1, STRING).message(2, shape).bytes(8, text);
    let metadata = Message::default().message(1, Message::default().bytes(1, "text"));
    let value = Message::default().bytes(1, tag).message(8, tensor).message(9, metadata);
    Message::default().double(1, time).int(2, step).message(5, Message::default().message(1, value)).framed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_that_the_format_asks_for() {
        // Fields 1 (double 1.0), 2 (300) and 5 (a summary of `a` = 0.5), written out by hand.
        let event = [
            &[0x09][..],
            &1.0_f64.to_le_bytes(),
            &[0x10, 0xac, 0x02],
            &[0x2a, 0x0a, 0x0a, 0x08, 0x0a, 0x01, b'a', 0x15],
            &0.5_f32.to_le_bytes(),
        ]
        .concat();
        let frame = scalars(1.0, 300, [("a", 0.5)].into_iter());
        assert_eq!(frame[..8], (event.len() as u64).to_le_bytes());
        assert_eq!(frame[12..12 + event.len()], event);
        assert_eq!(frame.len(), event.len() + 16);
    }
}
