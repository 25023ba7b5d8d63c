//! `docs/protocol.md` names every command, error code and close code as they are, and its example is a real frame.

use sparrow_protocol::{Carrier, CloseCode, Code, Codec, Command, Format, limits, v1};

const DOCUMENT: &str = include_str!("../../../docs/protocol.md");

fn assert_has_row(start: &str) {
    assert!(DOCUMENT.lines().any(|line| line.starts_with(start)), "docs/protocol.md has no row {start}");
}

#[test]
fn every_command_has_its_row() {
    for command in Command::ALL {
        let message = format!("{command:?}");
        assert_has_row(&format!("| {} | `{}` | `{message}` |", command.number(), command.as_str()));
    }
}

#[test]
fn every_error_code_has_its_row() {
    for code in Code::ALL {
        let retry = if code.retryable() { "yes" } else { "no" };
        assert_has_row(&format!("| `{}` | {} | {retry} |", code.as_str(), code.http_status()));
    }
}

#[test]
fn every_close_code_has_its_row() {
    for code in CloseCode::ALL {
        let reconnect = if code.reconnect() { "yes" } else { "no" };
        assert_has_row(&format!("| {} | `{}` | {reconnect} |", code.number(), code.as_str()));
    }
}

#[test]
fn the_limits_are_as_stated() {
    let kib = |bytes: usize| format!("{} KiB", bytes / 1024);
    assert_has_row(&format!("| content | {} as protobuf |", kib(limits::CONTENT_BYTES)));
    let (frame, hello) = (kib(limits::CLIENT_FRAME_BYTES), kib(limits::HELLO_FRAME_BYTES));
    assert_has_row(&format!("| frame from a client | {frame}; {hello} before `Welcome` |"));
    assert_has_row(&format!("| frame from the server | {} MiB |", limits::SERVER_FRAME_BYTES / 1024 / 1024));
    assert_has_row(&format!("| unanswered requests | {},", limits::UNANSWERED_REQUESTS));
    let (page, json) = (kib(limits::PULL_BYTES), kib(limits::PULL_BYTES_JSON));
    assert_has_row(&format!(
        "| entries on a `PullPage` | {}, and {page} of bodies ({json} in JSON) |",
        limits::PULL_ENTRIES
    ));
    assert_has_row(&format!("| conversations and states on a `SyncPage` | {} |", limits::SYNC_ITEMS));
    assert_has_row(&format!("| users in a `PresenceSubscribe` | {} |", limits::PRESENCE_USERS));
    assert_has_row(&format!("| mentions, refs, files | {}, {}, {} |", limits::MENTIONS, limits::REFS, limits::FILES));
}

#[test]
fn the_frame_in_hex_is_a_frame() {
    let start = DOCUMENT.find("```text\n00 00 00").expect("the example") + "```text\n".len();
    let block = DOCUMENT[start..].split("```").next().expect("a block");
    let hex =
        |line: &str| line.split("  ").next().unwrap_or_default().split(' ').map(str::to_owned).collect::<Vec<_>>();
    let shown: Vec<String> = block.lines().flat_map(hex).collect();
    let read = v1::Read { conversation_id: 226_513_337_352_192_001, seq: 42 };
    let format = Format { carrier: Carrier::Tcp, codec: Codec::Protobuf };
    let written = format.encode_message(9, &read).expect("a small frame");
    assert_eq!(shown, written.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>());
}
