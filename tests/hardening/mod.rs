//! What a hostile client gets: a clear error, nothing stored, and only its own connection lost. The names of the tests'
//! files are those of what is abused.

mod bodies;
mod claims;
mod connections;
mod floods;
mod guesses;
mod hello;
mod origins;
mod presence;
mod races;
mod replaced;
mod revocation;
mod secrets;
mod sends;
mod shutdown;
mod strings;
mod tcp;
mod web_socket;

use sparrow_protocol::{Carrier, Codec, Format};
use sparrow_testkit::{TestNode, User, Wire};

const JSON_OVER_WEB_SOCKET: Format = Format { carrier: Carrier::WebSocket, codec: Codec::Json };
const PROTOBUF_OVER_WEB_SOCKET: Format = Format { carrier: Carrier::WebSocket, codec: Codec::Protobuf };
const JSON_OVER_TCP: Format = Format { carrier: Carrier::Tcp, codec: Codec::Json };
const PROTOBUF_OVER_TCP: Format = Format { carrier: Carrier::Tcp, codec: Codec::Protobuf };

/// A connection that has said `Hello`.
async fn greeted(node: &TestNode, user: &User, format: Format) -> Wire {
    let mut wire = Wire::open(node, format).await;
    wire.hello(&user.token).await;
    wire
}
