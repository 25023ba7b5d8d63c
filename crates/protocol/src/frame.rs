//! Frames: how a command, a request id and a body travel, over either carrier, in either codec.
//!
//! Inside a program a body is always protobuf. A JSON body is transcoded here, at the edge, once. Reading sockets, and
//! what a command means, are not here.

use std::borrow::Cow;
use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;

use crate::body::{self, Body, Place};
use crate::{Code, Command, json, limits};

/// Bytes of the length in front of a TCP frame.
pub const LENGTH_BYTES: usize = 4;

/// Bytes between the length and the body: command, flags, request id.
pub const HEADER_BYTES: usize = 8;

/// How bodies are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Protobuf: sub-protocol `sparrow.v1.proto`, preface byte 0.
    Protobuf,
    /// JSON: sub-protocol `sparrow.v1.json`, preface byte 1.
    Json,
}

impl Codec {
    /// Every codec.
    pub const ALL: &'static [Self] = &[Self::Protobuf, Self::Json];

    /// The name of the WebSocket sub-protocol.
    pub const fn sub_protocol(self) -> &'static str {
        match self {
            Self::Protobuf => "sparrow.v1.proto",
            Self::Json => "sparrow.v1.json",
        }
    }

    /// The codec that a server takes when a WebSocket client offers these sub-protocols: the first that it knows; JSON
    /// if none is offered; `None` (refuse with 400) if all are unknown.
    pub fn negotiate<'a>(offered: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut offered = offered.into_iter().peekable();
        if offered.peek().is_none() {
            return Some(Self::Json);
        }
        offered.find_map(|name| Self::ALL.iter().copied().find(|codec| codec.sub_protocol() == name))
    }
}

/// What carries the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// One frame per WebSocket message.
    WebSocket,
    /// A byte stream: a preface, then frames with their lengths.
    Tcp,
}

/// What one connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Format {
    /// What carries the frames.
    pub carrier: Carrier,
    /// How bodies are written.
    pub codec: Codec,
}

/// One command with its body.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is; `None` if the number or word is not known to this version.
    pub command: Option<Command>,
    /// The request it makes or answers; 0 for a push.
    pub id: u32,
    /// The body as protobuf, whatever the codec. Empty for an unknown command that came as JSON.
    pub body: Bytes,
}

impl Frame {
    /// The body as its message. Does not check that the command is `M`'s.
    pub fn parse<M: Body>(&self) -> Result<M, FrameError> {
        M::decode(self.body.clone()).map_err(|_| FrameErrorKind::Body.of(self.id))
    }
}

/// Leaves the body out, which may hold a token or somebody's words.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("command", &self.command)
            .field("id", &self.id)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// Why bytes are no frame, or a frame cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct FrameError {
    /// The request concerned; 0 if it has none or its id could not be read.
    pub id: u32,
    /// What is wrong.
    pub kind: FrameErrorKind,
}

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameErrorKind {
    /// It is larger than allowed.
    #[error("the frame is larger than allowed")]
    TooLarge,
    /// It is shorter than its header, so where the next one begins cannot be trusted either.
    #[error("the frame is shorter than its header")]
    Truncated,
    /// It is not acceptable JSON ([`json::check`]), or not `{"cmd": …, "id": …, "body": …}`.
    #[error("the frame must be JSON with the fields cmd, id and body, and no key twice")]
    Malformed,
    /// The body is not of the command's type.
    #[error("the body does not fit the command")]
    Body,
}

impl FrameErrorKind {
    /// The code under which a server reports it.
    pub const fn code(self) -> Code {
        match self {
            Self::TooLarge => Code::TooLarge,
            Self::Truncated | Self::Malformed | Self::Body => Code::InvalidRequest,
        }
    }

    /// True if the connection cannot go on after it.
    pub const fn is_fatal(self) -> bool {
        matches!(self, Self::TooLarge | Self::Truncated)
    }

    const fn of(self, id: u32) -> FrameError {
        FrameError { id, kind: self }
    }
}

/// The first object level of a JSON frame; the body is read afterwards, when the command is known.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    cmd: Cow<'a, str>,
    #[serde(default)]
    id: u32,
}

