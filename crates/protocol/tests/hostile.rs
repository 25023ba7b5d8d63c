//! Bytes from somebody who does not mean well: lengths that lie, depth, duplicates, mutations. Never a panic.

mod samples;

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use sparrow_protocol::content::{self, CheckedContent, ContentError};
use sparrow_protocol::frame::{LENGTH_BYTES, frame_length};
use sparrow_protocol::{
    Carrier, Codec, Command, Format, Frame, FrameError, FrameErrorKind, json, limits, preface, raw, v1,
};

const WS_JSON: Format = Format { carrier: Carrier::WebSocket, codec: Codec::Json };
const WS_PROTOBUF: Format = Format { carrier: Carrier::WebSocket, codec: Codec::Protobuf };
const TCP_JSON: Format = Format { carrier: Carrier::Tcp, codec: Codec::Json };

fn decode_text(text: impl Into<String>) -> Result<Frame, FrameError> {
    WS_JSON.decode(Bytes::from(text.into()))
}

fn header(command: u16, id: u32) -> Vec<u8> {
    [&command.to_be_bytes()[..], &[0, 0], &id.to_be_bytes()].concat()
}

fn checked(bytes: Bytes) -> Result<CheckedContent, ContentError> {
    CheckedContent::parse(bytes, limits::CONTENT_BYTES)
}

#[test]
fn a_claimed_length_is_checked_before_anything_is_allocated() {
    let limit = limits::HELLO_FRAME_BYTES;
    let claim = |length: u32| frame_length(length.to_be_bytes(), limit).map_err(|error| error.kind);
    assert_eq!(claim(8), Ok(8));
    assert_eq!(claim(4_096), Ok(4_096));
    assert_eq!(claim(4_097), Err(FrameErrorKind::TooLarge));
    assert_eq!(claim(u32::MAX), Err(FrameErrorKind::TooLarge));
    assert_eq!(claim(7), Err(FrameErrorKind::Truncated));
    assert_eq!(claim(0), Err(FrameErrorKind::Truncated));
}

#[test]
fn a_frame_too_large_for_the_other_side_is_not_written() {
    let push = |bytes| v1::Push {
        conversation_id: 1,
        entries: vec![v1::Entry { kind: "m".repeat(bytes), ..Default::default() }],
    };
    for format in Format::ALL {
        assert!(format.encode_message(0, &push(limits::SERVER_FRAME_BYTES - 100)).is_ok());
        let error = format.encode_message(0, &push(limits::SERVER_FRAME_BYTES)).unwrap_err();
        assert_eq!(error.kind, FrameErrorKind::TooLarge);
    }
}

#[test]
fn the_largest_pull_page_fits_into_a_json_frame() {
    let text = "\u{1}".repeat(limits::PULL_BYTES_JSON / limits::PULL_ENTRIES - 12);
    let content = v1::Content { text, ..Default::default() };
    let entry = v1::Entry {
        conversation_id: i64::MAX,
        seq: i64::MAX,
        kind: "message".into(),
        sender_id: i64::MAX,
        time: i64::MAX,
        client_msg_id: "0192f0c1-2a3b-7c4d-8e5f-60718293a4b5".into(),
        content: Some(content),
        ..Default::default()
    };
    let page = v1::PullPage { entries: vec![entry; limits::PULL_ENTRIES], ..Default::default() };
    assert!(WS_JSON.encode_message(1, &page).is_ok());
}

