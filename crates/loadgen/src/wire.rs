//! Frames of both carriers in plain buffers: what a fleet of thousands of connections writes and reads without a task,
//! a lock or a copy for each frame. The handshake is [`crate::Connection`]'s.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use sparrow_protocol::frame::{LENGTH_BYTES, frame_length};
use sparrow_protocol::{Carrier, Codec, Format, limits};

use crate::ConnectionError;

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const KIND: u8 = 0x0f;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const MASKED: u8 = 0x80;

/// Something that a server sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A frame, as [`Format::decode`] takes it.
    Frame(Bytes),
    /// The WebSocket is closing, with this code.
    Close(Option<u16>),
    /// A control message that asks for nothing.
    Other,
}

/// Appends a frame that [`Format::encode_message`] wrote. The mask of a WebSocket message is zero: it is there for the
/// sake of proxies, of which a load test has none.
pub(crate) fn put(format: Format, frame: &[u8], out: &mut BytesMut) {
    if format.carrier == Carrier::WebSocket {
        out.put_u8(FINAL | if format.codec == Codec::Json { TEXT } else { BINARY });
        match (u8::try_from(frame.len()), u16::try_from(frame.len())) {
            (Ok(length @ 0..=125), _) => out.put_u8(MASKED | length),
            (_, Ok(length)) => {
                out.put_u8(MASKED | 126);
                out.put_u16(length);
            }
            _ => {
                out.put_u8(MASKED | 127);
                out.put_u64(frame.len() as u64);
            }
        }
        out.put_u32(0);
    }
    out.put_slice(frame);
}

/// Takes the next whole frame out of what was read; `None` if it is not whole yet.
pub(crate) fn take(carrier: Carrier, read: &mut BytesMut) -> Result<Option<Incoming>, ConnectionError> {
    match carrier {
        Carrier::WebSocket => take_message(read),
        Carrier::Tcp => take_frame(read),
    }
}

fn take_frame(read: &mut BytesMut) -> Result<Option<Incoming>, ConnectionError> {
    let Some(prefix) = read.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = frame_length(*prefix, limits::SERVER_FRAME_BYTES)?;
    if read.len() < LENGTH_BYTES + length {
        return Ok(None);
    }
    read.advance(LENGTH_BYTES);
    Ok(Some(Incoming::Frame(read.split_to(length).freeze())))
}

/// A message may come in fragments; they are taken when all of them are there.
fn take_message(read: &mut BytesMut) -> Result<Option<Incoming>, ConnectionError> {
    let Some(first) = Part::read(read, 0)? else { return Ok(None) };
    if first.is_final {
        read.advance(first.from);
        let payload = read.split_to(first.to - first.from);
        return Ok(Some(match first.kind {
            TEXT | BINARY => Incoming::Frame(payload.freeze()),
            CLOSE => Incoming::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
            _ => Incoming::Other,
        }));
    }
    let mut message = BytesMut::from(&read[first.from..first.to]);
    let mut end = first.to;
    loop {
        let Some(part) = Part::read(read, end)? else { return Ok(None) };
        end = part.to;
        // A control message may stand between fragments; those that ask for something are read by nobody here.
        if part.kind == CONTINUATION {
            message.put_slice(&read[part.from..part.to]);
        }
        if message.len() > limits::SERVER_FRAME_BYTES {
            return Err(refused("larger than the largest frame"));
        }
        if part.kind == CONTINUATION && part.is_final {
            read.advance(end);
            return Ok(Some(Incoming::Frame(message.freeze())));
        }
    }
}

/// One WebSocket frame, which is a message or a fragment of one.
struct Part {
    kind: u8,
    is_final: bool,
    /// Where its payload begins.
    from: usize,
    /// Where its payload ends.
    to: usize,
}

