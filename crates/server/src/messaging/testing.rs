//! Short ways to make the values that this feature's unit tests need.

use sparrow_protocol::{Carrier, Codec, ConversationId, DeviceId, Format, Seq, UserId};

use sparrow_store::directory::Visibility;

use super::outbound::Bounds;
use super::sessions::NewSession;
use crate::metrics::Errors;

pub(crate) fn user(number: i64) -> UserId {
    UserId::new(number).unwrap()
}

pub(crate) fn device(number: i64) -> DeviceId {
    DeviceId::new(number).unwrap()
}

pub(crate) fn conversation(number: i64) -> ConversationId {
    ConversationId::new(number).unwrap()
}

pub(crate) fn seq(number: i64) -> Seq {
    Seq::new(number).unwrap()
}

pub(crate) fn new_session(user_id: i64, device_id: i64) -> NewSession {
    NewSession {
        user: user(user_id),
        device: device(device_id),
        generation: 1,
        format: Format { carrier: Carrier::WebSocket, codec: Codec::Protobuf },
        pushes: true,
        visibility: Visibility::All,
        errors: Errors::default(),
        bounds: Bounds { frames: 256, bytes: 1024 * 1024 },
    }
}