impl Format {
    /// Every format.
    pub const ALL: &'static [Self] = &[
        Self { carrier: Carrier::WebSocket, codec: Codec::Protobuf },
        Self { carrier: Carrier::WebSocket, codec: Codec::Json },
        Self { carrier: Carrier::Tcp, codec: Codec::Protobuf },
        Self { carrier: Carrier::Tcp, codec: Codec::Json },
    ];

    /// Reads one WebSocket message, or one TCP frame without its length. With protobuf the body is a slice of
    /// `message`, and is not looked at; with JSON it has been found to be of the command's type.
    pub fn decode(self, message: Bytes) -> Result<Frame, FrameError> {
        match self {
            Self { carrier: Carrier::WebSocket, codec: Codec::Json } => decode_envelope(&message),
            Self { codec: Codec::Protobuf, .. } => decode_binary(message),
            Self { carrier: Carrier::Tcp, codec: Codec::Json } => decode_json_body(decode_binary(message)?),
        }
    }

    /// Writes a WebSocket message, or a TCP frame with its length. `body` is protobuf, of the command's type.
    ///
    /// Fails if that is not so (noticed for JSON only) or if the frame would exceed [`limits::SERVER_FRAME_BYTES`].
    pub fn encode(self, command: Command, id: u32, body: &[u8]) -> Result<Bytes, FrameError> {
        match self.codec {
            Codec::Protobuf => {
                let mut frame = start_binary(command, id, body.len())?;
                frame.put_slice(body);
                Ok(self.carrier.of_binary(frame.freeze()))
            }
            Codec::Json => self.encode_json(command, id, body),
        }
    }

    /// Writes a message as a frame. With protobuf it is one allocation.
    pub fn encode_message<M: Body>(self, id: u32, message: &M) -> Result<Bytes, FrameError> {
        match self.codec {
            Codec::Protobuf => Ok(self.carrier.of_binary(encode_shared(id, message)?)),
            Codec::Json => self.encode_json(M::COMMAND, id, &message.encode_to_vec()),
        }
    }

    fn encode_json(self, command: Command, id: u32, body: &[u8]) -> Result<Bytes, FrameError> {
        let mut text = Vec::with_capacity(2 * body.len() + 64);
        match self.carrier {
            Carrier::WebSocket => {
                text.extend_from_slice(br#"{"cmd":""#);
                text.extend_from_slice(command.as_str().as_bytes());
                text.push(b'"');
                if id != 0 {
                    text.extend_from_slice(format!(r#","id":{id}"#).as_bytes());
                }
                text.extend_from_slice(br#","body":"#);
            }
            Carrier::Tcp => put_header(&mut text, command, id, 0),
        }
        body::to_json(command, body, &mut text).map_err(|_| FrameErrorKind::Body.of(id))?;
        match self.carrier {
            Carrier::WebSocket => {
                text.push(b'}');
                check_size(id, text.len())?;
            }
            Carrier::Tcp => {
                let length = check_size(id, text.len() - LENGTH_BYTES)?;
                text[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
            }
        }
        Ok(text.into())
    }
}

impl Carrier {
    /// What this carrier takes of a binary frame that [`encode_shared`] wrote; both share the memory.
    pub fn of_binary(self, tcp_frame: Bytes) -> Bytes {
        match self {
            Self::WebSocket => tcp_frame.slice(LENGTH_BYTES.min(tcp_frame.len())..),
            Self::Tcp => tcp_frame,
        }
    }
}

/// Writes a message as a protobuf frame for both carriers, with one allocation: the result is the TCP frame, and all of
/// it but the length is the WebSocket message ([`Carrier::of_binary`]).
pub fn encode_shared<M: Body>(id: u32, message: &M) -> Result<Bytes, FrameError> {
    let mut frame = start_binary(M::COMMAND, id, message.encoded_len())?;
    message.encode(&mut frame).map_err(|_| FrameErrorKind::TooLarge.of(id))?;
    Ok(frame.freeze())
}

/// The bytes that follow a TCP frame's length, to be called before they are allocated. `limit` is one of
/// [`limits::HELLO_FRAME_BYTES`], [`limits::CLIENT_FRAME_BYTES`], [`limits::SERVER_FRAME_BYTES`].
pub fn frame_length(prefix: [u8; LENGTH_BYTES], limit: usize) -> Result<usize, FrameError> {
    let length = usize::try_from(u32::from_be_bytes(prefix)).map_err(|_| FrameErrorKind::TooLarge.of(0))?;
    if length > limit {
        return Err(FrameErrorKind::TooLarge.of(0));
    }
    if length < HEADER_BYTES {
        return Err(FrameErrorKind::Truncated.of(0));
    }
    Ok(length)
}

fn decode_binary(mut message: Bytes) -> Result<Frame, FrameError> {
    let Some(&[c0, c1, _, _, i0, i1, i2, i3]) = message.first_chunk::<HEADER_BYTES>() else {
        return Err(FrameErrorKind::Truncated.of(0));
    };
    Ok(Frame {
        command: Command::from_number(u16::from_be_bytes([c0, c1])),
        id: u32::from_be_bytes([i0, i1, i2, i3]),
        body: message.split_off(HEADER_BYTES),
    })
}

fn decode_json_body(frame: Frame) -> Result<Frame, FrameError> {
    let Frame { command, id, body: text } = frame;
    let body = match command {
        Some(command) if !text.is_empty() => {
            json::check(&text).map_err(|_| FrameErrorKind::Malformed.of(id))?;
            body::from_json(command, &text, Place::Bare).map_err(|_| FrameErrorKind::Body.of(id))?
        }
        _ => Bytes::new(),
    };
    Ok(Frame { command, id, body })
}

fn decode_envelope(text: &[u8]) -> Result<Frame, FrameError> {
    let Head { cmd, id } = serde_json::from_slice(text).map_err(|_| FrameErrorKind::Malformed.of(0))?;
    json::check(text).map_err(|_| FrameErrorKind::Malformed.of(id))?;
    let command = Command::from_word(&cmd);
    let body = match command {
        Some(command) => body::from_json(command, text, Place::Enveloped).map_err(|_| FrameErrorKind::Body.of(id))?,
        None => Bytes::new(),
    };
    Ok(Frame { command, id, body })
}

/// A buffer with room for the whole frame, that already holds length and header.
fn start_binary(command: Command, id: u32, body_bytes: usize) -> Result<BytesMut, FrameError> {
    let length = check_size(id, HEADER_BYTES.saturating_add(body_bytes))?;
    let mut frame = BytesMut::with_capacity(LENGTH_BYTES + HEADER_BYTES + body_bytes);
    put_header(&mut frame, command, id, length);
    Ok(frame)
}

fn put_header(out: &mut impl BufMut, command: Command, id: u32, length: u32) {
    out.put_u32(length);
    out.put_u16(command.number());
    out.put_u16(0); // flags: none is defined
    out.put_u32(id);
}

fn check_size(id: u32, bytes: usize) -> Result<u32, FrameError> {
    match u32::try_from(bytes) {
        Ok(length) if bytes <= limits::SERVER_FRAME_BYTES => Ok(length),
        _ => Err(FrameErrorKind::TooLarge.of(id)),
    }
}