#[test]
fn an_unknown_command_keeps_its_id() {
    let read = |frame: Frame| (frame.command, frame.id);
    assert_eq!(read(decode_text(r#"{"cmd":"fly","id":7,"body":{"to":["far"]}}"#).unwrap()), (None, 7));
    for format in [WS_PROTOBUF, TCP_JSON] {
        assert_eq!(read(format.decode(header(9_999, 7).into()).unwrap()), (None, 7));
    }
}

#[test]
fn a_header_that_is_cut_is_refused() {
    for length in 0..8 {
        let cut = Bytes::from(header(16, 7)[..length].to_vec());
        assert_eq!(WS_PROTOBUF.decode(cut.clone()).unwrap_err().kind, FrameErrorKind::Truncated);
        assert_eq!(TCP_JSON.decode(cut).unwrap_err().kind, FrameErrorKind::Truncated);
    }
}

#[test]
fn a_body_may_be_absent_and_unknown_fields_are_ignored() {
    let empty = decode_text(r#"{"cmd":"send"}"#).unwrap();
    assert_eq!((empty.id, empty.body.len()), (0, 0));
    let read = decode_text(r#"{"to":1,"body":{"seq":"5","x":{"y":[null]}},"id":3,"cmd":"read"}"#).unwrap();
    assert_eq!((read.command, read.id), (Some(Command::Read), 3));
    assert_eq!(read.parse::<v1::Read>().unwrap(), v1::Read { conversation_id: 0, seq: 5 });
}

/// Each is refused, and the id is told where it could be read.
#[test]
fn json_that_breaks_a_rule_is_refused() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let many_keys: String = (0..100_000).map(|n| format!(r#""k{}":0,"#, n % 99_999)).collect();
    let bodies = [
        ("2^64", r#"{"seq":"18446744073709551616"}"#.to_owned()),
        ("2^64 as a number", r#"{"seq":18446744073709551616}"#.to_owned()),
        ("2^63", r#"{"seq":9223372036854775808}"#.to_owned()),
        ("a fraction", r#"{"seq":1.5}"#.to_owned()),
        ("lone surrogate", r#"{"x":"\ud800"}"#.to_owned()),
        ("duplicate key", r#"{"seq":"1","seq":"2"}"#.to_owned()),
        ("duplicate key in two spellings", r#"{"conversationId":"1","conversation_id":"2"}"#.to_owned()),
        ("duplicate key, escaped", r#"{"x":1,"\u0078":2}"#.to_owned()),
        ("duplicate key inside an unknown field", r#"{"x":{"y":1,"y":2}}"#.to_owned()),
        ("depth", format!(r#"{{"x":{}}}"#, deep(10_000))),
        ("depth, never closed", format!(r#"{{"x":{}"#, "[".repeat(100_000))),
        ("100,000 keys, two alike", format!("{{{}\"last\":0}}", many_keys)),
        ("not an object", "[]".to_owned()),
        ("cut", r#"{"seq":"1"#.to_owned()),
    ];
    for (name, body) in bodies {
        let error = decode_text(format!(r#"{{"cmd":"read","id":7,"body":{body}}}"#)).expect_err(name);
        assert!(matches!(error.kind, FrameErrorKind::Malformed | FrameErrorKind::Body), "{name}");
        let frame = [header(Command::Read.number(), 7), body.into_bytes()].concat();
        assert_eq!(TCP_JSON.decode(frame.into()).expect_err(name).id, 7, "{name}");
    }
    let with_id = decode_text(r#"{"cmd":"read","id":7,"body":{"seq":[]}}"#).unwrap_err();
    assert_eq!(with_id, FrameError { id: 7, kind: FrameErrorKind::Body });
}

#[test]
fn an_envelope_that_breaks_a_rule_is_refused() {
    let envelopes = [
        "",
        "{}",
        "[]",
        "null",
        "\u{0}",
        r#"{"id":1}"#,
        r#"{"cmd":7}"#,
        r#"{"cmd":"ping","cmd":"ping"}"#,
        r#"{"cmd":"ping","id":4294967296}"#,
        r#"{"cmd":"ping","id":-1}"#,
        r#"{"cmd":"ping"} x"#,
        r#"{"cmd":"ping"}{}"#,
    ];
    for text in envelopes {
        assert_eq!(decode_text(text).unwrap_err().kind, FrameErrorKind::Malformed, "{text}");
    }
    let not_utf8 = Bytes::from_static(b"{\"cmd\":\"ping\",\"x\":\"\xff\"}");
    assert_eq!(WS_JSON.decode(not_utf8).unwrap_err().kind, FrameErrorKind::Malformed);
}

#[test]
fn hundred_thousand_keys_take_no_time() {
    let keys: String = (0..100_000).map(|n| format!(r#""k{n}":0,"#)).collect();
    let start = Instant::now();
    assert!(decode_text(format!(r#"{{"cmd":"ping","body":{{{keys}"last":0}}}}"#)).is_ok());
    assert!(start.elapsed() < Duration::from_secs(5), "quadratic");
}

#[test]
fn protobuf_that_lies_is_refused() {
    let content_of_length = |claim: &[u8]| [&[0x1a][..], claim, &[0x12]].concat();
    let bodies = [
        ("a length of 2^32", content_of_length(&[0x80, 0x80, 0x80, 0x80, 0x10])),
        ("a length of 2^63", content_of_length(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01])),
        ("a varint of 11 bytes", [&[0x08][..], &[0x80; 10], &[0x01]].concat()),
        ("a varint over 2^64", [&[0x08][..], &[0xff; 9], &[0x7f]].concat()),
        ("a string that is not UTF-8", vec![0x12, 0x01, 0xff]),
        ("field number 0", vec![0x00, 0x00]),
        ("groups, 10,000 deep", vec![0x7b; 10_000]),
        ("trailing byte", vec![0x08, 0x01, 0xff]),
    ];
    for (name, body) in bodies {
        let frame = Frame { command: Some(Command::Send), id: 5, body: body.clone().into() };
        assert_eq!(frame.parse::<v1::Send>().expect_err(name), FrameError { id: 5, kind: FrameErrorKind::Body });
        assert_eq!(WS_JSON.encode(Command::Send, 5, &body).expect_err(name).kind, FrameErrorKind::Body);
    }
}

#[test]
fn content_that_breaks_a_rule_is_refused() {
    use prost::Message;
    let text = || v1::Content { text: "hello".into(), ..Default::default() };
    let mention = |user_id, all, offset, length| v1::Mention { user_id, all, offset, length };
    let mentions = |mentions| v1::Content { mentions, ..text() };
    let reference = |kind: &str, seq| v1::Reference { kind: kind.into(), conversation_id: 0, seq };
    let refs = |refs| v1::Content { refs, ..text() };
    let file = |file_id| v1::FileRef { file_id, ..Default::default() };
    let cases = [
        (v1::Content::default(), ContentError::Empty),
        (v1::Content { r#type: "Text".into(), ..text() }, ContentError::TypeName),
        (v1::Content { r#type: "x".repeat(65), ..text() }, ContentError::TypeName),
        (v1::Content { r#type: "a b".into(), ..text() }, ContentError::TypeName),
        (v1::Content { text: "x".repeat(limits::CONTENT_BYTES), ..text() }, ContentError::TooLarge),
        (mentions(vec![mention(0, false, 0, 1)]), ContentError::Mentions),
        (mentions(vec![mention(-1, false, 0, 1)]), ContentError::Mentions),
        (mentions(vec![mention(1, true, 0, 1)]), ContentError::Mentions),
        (mentions(vec![mention(1, false, 3, 3)]), ContentError::Mentions),
        (mentions(vec![mention(1, false, u32::MAX, u32::MAX)]), ContentError::Mentions),
        (mentions(vec![mention(1, false, 0, 1); 101]), ContentError::Mentions),
        (refs(vec![reference("", 1)]), ContentError::Refs),
        (refs(vec![reference("reply", 0)]), ContentError::Refs),
        (refs(vec![reference("reply", 1); 101]), ContentError::Refs),
        (v1::Content { files: vec![file(0)], ..text() }, ContentError::Files),
        (v1::Content { files: vec![file(1); 21], ..text() }, ContentError::Files),
        (v1::Content { data: "{".into(), ..text() }, ContentError::Data),
        (v1::Content { data: "[".repeat(10_000), ..text() }, ContentError::Data),
    ];
    for (content, expected) in cases {
        assert_eq!(checked(content.encode_to_vec().into()).unwrap_err(), expected);
    }
    assert_eq!(checked(Bytes::from_static(b"\xff")).unwrap_err(), ContentError::Undecodable);
}

#[test]
fn content_is_kept_as_it_was_sent() {
    use prost::Message;
    let mention = |user_id, all| v1::Mention { user_id, all, offset: 0, length: 2 };
    let content = v1::Content {
        text: "你好".into(),
        mentions: vec![mention(9, false), mention(3, false), mention(0, true), mention(9, false)],
        files: vec![v1::FileRef { file_id: 4, ..Default::default() }],
        ..Default::default()
    };
    // An unknown field, and an order of fields that no encoder of ours would choose.
    let sent = Bytes::from([&[0xf8, 0x01, 0x2a][..], &content.encode_to_vec()].concat());
    let checked = checked(sent.clone()).unwrap();
    assert_eq!(checked.bytes(), &sent);
    assert_eq!(checked.mentions().iter().map(|user| user.get()).collect::<Vec<_>>(), [3, 9]);
    assert!(checked.mentions_all());
    assert_eq!(checked.files(), [4]);
}

#[test]
fn signals_are_small_and_named() {
    let signal = |kind: &str, data: String| raw::Signal { r#type: kind.into(), data, ..Default::default() };
    assert_eq!(content::check_signal(&signal("typing", String::new())), Ok(()));
    assert_eq!(content::check_signal(&signal("my.signal", "{}".into())), Ok(()));
    assert_eq!(content::check_signal(&signal("", "{}".into())), Err(ContentError::TypeName));
    let large = format!("\"{}\"", "x".repeat(limits::SIGNAL_DATA_BYTES));
    assert_eq!(content::check_signal(&signal("typing", large)), Err(ContentError::Data));
}

#[test]
fn secrets_do_not_show() {
    let secret = "hunter2-hunter2";
    let texts = [
        format!("{:?}", v1::Hello { token: secret.into(), ..Default::default() }),
        format!("{:?}", raw::Hello { token: secret.into(), ..Default::default() }),
        format!("{:?}", v1::LoginRequest { password: secret.into(), ..Default::default() }),
        format!("{:?}", v1::RegisterRequest { password: secret.into(), ..Default::default() }),
        format!("{:?}", v1::RefreshRequest { refresh_token: secret.into() }),
        format!(
            "{:?}",
            v1::Session { access_token: secret.into(), refresh_token: secret.into(), ..Default::default() }
        ),
        format!("{:?}", Frame { command: None, id: 0, body: Bytes::from_static(secret.as_bytes()) }),
    ];
    for text in texts {
        assert!(!text.contains(secret), "{text}");
    }
}

/// Reads in every format, and whatever is a frame is written in every format.
fn digest(name: &str, bytes: &Bytes) {
    for format in Format::ALL {
        let Ok(frame) = format.decode(bytes.clone()) else { continue };
        let Some(command) = frame.command else { continue };
        for format in Format::ALL {
            let written = format.encode(command, frame.id, &frame.body);
            assert!(written.is_ok() || format.codec == Codec::Json, "{name}: protobuf bodies are carried unseen");
        }
        black_box(checked(frame.body)).ok();
    }
}

#[test]
fn a_frame_cut_anywhere_does_no_harm() {
    for sample in samples::all() {
        for format in Format::ALL {
            let whole = format.encode(sample.command, sample.id, &sample.body).unwrap();
            for end in 0..whole.len() {
                digest(sample.name, &whole.slice(..end));
                digest(sample.name, &whole.slice(LENGTH_BYTES.min(end)..end));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_mutated_frame_does_no_harm(
        which in any::<prop::sample::Index>(),
        format in prop::sample::select(Format::ALL),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6),
    ) {
        let samples = samples::all();
        let sample = which.get(&samples);
        let mut bytes = format.encode(sample.command, sample.id, &sample.body).unwrap().to_vec();
        for (place, byte, how) in changes {
            match how {
                0 if !bytes.is_empty() => { let at = place.index(bytes.len()); bytes[at] = byte; }
                1 if !bytes.is_empty() => { bytes.remove(place.index(bytes.len())); }
                _ => bytes.insert(place.index(bytes.len() + 1), byte),
            }
        }
        digest(sample.name, &Bytes::copy_from_slice(&bytes));
        let rest = LENGTH_BYTES.min(bytes.len());
        digest(sample.name, &Bytes::from(bytes).slice(rest..));
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), first in any::<[u8; 8]>()) {
        digest("any", &bytes.clone().into());
        black_box(json::check(&bytes)).ok();
        black_box(preface::parse(first)).ok();
        black_box(frame_length(*first.first_chunk().unwrap(), limits::CLIENT_FRAME_BYTES)).ok();
    }
}
