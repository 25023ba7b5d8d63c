//! Where one frame ends and the next begins, for the protocols whose links are to fail at a chosen frame. Nothing else of
//! them is known here; a stream that is not what it was said to be is passed on as it comes.

use bytes::{Buf as _, Bytes, BytesMut};
use sparrow_protocol::Command;
use sparrow_protocol::frame::{HEADER_BYTES, LENGTH_BYTES};

use super::Direction;

/// More than any frame may have; a longer one is no frame of this protocol.
const MOST: usize = 64 << 20;
/// Bytes of Sparrow's TCP preface.
const PREFACE: usize = 8;

/// What a link speaks, unencrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Framing {
    /// Bytes.
    #[default]
    Bytes,
    /// Sparrow's TCP protocol. A frame is called by its command: `send`, `push`; the first bytes are `preface`.
    Sparrow,
    /// PostgreSQL's protocol. A message is called by its tag: `Q`, `C`; the first one from the client is `startup`.
    Postgres,
    /// NATS' protocol. A frame is called by its verb, in capitals: `PUB`, `MSG`, `PING`.
    Nats,
}

/// Cuts one direction of one connection into frames.
pub(super) struct Framer {
    framing: Framing,
    started: bool,
    rest: BytesMut,
}

/// One frame, whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) name: String,
    pub(super) bytes: Bytes,
}

impl Framer {
    pub(super) fn new(framing: Framing, direction: Direction) -> Self {
        let started = framing == Framing::Postgres && direction == Direction::Down;
        Self { framing, started, rest: BytesMut::new() }
    }

    /// Adds what was read.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
    }

    /// The next whole frame.
    pub(super) fn next(&mut self) -> Option<Frame> {
        if self.rest.is_empty() {
            return None;
        }
        let (name, length) = match self.framing {
            Framing::Bytes => (String::new(), self.rest.len()),
            Framing::Sparrow => self.sparrow()?,
            Framing::Postgres => self.postgres()?,
            Framing::Nats => nats(&self.rest)?,
        };
        if length > MOST {
            self.framing = Framing::Bytes;
            return self.next();
        }
        if self.rest.len() < length {
            return None;
        }
        self.started = true;
        Some(Frame { name, bytes: self.rest.split_to(length).freeze() })
    }

    /// What is left of a frame that did not come to its end.
    pub(super) fn rest(&mut self) -> Bytes {
        self.rest.split().freeze()
    }

    fn sparrow(&self) -> Option<(String, usize)> {
        if !self.started {
            return Some(("preface".to_owned(), PREFACE));
        }
        let mut head = self.rest.get(..LENGTH_BYTES + HEADER_BYTES)?;
        let length = head.get_u32() as usize;
        let name = Command::from_number(head.get_u16()).map_or("unknown", Command::as_str);
        Some((name.to_owned(), LENGTH_BYTES + length))
    }

    fn postgres(&self) -> Option<(String, usize)> {
        if !self.started {
            return Some(("startup".to_owned(), self.rest.get(..4)?.get_u32() as usize));
        }
        let mut head = self.rest.get(..5)?;
        let name = char::from(head.get_u8()).to_string();
        Some((name, 1 + head.get_u32() as usize))
    }
}

/// A line; those that announce a payload are followed by it and another line end.
fn nats(bytes: &[u8]) -> Option<(String, usize)> {
    const END: &[u8] = b"\r\n";
    let end = bytes.windows(END.len()).position(|two| two == END)? + END.len();
    let line = String::from_utf8_lossy(&bytes[..end - END.len()]);
    let name = line.split([' ', '\t']).next().unwrap_or_default().to_ascii_uppercase();
    let payload: Option<usize> = match name.as_str() {
        // The last word is the size, of headers and payload together where there are headers.
        "PUB" | "HPUB" | "MSG" | "HMSG" => line.split_whitespace().next_back().and_then(|size| size.parse().ok()),
        _ => None,
    };
    Some((name, payload.map_or(end, |payload| end + payload + END.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fed byte by byte, so that no frame is ever whole by chance.
    fn names(framing: Framing, direction: Direction, bytes: &[u8]) -> Vec<(String, usize)> {
        let mut framer = Framer::new(framing, direction);
        let mut frames = Vec::new();
        for byte in bytes {
            framer.feed(&[*byte]);
            while let Some(frame) = framer.next() {
                frames.push((frame.name, frame.bytes.len()));
            }
        }
        assert!(framer.rest.is_empty(), "everything is part of some frame");
        frames
    }

    fn named<const N: usize>(frames: [(&str, usize); N]) -> Vec<(String, usize)> {
        frames.map(|(name, length)| (name.to_owned(), length)).into()
    }

    #[test]
    fn each_protocol_is_cut_into_its_frames() {
        let mut sparrow = b"SPRW\x01\0\0\0".to_vec();
        for (command, body) in [(Command::Send.number(), b"".as_slice()), (u16::MAX, b"xx")] {
            sparrow.extend((HEADER_BYTES as u32 + body.len() as u32).to_be_bytes());
            sparrow.extend(command.to_be_bytes());
            sparrow.extend([0, 0, 0, 0, 0, 1]);
            sparrow.extend(body);
        }
        let frames = names(Framing::Sparrow, Direction::Up, &sparrow);
        assert_eq!(frames, named([("preface", 8), ("send", 12), ("unknown", 14)]));

        let up = b"\0\0\0\x09\0\x03\0\0\0Q\0\0\0\x0bCOMMIT\0X\0\0\0\x04";
        assert_eq!(names(Framing::Postgres, Direction::Up, up), named([("startup", 9), ("Q", 12), ("X", 5)]));
        let down = b"C\0\0\0\x0bCOMMIT\0Z\0\0\0\x05I";
        assert_eq!(names(Framing::Postgres, Direction::Down, down), named([("C", 12), ("Z", 6)]));

        let nats = b"PING\r\npub a.b 4\r\n\r\nxx\r\nHMSG a 1 9 11\r\nNATS/1.0\r\nx\r\n+OK\r\n";
        let frames = names(Framing::Nats, Direction::Up, nats);
        assert_eq!(frames, named([("PING", 6), ("PUB", 17), ("HMSG", 28), ("+OK", 5)]));
    }

    #[test]
    fn what_is_no_frame_passes_as_it_comes() {
        let mut framer = Framer::new(Framing::Postgres, Direction::Down);
        framer.feed(b"\xff\xff\xff\xff\xffabc");
        assert_eq!(framer.next().map(|frame| frame.bytes.len()), Some(8));
    }
}
