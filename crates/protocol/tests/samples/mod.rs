//! One frame or more per command, with every field set somewhere and numbers at their limits.

use sparrow_protocol::{Body, Command, v1};

/// A frame to be written in every format.
pub(crate) struct Sample {
    /// What it shows.
    pub(crate) name: &'static str,
    /// Its command.
    pub(crate) command: Command,
    /// Its request.
    pub(crate) id: u32,
    /// Its body as protobuf.
    pub(crate) body: Vec<u8>,
}

fn sample<M: Body>(name: &'static str, id: u32, message: &M) -> Sample {
    Sample { name, command: M::COMMAND, id, body: message.encode_to_vec() }
}

const MSG_ID: &str = "0192f0c1-2a3b-7c4d-8e5f-60718293a4b5";
const CONVERSATION: i64 = 226_513_337_352_192_001;
const ALICE: i64 = 226_513_337_352_192_002;
const BOB: i64 = 226_513_337_352_192_003;
const TIME: i64 = 1_767_225_600_123;

/// All samples, in the order of the command numbers.
pub(crate) fn all() -> Vec<Sample> {
    let mut samples = session();
    samples.extend(messaging());
    samples.extend(sync());
    samples
}

fn session() -> Vec<Sample> {
    let hello = v1::Hello {
        token: "not-a-real-token".into(),
        client: "sparrow-chat".into(),
        version: "0.1.0".into(),
        features: vec!["x".into(), "y".into()],
        no_pushes: true,
    };
    let limits = v1::Limits {
        content_bytes: 65_536,
        client_frame_bytes: 524_288,
        server_frame_bytes: 1_048_576,
        unanswered_requests: 64,
        pull_entries: 200,
        silence_ms: u32::MAX,
    };
    let welcome = v1::Welcome {
        server: "sparrow/0.1.0".into(),
        features: vec!["z".into()],
        limits: Some(limits),
        server_time: TIME,
        epoch: "e1".into(),
        user_id: ALICE,
        user_name: "alice".into(),
        device_id: i64::MAX,
    };
    let goodbye =
        v1::Goodbye { reason: "shutdown".into(), reconnect_after_ms: 1_500, node: "n2:7700".into(), reconnect: true };
    let error = v1::Error {
        code: "rate_limited".into(),
        message: "Too many messages; wait a second.".into(),
        retryable: true,
        retry_after_ms: 1_000,
        details: [("limit".to_owned(), "30".to_owned()), ("per".to_owned(), "1s".to_owned())].into(),
        request_id: "r-1".into(),
    };
    vec![
        sample("hello", 1, &hello),
        sample("welcome", 1, &welcome),
        sample("ping", 3, &v1::Ping {}),
        sample("pong", 3, &v1::Pong {}),
        sample("goodbye", 0, &goodbye),
        sample("error", u32::MAX, &error),
        sample("ok", 4, &v1::Ok {}),
    ]
}

fn content() -> v1::Content {
    v1::Content {
        r#type: "markdown".into(),
        text: "@bob **你好** \u{1F426}\n\"quoted\" \u{1}".into(),
        mentions: vec![
            v1::Mention { user_id: BOB, all: false, offset: 0, length: 4 },
            v1::Mention { user_id: 0, all: true, offset: 5, length: 6 },
        ],
        refs: vec![v1::Reference { kind: "reply".into(), conversation_id: CONVERSATION, seq: 41 }],
        files: vec![v1::FileRef { file_id: 9, name: "a b.png".into(), mime: "image/png".into(), size: 1 << 40 }],
        data: r#"{"lat":52.5}"#.into(),
    }
}

fn message_entry() -> v1::Entry {
    v1::Entry {
        conversation_id: CONVERSATION,
        seq: 42,
        kind: "message".into(),
        sender_id: ALICE,
        time: TIME,
        client_msg_id: MSG_ID.into(),
        content: Some(content()),
        ..Default::default()
    }
}

fn other_entries() -> Vec<v1::Entry> {
    let entry = |seq, kind: &str| v1::Entry {
        conversation_id: CONVERSATION,
        seq,
        kind: kind.into(),
        sender_id: BOB,
        time: TIME,
        client_msg_id: MSG_ID.into(),
        ..Default::default()
    };
    let members = vec![
        v1::MemberRole { user_id: ALICE, role: "owner".into() },
        v1::MemberRole { user_id: BOB, role: "member".into() },
    ];
    let membership = v1::MembershipChange { change: "created".into(), members };
    let settings = v1::SettingsChange { name: Some("Birds".into()), description: Some(String::new()) };
    vec![
        v1::Entry { membership: Some(membership), ..entry(1, "membership") },
        v1::Entry { settings: Some(settings), ..entry(2, "settings") },
        v1::Entry { erased: true, ..entry(3, "message") },
        v1::Entry { damaged: true, ..entry(4, "message") },
        v1::Entry { ref_seq: 3, ..entry(5, "recall") },
    ]
}

