//! A push that many sessions get: written at most once per codec and shared as `Bytes`.

use bytes::Bytes;
use sparrow_protocol::{Body, Carrier, Codec, Format, frame};

/// A message for many sessions. The binary frame is written once for both carriers, JSON once per carrier.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The frame with its length, as TCP carries it.
    binary: Bytes,
    json: [Option<Bytes>; 2],
}

impl Shared {
    /// Writes the message. `None` if it is larger than a frame may be, which is logged.
    pub(crate) fn new<M: Body>(message: &M) -> Option<Self> {
        match frame::encode_shared(0, message) {
            Ok(binary) => Some(Self { binary, json: [None, None] }),
            Err(error) => {
                tracing::error!(%error, command = M::COMMAND.as_str(), "a push could not be written");
                None
            }
        }
    }

    /// The frame in one session's format; `None` if it cannot be written in it.
    pub(crate) fn frame(&mut self, format: Format) -> Option<Bytes> {
        if format.codec == Codec::Protobuf {
            return Some(format.carrier.of_binary(self.binary.clone()));
        }
        let place = match format.carrier {
            Carrier::WebSocket => &mut self.json[0],
            Carrier::Tcp => &mut self.json[1],
        };
        if place.is_none() {
            *place = to_json(format, &self.binary);
        }
        place.clone()
    }
}

fn to_json(format: Format, binary: &Bytes) -> Option<Bytes> {
    let web = Format { carrier: Carrier::WebSocket, codec: Codec::Protobuf };
    let decoded = web.decode(Carrier::WebSocket.of_binary(binary.clone()));
    decoded
        .and_then(|frame| match frame.command {
            Some(command) => format.encode(command, 0, &frame.body),
            None => Ok(Bytes::new()),
        })
        .inspect_err(|error| tracing::error!(%error, "a push could not be written as JSON"))
        .ok()
}
