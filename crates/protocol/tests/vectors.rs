//! The vectors that clients in other languages share: written from values here, and read back from the files.
//!
//! `UPDATE_VECTORS=1 cargo test -p sparrow-protocol --test vectors` writes them anew.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod samples;

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::{Value, json};
use sparrow_protocol::frame::LENGTH_BYTES;
use sparrow_protocol::{
    Carrier, CloseCode, Code, Codec, Command, EntryKind, Format, Frame, Seq, Username, content, preface,
};

/// Compares what the code says with what the file says. In update mode the file is written first.
#[track_caller]
fn assert_vectors(name: &str, now: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(now).unwrap() + "\n").unwrap();
    }
    assert_eq!(&read(name), now, "{name} does not say what the code says");
}

fn read(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Bytes {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The key of a format in the file, and whether its value is text rather than hex.
fn key(format: Format) -> (&'static str, bool) {
    match (format.carrier, format.codec) {
        (Carrier::WebSocket, Codec::Protobuf) => ("webSocketProtobufHex", false),
        (Carrier::WebSocket, Codec::Json) => ("webSocketJson", true),
        (Carrier::Tcp, Codec::Protobuf) => ("tcpProtobufHex", false),
        (Carrier::Tcp, Codec::Json) => ("tcpJsonHex", false),
    }
}

#[test]
fn every_frame_is_written_as_the_vectors_say() {
    let frames: Vec<Value> = samples::all()
        .iter()
        .map(|sample| {
            let mut vector = json!({
                "name": sample.name,
                "command": sample.command.as_str(),
                "number": sample.command.number(),
                "id": sample.id,
            });
            for format in Format::ALL {
                let bytes = format.encode(sample.command, sample.id, &sample.body).unwrap();
                let (key, is_text) = key(*format);
                vector[key] = json!(if is_text { String::from_utf8(bytes.to_vec()).unwrap() } else { hex(&bytes) });
            }
            vector
        })
        .collect();
    assert_vectors("frames.json", &json!(frames));
}

#[test]
fn every_vector_is_read_as_its_frame() {
    let vectors = read("frames.json");
    let samples = samples::all();
    assert_eq!(vectors.as_array().unwrap().len(), samples.len());
    for (vector, sample) in vectors.as_array().unwrap().iter().zip(&samples) {
        for format in Format::ALL {
            let (key, is_text) = key(*format);
            let text = vector[key].as_str().unwrap();
            let bytes = if is_text { Bytes::copy_from_slice(text.as_bytes()) } else { unhex(text) };
            let message = if format.carrier == Carrier::Tcp { bytes.slice(LENGTH_BYTES..) } else { bytes };
            let expected =
                Frame { command: Some(sample.command), id: sample.id, body: Bytes::copy_from_slice(&sample.body) };
            assert_eq!(format.decode(message).unwrap(), expected, "{} as {key}", sample.name);
        }
    }
}

#[test]
fn every_command_has_a_vector() {
    for command in Command::ALL {
        assert!(samples::all().iter().any(|sample| sample.command == *command), "{command:?} has no sample");
    }
}

#[test]
fn prefaces_are_as_the_vectors_say() {
    let accepted: Vec<Value> = Codec::ALL
        .iter()
        .map(|codec| json!({ "codec": codec.sub_protocol(), "hex": hex(&preface::encode(*codec)) }))
        .collect();
    let refused = [
        ("unknown magic", *b"SPRX\x01\x00\x00\x00"),
        ("plain HTTP", *b"GET / HT"),
        ("unknown version", *b"SPRW\x02\x00\x00\x00"),
        ("unknown codec", *b"SPRW\x01\x02\x00\x00"),
    ];
    let reserved_is_ignored = *b"SPRW\x01\x01\xff\xff";
    assert_eq!(preface::parse(reserved_is_ignored), Ok(Codec::Json));
    let refused: Vec<Value> = refused
        .iter()
        .map(|(why, bytes)| {
            let answer = match preface::parse(*bytes).unwrap_err() {
                preface::PrefaceError::Magic => "close",
                preface::PrefaceError::Version(_) | preface::PrefaceError::Codec(_) => "preface, close",
            };
            json!({ "why": why, "hex": hex(bytes), "server": answer })
        })
        .collect();
    let also = json!([{ "codec": Codec::Json.sub_protocol(), "hex": hex(&reserved_is_ignored) }]);
    assert_vectors("prefaces.json", &json!({ "accepted": accepted, "alsoAccepted": also, "refused": refused }));
    for vector in read("prefaces.json")["accepted"].as_array().unwrap() {
        let bytes = unhex(vector["hex"].as_str().unwrap());
        let codec = preface::parse(bytes.as_ref().try_into().unwrap()).unwrap();
        assert_eq!(codec.sub_protocol(), vector["codec"]);
    }
}

#[test]
fn request_hashes_are_as_the_vectors_say() {
    let requests = [
        (EntryKind::Message, None, unhex("12026869")),
        (EntryKind::Edit, Seq::new(42), unhex("12026869")),
        (EntryKind::Recall, Seq::new(42), Bytes::new()),
    ];
    let hashes: Vec<Value> = requests
        .iter()
        .map(|(kind, ref_seq, content)| {
            json!({
                "kind": kind.as_str(),
                "refSeq": ref_seq.map_or(0, Seq::get).to_string(),
                "contentHex": hex(content),
                "sha256Hex": hex(&content::request_hash(*kind, *ref_seq, content).0),
            })
        })
        .collect();
    assert_vectors("request_hashes.json", &json!(hashes));
}

#[test]
fn names_are_as_the_vectors_say() {
    let vectors = read("names.json");
    let cases = |list: &str| vectors[list].as_array().unwrap().clone();
    assert!(!cases("accepted").is_empty() && !cases("refused").is_empty());
    for case in cases("accepted") {
        let typed = case["typed"].as_str().unwrap();
        let name = Username::parse(typed).unwrap_or_else(|_| panic!("{typed:?} is a name"));
        assert_eq!(json!({ "typed": typed, "shown": name.as_str(), "key": name.key() }), case);
        assert_eq!(Username::parse(name.as_str()).unwrap(), name, "what is shown can be typed");
    }
    for case in cases("refused") {
        let typed = case["typed"].as_str().unwrap();
        assert!(Username::parse(typed).is_err(), "{typed:?} is no name: {}", case["why"]);
    }
}

#[test]
fn words_and_numbers_are_as_the_vectors_say() {
    let commands: Vec<Value> =
        Command::ALL.iter().map(|it| json!({ "number": it.number(), "word": it.as_str() })).collect();
    let errors: Vec<Value> = Code::ALL
        .iter()
        .map(|it| json!({ "word": it.as_str(), "httpStatus": it.http_status(), "retryable": it.retryable() }))
        .collect();
    let closes: Vec<Value> = CloseCode::ALL
        .iter()
        .map(|it| json!({ "number": it.number(), "word": it.as_str(), "reconnect": it.reconnect() }))
        .collect();
    assert_vectors("words.json", &json!({ "commands": commands, "errorCodes": errors, "closeCodes": closes }));
}
