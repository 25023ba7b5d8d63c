//! Frames of both carriers in plain buffers: what a fleet of thousands of connections writes and reads without a task,
//! a lock or a copy for each frame. The handshake is [`crate::Connection`]'s.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use sparrow_protocol::frame::{LENGTH_BYTES, frame_length};
use sparrow_protocol::{Carrier, Codec, Format, limits};

use crate::ConnectionError;

const FINAL: u8 = 0x80;
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

fn take_message(read: &mut BytesMut) -> Result<Option<Incoming>, ConnectionError> {
    let Some((kind, header, length)) = header(read)? else { return Ok(None) };
    if read.len() < header + length {
        return Ok(None);
    }
    read.advance(header);
    let payload = read.split_to(length);
    Ok(Some(match kind {
        TEXT | BINARY => Incoming::Frame(payload.freeze()),
        CLOSE => Incoming::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
        _ => Incoming::Other,
    }))
}

/// Opcode, bytes of the header and of the payload of the next message.
fn header(read: &[u8]) -> Result<Option<(u8, usize, usize)>, ConnectionError> {
    let &[first, second, ref rest @ ..] = read else { return Ok(None) };
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
    let fits = usize::try_from(length).ok().filter(|length| *length <= limits::SERVER_FRAME_BYTES);
    match fits {
        Some(length) if first & 0xf0 == FINAL && second & MASKED == 0 => Ok(Some((first & 0x0f, 2 + extra, length))),
        _ => Err(ConnectionError::Io(std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            "the server sent a WebSocket message that is masked, in parts, or larger than its largest frame",
        ))),
    }
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
    fn what_is_too_large_masked_or_in_parts_is_refused() {
        for wire in [&[0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0][..], &[0x82, 0x81, 0, 0, 0, 0, 1], &[0x02, 0]] {
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
