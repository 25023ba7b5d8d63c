//! H12: bodies that lie, go too deep or say a thing twice. Each is refused as `invalid_request`, and the connection
//! goes on. (Over HTTP: the tests of the server's `api`.)

use sparrow_protocol::{Code, Codec, Command, Format, v1};
use sparrow_testkit::{Received, User, Wire};

use super::{JSON_OVER_TCP, JSON_OVER_WEB_SOCKET, PROTOBUF_OVER_TCP, PROTOBUF_OVER_WEB_SOCKET, greeted};
use crate::support::{history, in_every_format, node};

/// Contents of a message in JSON, each of which breaks a rule.
fn bad_json() -> Vec<(&'static str, String)> {
    let many_keys: String = (0..50_000).map(|number| format!(r#""{number:x}":0,"#)).collect();
    vec![
        ("depth", format!(r#"{{"text":"x","unknown":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000))),
        (
            "depth of objects",
            format!(r#"{{"text":"x","unknown":{}1{}}}"#, r#"{"a":"#.repeat(10_000), "}".repeat(10_000)),
        ),
        ("depth, never closed", format!(r#"{{"text":"x","unknown":{}"#, "[".repeat(100_000))),
        ("50,000 keys, one twice", format!(r#"{{"text":"x",{many_keys}"0":1}}"#)),
        ("duplicate key", r#"{"text":"x","text":"y"}"#.to_owned()),
        ("duplicate key, escaped", r#"{"text":"x","te\u0078t":"y"}"#.to_owned()),
        ("2^64", r#"{"text":"x","refs":[{"kind":"reply","seq":"18446744073709551616"}]}"#.to_owned()),
        ("2^64 as a number", r#"{"text":"x","refs":[{"kind":"reply","seq":18446744073709551616}]}"#.to_owned()),
        ("2^32", r#"{"text":"x","mentions":[{"all":true,"offset":4294967296}]}"#.to_owned()),
        ("lone surrogate", r#"{"text":"\ud800"}"#.to_owned()),
        ("lone surrogate in an unknown field", r#"{"text":"x","unknown":"\udfff"}"#.to_owned()),
        ("another type", r#"{"text":["x"]}"#.to_owned()),
        ("not an object", r#""x""#.to_owned()),
        ("data that is no JSON", r#"{"text":"x","data":"{"}"#.to_owned()),
        ("data too deep", format!(r#"{{"text":"x","data":"{}{}"}}"#, "[".repeat(10_000), "]".repeat(10_000))),
    ]
}

/// Bodies of `Send` in protobuf, each of which breaks a rule.
fn bad_protobuf() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("varint of 11 bytes", [&[0x08][..], &[0x80; 10], &[0x01]].concat()),
        ("length of 2^63", [&[0x1a][..], &[0x80; 9], &[0x01]].concat()),
        ("length beyond the frame", vec![0x1a, 0x7f, 0x12]),
        ("text that is not UTF-8", vec![0x12, 0x01, 0xff]),
        ("groups, 10,000 deep", vec![0x7b; 10_000]),
        ("field number 0", vec![0x00, 0x00]),
        ("trailing byte", vec![0x08, 0x01, 0xff]),
    ]
}

async fn assert_refused(wire: &mut Wire, name: &str, body: &[u8]) {
    wire.command(Command::Send, 7, body).await;
    // Where the text is broken its id cannot be read, and the answer has none.
    let error = loop {
        match wire.receive().await {
            Received::Frame(frame) if frame.command == Some(Command::Error) => {
                break frame.parse::<v1::Error>().unwrap();
            }
            Received::Frame(_) => {}
            Received::Closed(code) => panic!("{name}: closed ({code:?})"),
        }
    };
    assert_eq!(error.code, Code::InvalidRequest.as_str(), "{name}");
    assert!(wire.is_alive().await, "{name}");
}

in_every_format!(bad_bodies_are_refused_and_nothing_is_stored);

async fn bad_bodies_are_refused_and_nothing_is_stored(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut reader = ann.connect(&node, format).await;
    let before = history(&mut reader, conversation).await;
    let mut wire = greeted(&node, &ann.another_device().await, format).await;
    match format.codec {
        Codec::Protobuf => {
            for (name, body) in bad_protobuf() {
                assert_refused(&mut wire, name, &body).await;
            }
        }
        Codec::Json => {
            for (name, content) in bad_json() {
                let id = uuid::Uuid::now_v7();
                let body = format!(r#"{{"conversationId":"{conversation}","clientMsgId":"{id}","content":{content}}}"#);
                assert_refused(&mut wire, name, body.as_bytes()).await;
            }
        }
    }
    assert_eq!(history(&mut reader, conversation).await, before);
}

/// What a client may not do by one codec it may not do by another: the same text, depth and all, as protobuf.
#[tokio::test]
async fn content_rules_hold_for_protobuf_too() {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    for format in [PROTOBUF_OVER_WEB_SOCKET, PROTOBUF_OVER_TCP, JSON_OVER_WEB_SOCKET, JSON_OVER_TCP] {
        let mut wire = greeted(&node, &ann.another_device().await, format).await;
        for data in ["{", "{\"a\":1,\"a\":2}", &deep] {
            let mut send = crate::support::text(conversation, "x");
            send.content = Some(v1::Content { text: "x".to_owned(), data: data.to_owned(), ..Default::default() });
            wire.send(7, &send).await;
            let error = wire.answer::<v1::SendAck>(7).await.unwrap_err();
            assert_eq!(error.code, Code::InvalidRequest.as_str());
        }
    }
}
