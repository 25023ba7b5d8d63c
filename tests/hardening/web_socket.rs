//! H10: breaches of RFC 6455. Each is closed with its code, and nobody else notices.

use sparrow_protocol::{CloseCode, Code, Command, limits, v1};
use sparrow_testkit::{User, web_socket_frame};

use super::{JSON_OVER_WEB_SOCKET, PROTOBUF_OVER_WEB_SOCKET, greeted};
use crate::support::node;

const PROTOCOL_ERROR: u16 = 1002;
const UNSUPPORTED: u16 = 1003;
const NOT_UTF8: u16 = 1007;

/// A header with a mask, and nothing behind it.
fn claim(first: u8, length: u64) -> Vec<u8> {
    [&[first, 0x80 | 127][..], &length.to_be_bytes(), &[0; 4]].concat()
}

#[tokio::test]
async fn breaches_are_closed_with_their_code() {
    let node = node().await;
    let ann = User::register(&node, "ann").await;
    let unmasked = vec![0x81, 2, b'{', b'}'];
    let fragmented_ping = web_socket_frame(0x09, b"hi");
    let long_ping = web_socket_frame(0x89, &[0; 126]);
    let continuation_of_nothing = web_socket_frame(0x80, b"{}");
    let text_inside_text = [web_socket_frame(0x01, b"{"), web_socket_frame(0x81, b"}")].concat();
    let breaches = [
        ("unmasked", unmasked, PROTOCOL_ERROR),
        ("reserved bit 1", web_socket_frame(0xc1, b"{}"), PROTOCOL_ERROR),
        ("reserved bit 3", web_socket_frame(0x91, b"{}"), PROTOCOL_ERROR),
        ("reserved data opcode", web_socket_frame(0x83, b"{}"), PROTOCOL_ERROR),
        ("reserved control opcode", web_socket_frame(0x8b, b""), PROTOCOL_ERROR),
        ("fragmented control frame", fragmented_ping, PROTOCOL_ERROR),
        ("control frame of 126 bytes", long_ping, PROTOCOL_ERROR),
        ("continuation of nothing", continuation_of_nothing, PROTOCOL_ERROR),
        ("text inside a text", text_inside_text, PROTOCOL_ERROR),
        ("text that is not UTF-8", web_socket_frame(0x81, b"{\"cmd\":\"\xff\"}"), NOT_UTF8),
    ];
    let mut bystander = greeted(&node, &ann.another_device().await, JSON_OVER_WEB_SOCKET).await;
    for (name, bytes, code) in breaches {
        let mut wire = greeted(&node, &ann, JSON_OVER_WEB_SOCKET).await;
        wire.bytes(&bytes).await;
        assert_eq!(wire.closed().await.1, Some(code), "{name}");
        assert!(bystander.is_alive().await, "{name}");
    }
}

/// Over the limit by a claim alone, or by fragments that never end: closed as too large, by this protocol or by RFC 6455.
#[tokio::test]
async fn a_message_over_the_limit_is_closed() {
    let node = node().await;
    let ann = User::register(&node, "ann").await;
    let too_large = [Some(1009), Some(CloseCode::TooLarge.number())];
    for length in [limits::CLIENT_FRAME_BYTES as u64 + 1, u64::from(u32::MAX), (1 << 63) - 1] {
        let mut wire = greeted(&node, &ann, PROTOBUF_OVER_WEB_SOCKET).await;
        wire.bytes(&claim(0x82, length)).await;
        let (_, code) = wire.closed().await;
        assert!(too_large.contains(&code), "a claim of {length}: {code:?}");
    }
    let mut wire = greeted(&node, &ann, PROTOBUF_OVER_WEB_SOCKET).await;
    wire.bytes(&web_socket_frame(0x02, &[0; 64 * 1024])).await;
    for _ in 0..8 {
        wire.bytes(&web_socket_frame(0x00, &[0; 64 * 1024])).await;
    }
    let (_, code) = wire.closed().await;
    assert!(too_large.contains(&code), "endless fragments: {code:?}");
}

#[tokio::test]
async fn a_length_with_its_top_bit_set_is_closed() {
    let node = node().await;
    let ann = User::register(&node, "ann").await;
    let mut wire = greeted(&node, &ann, PROTOBUF_OVER_WEB_SOCKET).await;
    wire.bytes(&claim(0x82, u64::MAX)).await;
    assert!(wire.closed().await.1.is_some());
}

#[tokio::test]
async fn fragments_and_pings_between_them_are_read() {
    let node = node().await;
    let ann = User::register(&node, "ann").await;
    let mut wire = greeted(&node, &ann, JSON_OVER_WEB_SOCKET).await;
    wire.bytes(&web_socket_frame(0x01, br#"{"cmd":"pi"#)).await;
    wire.bytes(&web_socket_frame(0x89, b"are you there?")).await;
    wire.bytes(&web_socket_frame(0x00, b"")).await;
    wire.bytes(&web_socket_frame(0x80, br#"ng","id":7}"#)).await;
    assert!(wire.answer::<v1::Pong>(7).await.is_ok());
}

/// A text where binary was agreed on, and the other way round.
#[tokio::test]
async fn a_message_of_the_other_sort_is_closed() {
    let node = node().await;
    let ann = User::register(&node, "ann").await;
    let cases = [
        (PROTOBUF_OVER_WEB_SOCKET, web_socket_frame(0x81, br#"{"cmd":"sync","id":7}"#)),
        (JSON_OVER_WEB_SOCKET, web_socket_frame(0x82, &[0, 48, 0, 0, 0, 0, 0, 7])),
    ];
    for (format, bytes) in cases {
        let mut wire = greeted(&node, &ann, format).await;
        wire.bytes(&bytes).await;
        let (frames, code) = wire.closed().await;
        assert!(frames.iter().all(|frame| frame.command != Some(Command::SyncPage)), "{format:?}");
        assert_eq!(code, Some(UNSUPPORTED), "{format:?}");
    }
}

#[tokio::test]
async fn an_empty_message_is_an_error() {
    let node = node().await;
    let ann = User::register(&node, "ann").await;
    let mut wire = greeted(&node, &ann, JSON_OVER_WEB_SOCKET).await;
    wire.message(b"").await;
    assert_eq!(wire.answer::<v1::Ok>(0).await.unwrap_err().code, Code::InvalidRequest.as_str());
}