impl Part {
    /// The frame that begins at `start`; `None` if it is not whole yet.
    fn read(read: &[u8], start: usize) -> Result<Option<Self>, ConnectionError> {
        let Some(&[first, second, ref rest @ ..]) = read.get(start..) else { return Ok(None) };
        let (extra, length) = match second {
            126 => match rest.first_chunk() {
                Some(length) => (2, u64::from(u16::from_be_bytes(*length))),
                None => return Ok(None),
            },
            127 => match rest.first_chunk() {
                Some(length) => (8, u64::from_be_bytes(*length)),
                None => return Ok(None),
            },
            length => (0, u64::from(length)),
        };
        if first & RESERVED != 0 || second & MASKED != 0 {
            return Err(refused("masked or compressed"));
        }
        let length = usize::try_from(length).ok().filter(|length| *length <= limits::SERVER_FRAME_BYTES);
        let length = length.ok_or_else(|| refused("larger than the largest frame"))?;
        let from = start + 2 + extra;
        let part = Self { kind: first & KIND, is_final: first & FINAL != 0, from, to: from + length };
        Ok((part.to <= read.len()).then_some(part))
    }
}

fn refused(what: &str) -> ConnectionError {
    let text = format!("the server sent a WebSocket message that is {what}");
    ConnectionError::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, text))
}

#[cfg(test)]
mod tests {
    use sparrow_protocol::v1;

    use super::*;

    fn from_server(payload: &[u8]) -> BytesMut {
        let mut wire = BytesMut::new();
        wire.put_u8(FINAL | BINARY);
        match payload.len() {
            length @ 0..126 => wire.put_u8(length as u8),
            length @ 126..65_536 => {
                wire.put_u8(126);
                wire.put_u16(length as u16);
            }
            length => {
                wire.put_u8(127);
                wire.put_u64(length as u64);
            }
        }
        wire.put_slice(payload);
        wire
    }

    #[test]
    fn messages_of_every_length_are_taken_whole_and_not_before_they_are() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
            let payload = vec![7; length];
            let whole = from_server(&payload);
            for cut in [1, 2, 3, whole.len() / 2, whole.len() - 1] {
                let mut part = BytesMut::from(&whole[..cut.min(whole.len() - 1)]);
                assert_eq!(take(Carrier::WebSocket, &mut part).unwrap(), None, "{length} cut at {cut}");
            }
            let mut read = whole.clone();
            read.put_slice(b"next");
            assert_eq!(take(Carrier::WebSocket, &mut read).unwrap(), Some(Incoming::Frame(payload.into())));
            assert_eq!(&read[..], b"next");
        }
    }

    #[test]
    fn a_message_in_fragments_is_taken_when_all_of_them_are_there() {
        let wire = [0x02, 2, 1, 2, 0x00, 1, 3, 0x89, 0, 0x80, 2, 4, 5, 0x82, 0];
        for cut in 1..13 {
            assert_eq!(take(Carrier::WebSocket, &mut BytesMut::from(&wire[..cut])).unwrap(), None, "cut at {cut}");
        }
        let mut read = BytesMut::from(&wire[..]);
        let message = Bytes::from_static(&[1, 2, 3, 4, 5]);
        assert_eq!(take(Carrier::WebSocket, &mut read).unwrap(), Some(Incoming::Frame(message)));
        assert_eq!(&read[..], [0x82, 0]);
    }

    #[test]
    fn what_is_too_large_masked_or_compressed_is_refused() {
        for wire in [&[0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0][..], &[0x82, 0x81, 0, 0, 0, 0, 1], &[0xc2, 0]] {
            assert!(take(Carrier::WebSocket, &mut BytesMut::from(wire)).is_err(), "{wire:?}");
        }
    }

    #[test]
    fn a_tcp_frame_is_taken_as_it_was_put() {
        let format = Format { carrier: Carrier::Tcp, codec: Codec::Protobuf };
        let mut wire = BytesMut::new();
        put(format, &format.encode_message(9, &v1::Ping {}).unwrap(), &mut wire);
        let Some(Incoming::Frame(frame)) = take(Carrier::Tcp, &mut wire).unwrap() else { panic!("no frame") };
        assert_eq!(format.decode(frame).unwrap().id, 9);
    }
}