fn messaging() -> Vec<Sample> {
    let plain = v1::Content { text: "hi".into(), ..Default::default() };
    let send =
        |content| v1::Send { conversation_id: CONVERSATION, client_msg_id: MSG_ID.into(), content: Some(content) };
    let ack = v1::SendAck {
        conversation_id: CONVERSATION,
        client_msg_id: MSG_ID.into(),
        seq: 42,
        time: TIME,
        duplicate: true,
    };
    let cursors = vec![
        v1::Cursor { conversation_id: CONVERSATION, seq: 42 },
        v1::Cursor { conversation_id: i64::MAX, seq: i64::MAX },
    ];
    let receipt = v1::Receipt { conversation_id: CONVERSATION, user_id: BOB, delivered: 42, read: 41 };
    let signal = v1::Signal {
        conversation_id: CONVERSATION,
        r#type: "typing".into(),
        data: r#"{"n":1}"#.into(),
        sender_id: ALICE,
    };
    let presence = v1::Presence {
        users: vec![
            v1::UserPresence { user_id: ALICE, online: true, last_seen: 0 },
            v1::UserPresence { user_id: BOB, online: false, last_seen: TIME },
        ],
    };
    let draft = v1::OwnState { kind: "draft".into(), key: CONVERSATION.to_string(), value: String::new() };
    let mut entries = other_entries();
    entries.push(message_entry());
    vec![
        sample("send: text alone", 7, &send(plain)),
        sample("send: every field", 8, &send(content())),
        sample("sendAck", 8, &ack),
        sample("push", 0, &v1::Push { conversation_id: CONVERSATION, entries }),
        sample("ack", 0, &v1::Ack { cursors }),
        sample("read", 9, &v1::Read { conversation_id: CONVERSATION, seq: 42 }),
        sample("readAck", 9, &v1::ReadAck { conversation_id: CONVERSATION, seq: 42 }),
        sample("receipt", 0, &receipt),
        sample("stateChanged", 0, &v1::StateChanged { states: vec![cursor_state(), draft] }),
        sample("signal", 0, &signal),
        sample("presenceSubscribe", 12, &v1::PresenceSubscribe { user_ids: vec![BOB, i64::MAX] }),
        sample("presence: states", 12, &presence),
    ]
}

fn cursor_state() -> v1::OwnState {
    let value = r#"{"delivered":"42","read":"41"}"#;
    v1::OwnState { kind: "cursor".into(), key: CONVERSATION.to_string(), value: value.into() }
}

fn sync() -> Vec<Sample> {
    let conversation = v1::ConversationState {
        conversation_id: CONVERSATION,
        kind: "direct".into(),
        name: "Birds".into(),
        peer_id: BOB,
        peer_name: "bob".into(),
        head: 42,
        floor: 1,
        intervals: vec![v1::Interval { join_seq: 1, leave_seq: 9 }, v1::Interval { join_seq: 20, leave_seq: 0 }],
        role: "member".into(),
        delivered: 42,
        read: 41,
        last_message_seq: 42,
        member_count: 2,
    };
    let page = v1::SyncPage {
        conversations: vec![conversation],
        states: vec![cursor_state()],
        cursor: "b3BhcXVl".into(),
        more: true,
        full: true,
        epoch: "e1".into(),
    };
    let pull = v1::Pull { conversation_id: CONVERSATION, from_seq: 1, to_seq: 42, limit: 200, backward: true };
    let edit = v1::Entry { seq: 43, kind: "edit".into(), ref_seq: 42, ..message_entry() };
    let summary = v1::Summary {
        seq: 42,
        edit: Some(edit),
        reactions: vec![v1::ReactionCount { emoji: "\u{1F44D}".into(), count: 2, mine: true }],
        pinned: true,
    };
    let pull_page = v1::PullPage {
        conversation_id: CONVERSATION,
        entries: vec![message_entry()],
        summaries: vec![summary],
        covered_from: 2,
        covered_to: 42,
        floor: 2,
        head: 43,
    };
    vec![
        sample("sync", 10, &v1::Sync { cursor: "b3BhcXVl".into(), limit: 50 }),
        sample("syncPage", 10, &page),
        sample("pull", 11, &pull),
        sample("pullPage", 11, &pull_page),
        sample("resync", 0, &v1::Resync {}),
    ]
}
