//! H3 and, of H4, what concerns `Hello`: nothing comes before it, and it comes once.

use sparrow_protocol::{Carrier, CloseCode, Code, Command, Format, limits, v1};
use sparrow_testkit::{User, Wire};

use super::greeted;
use crate::support::{in_every_format, node, options};

/// What the client is told when it is closed: over TCP there is no close code.
fn close_code(format: Format, code: CloseCode) -> Option<u16> {
    (format.carrier == Carrier::WebSocket).then_some(code.number())
}

in_every_format!(a_connection_without_hello_is_closed);

async fn a_connection_without_hello_is_closed(format: Format) {
    let node = options().set("limits.hello_within", "300 ms").start().await;
    let mut wire = Wire::open(&node, format).await;
    let (_, code) = wire.closed().await;
    assert_eq!(code, close_code(format, CloseCode::HelloTimeout));
}

in_every_format!(half_a_hello_is_no_hello);

async fn half_a_hello_is_no_hello(format: Format) {
    let node = options().set("limits.hello_within", "300 ms").start().await;
    let mut wire = Wire::open(&node, format).await;
    wire.bytes(&[0]).await;
    let (_, code) = wire.closed().await;
    assert_eq!(code, close_code(format, CloseCode::HelloTimeout));
}

in_every_format!(data_before_hello_closes);

async fn data_before_hello_closes(format: Format) {
    let node = node().await;
    let mut wire = Wire::open(&node, format).await;
    wire.send(1, &v1::Sync::default()).await;
    let (frames, code) = wire.closed().await;
    assert!(frames.iter().all(|frame| frame.command != Some(Command::SyncPage)));
    assert_eq!(code, close_code(format, CloseCode::ProtocolError));
}

in_every_format!(a_second_hello_changes_nothing);

async fn a_second_hello_changes_nothing(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let notes: v1::Conversation = ann.api.post("/v1/conversations", &notes()).await.unwrap();
    let notes = notes.state.unwrap().conversation_id;
    let mut wire = greeted(&node, &ann, format).await;
    wire.send(2, &v1::Hello { token: bob.token.clone(), ..Default::default() }).await;
    assert_eq!(wire.answer::<v1::Welcome>(2).await.unwrap_err().code, Code::InvalidRequest.as_str());
    wire.send(3, &crate::support::text(notes, "still ann")).await;
    assert!(wire.answer::<v1::SendAck>(3).await.is_ok(), "only ann may write to her notes");
}

fn notes() -> v1::CreateConversationRequest {
    v1::CreateConversationRequest { kind: "self".to_owned(), ..Default::default() }
}

in_every_format!(a_bad_token_gets_one_answer_whatever_is_wrong_with_it);

async fn a_bad_token_gets_one_answer_whatever_is_wrong_with_it(format: Format) {
    let node = node().await;
    let ann = User::register(&node, "ann").await;
    let mut flipped = ann.token.clone().into_bytes();
    let last = flipped.len() - 1;
    flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
    let tokens = [
        String::new(),
        "x".to_owned(),
        String::from_utf8(flipped).unwrap(),
        format!("{} ", ann.token),
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.".to_owned(),
        "' OR 1=1 --".to_owned(),
        "\0".to_owned(),
        "x".repeat(3_000),
    ];
    let mut answers = Vec::new();
    for token in tokens {
        let mut wire = Wire::open(&node, format).await;
        wire.send(1, &v1::Hello { token, ..Default::default() }).await;
        let error = wire.answer::<v1::Welcome>(1).await.unwrap_err();
        assert_eq!(error.code, Code::Unauthenticated.as_str());
        assert_eq!(wire.closed().await.1, close_code(format, CloseCode::Unauthenticated));
        answers.push(error);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "the answers tell what is wrong: {answers:?}");
}

in_every_format!(a_huge_hello_is_refused);

async fn a_huge_hello_is_refused(format: Format) {
    let node = node().await;
    let mut wire = Wire::open(&node, format).await;
    let token = "x".repeat(2 * limits::HELLO_FRAME_BYTES);
    wire.send(1, &v1::Hello { token, ..Default::default() }).await;
    let (frames, code) = wire.closed().await;
    assert!(frames.iter().all(|frame| frame.command != Some(Command::Welcome)));
    assert_eq!(code, close_code(format, CloseCode::TooLarge));
}
