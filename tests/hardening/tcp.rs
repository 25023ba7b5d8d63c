//! H11: what is wrong below the commands of TCP.

use sparrow_protocol::{CloseCode, Code, Codec, Command, Format, limits, preface, v1};
use sparrow_testkit::{User, Wire};

use super::{JSON_OVER_TCP, PROTOBUF_OVER_TCP, greeted};
use crate::support::{in_every_format, node};

#[tokio::test]
async fn another_protocol_is_closed_without_an_answer() {
    let node = node().await;
    for opening in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"SPRX\x01\x00\x00\x00", &[0; 8], b"\x16\x03\x01\x02\x00\x01\x00\x01"]
    {
        let mut wire = Wire::bare(node.tcp(), PROTOBUF_OVER_TCP).await;
        wire.bytes(opening).await;
        assert_eq!(wire.exactly::<1>().await, None, "{opening:?} was answered");
    }
}

#[tokio::test]
async fn an_unknown_version_or_codec_is_told_what_the_node_speaks() {
    let node = node().await;
    for opening in [b"SPRW\x02\x00\x00\x00", b"SPRW\x00\x00\x00\x00", b"SPRW\x01\x02\x00\x00", b"SPRW\xff\xff\xff\xff"]
    {
        let mut wire = Wire::bare(node.tcp(), PROTOBUF_OVER_TCP).await;
        wire.bytes(opening).await;
        let theirs = wire.exactly::<{ preface::PREFACE_BYTES }>().await.expect("the node's preface");
        assert!(preface::parse(theirs).is_ok());
        assert_eq!(wire.exactly::<1>().await, None);
    }
}

#[tokio::test]
async fn reserved_bytes_and_flags_are_ignored() {
    let node = node().await;
    let ann = User::register(&node, "ann").await;
    let mut wire = Wire::bare(node.tcp(), JSON_OVER_TCP).await;
    wire.bytes(b"SPRW\x01\x01\xff\xff").await;
    let theirs = wire.exactly::<{ preface::PREFACE_BYTES }>().await.expect("the node's preface");
    assert_eq!(preface::parse(theirs), Ok(Codec::Json));
    wire.hello(&ann.token).await;
    wire.message(&[0, 3, 0xff, 0xff, 0, 0, 0, 9]).await;
    assert!(wire.answer::<v1::Pong>(9).await.is_ok());
}

/// The error and the goodbye that come before a TCP connection is closed.
async fn assert_refused(wire: &mut Wire, code: Code, close: CloseCode) {
    let (frames, _) = wire.closed().await;
    let error = frames.iter().find(|frame| frame.command == Some(Command::Error)).expect("an error");
    assert_eq!(error.parse::<v1::Error>().unwrap().code, code.as_str());
    let goodbye = frames.iter().find(|frame| frame.command == Some(Command::Goodbye)).expect("a goodbye");
    assert_eq!(goodbye.parse::<v1::Goodbye>().unwrap().reason, close.as_str());
}

#[tokio::test]
async fn a_length_over_the_limit_is_refused_before_the_bytes_come() {
    let node = node().await;
    let ann = User::register(&node, "ann").await;
    for format in [PROTOBUF_OVER_TCP, JSON_OVER_TCP] {
        let largest = u32::try_from(limits::CLIENT_FRAME_BYTES).unwrap();
        for length in [largest + 1, u32::MAX, i32::MAX as u32] {
            let mut wire = greeted(&node, &ann, format).await;
            wire.bytes(&length.to_be_bytes()).await;
            assert_refused(&mut wire, Code::TooLarge, CloseCode::TooLarge).await;
        }
        let before_hello = u32::try_from(limits::HELLO_FRAME_BYTES).unwrap() + 1;
        let mut wire = Wire::open(&node, format).await;
        wire.bytes(&before_hello.to_be_bytes()).await;
        assert_refused(&mut wire, Code::TooLarge, CloseCode::TooLarge).await;
    }
}

#[tokio::test]
async fn a_frame_shorter_than_its_header_is_refused() {
    let node = node().await;
    let ann = User::register(&node, "ann").await;
    for length in 0..8_u32 {
        let mut wire = greeted(&node, &ann, PROTOBUF_OVER_TCP).await;
        wire.bytes(&length.to_be_bytes()).await;
        assert_refused(&mut wire, Code::InvalidRequest, CloseCode::ProtocolError).await;
    }
}

in_every_format!(an_unknown_command_keeps_the_connection);

async fn an_unknown_command_keeps_the_connection(format: Format) {
    let node = node().await;
    let ann = User::register(&node, "ann").await;
    let mut wire = greeted(&node, &ann, format).await;
    if format == super::JSON_OVER_WEB_SOCKET {
        wire.message(br#"{"cmd":"fly","id":5,"body":{"far":[1]}}"#).await;
    } else {
        wire.message(&[0xff, 0xff, 0, 0, 0, 0, 0, 5, b'{', b'}']).await;
    }
    assert_eq!(wire.answer::<v1::Ok>(5).await.unwrap_err().code, Code::UnknownCommand.as_str());
    assert!(wire.is_alive().await);
}

in_every_format!(a_command_of_the_server_is_none_of_the_clients);

/// What only a server says is refused or ignored; it is never taken for true.
async fn a_command_of_the_server_is_none_of_the_clients(format: Format) {
    let node = node().await;
    let ann = User::register(&node, "ann").await;
    let mut wire = greeted(&node, &ann, format).await;
    wire.send(5, &v1::Welcome { user_id: 1, ..Default::default() }).await;
    assert!(wire.answer::<v1::Ok>(5).await.is_err());
    wire.send(6, &v1::Push::default()).await;
    assert!(wire.answer::<v1::Ok>(6).await.is_err());
    assert!(wire.is_alive().await);
}

/// A client that leaves in the middle of a frame takes nobody with it.
#[tokio::test]
async fn a_cut_frame_harms_nobody() {
    let node = node().await;
    let ann = User::register(&node, "ann").await;
    let mut other = greeted(&node, &ann.another_device().await, PROTOBUF_OVER_TCP).await;
    let mut wire = greeted(&node, &ann, PROTOBUF_OVER_TCP).await;
    wire.bytes(&[0, 0, 1, 0, 0, 16]).await;
    drop(wire);
    assert!(other.is_alive().await);
}
