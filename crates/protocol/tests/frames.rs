//! Writing a frame once for both carriers, and agreeing on a codec.

use sparrow_protocol::frame::{LENGTH_BYTES, encode_shared};
use sparrow_protocol::{Carrier, Codec, Command, Format, v1};

#[test]
fn a_message_is_written_like_its_protobuf_body() {
    let read = v1::Read { conversation_id: 7, seq: i64::MAX };
    for format in Format::ALL {
        let bytes = format.encode_message(9, &read).unwrap();
        assert_eq!(bytes, format.encode(Command::Read, 9, &prost::Message::encode_to_vec(&read)).unwrap());
        let message = if format.carrier == Carrier::Tcp { bytes.slice(LENGTH_BYTES..) } else { bytes };
        assert_eq!(format.decode(message).unwrap().parse::<v1::Read>().unwrap(), read);
    }
}

#[test]
fn one_encoding_serves_both_carriers_from_the_same_memory() {
    let message = v1::Receipt { conversation_id: 1, user_id: 2, delivered: 3, read: 4 };
    let shared = encode_shared(0, &message).unwrap();
    for carrier in [Carrier::WebSocket, Carrier::Tcp] {
        let alone = Format { carrier, codec: Codec::Protobuf }.encode_message(0, &message).unwrap();
        let part = carrier.of_binary(shared.clone());
        assert_eq!(part, alone);
        assert!(shared.as_ptr_range().contains(&part.as_ptr()));
    }
}

#[test]
fn a_decoded_protobuf_body_is_not_copied() {
    let format = Format { carrier: Carrier::WebSocket, codec: Codec::Protobuf };
    let bytes = format.encode_message(1, &v1::Read { conversation_id: 1, seq: 2 }).unwrap();
    assert!(bytes.as_ptr_range().contains(&format.decode(bytes.clone()).unwrap().body.as_ptr()));
}

#[test]
fn the_first_sub_protocol_that_is_known_is_taken() {
    let (json, protobuf) = (Codec::Json.sub_protocol(), Codec::Protobuf.sub_protocol());
    assert_eq!(Codec::negotiate([]), Some(Codec::Json));
    assert_eq!(Codec::negotiate(["chat", protobuf, json]), Some(Codec::Protobuf));
    assert_eq!(Codec::negotiate([json, protobuf]), Some(Codec::Json));
    assert_eq!(Codec::negotiate(["chat", "sparrow.v2.json"]), None);
}
