//! Frames in every format.

use sparrow_protocol::{Command, Format, v1};

#[test]
fn a_message_survives_every_format() {
    let read = v1::Read { conversation_id: 7, seq: i64::MAX };
    for format in Format::ALL {
        let bytes = format.encode_message(9, &read).unwrap();
        let message = match format.carrier {
            sparrow_protocol::Carrier::WebSocket => bytes,
            sparrow_protocol::Carrier::Tcp => bytes.slice(4..),
        };
        let frame = format.decode(message).unwrap();
        assert_eq!((frame.command, frame.id), (Some(Command::Read), 9));
        assert_eq!(frame.parse::<v1::Read>().unwrap(), read);
    }
}
