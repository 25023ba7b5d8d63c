//! What the modules share: the node of this build, messages to send, whole histories, every wire format.

use sparrow_protocol::{Command, Frame, v1};
use sparrow_testkit::{Connection, NodeOptions, TestNode};

/// A node of the binary that cargo has built for this run.
pub(crate) fn options() -> NodeOptions {
    NodeOptions::new(env!("CARGO_BIN_EXE_sparrow"))
}

/// A running node with the default settings.
pub(crate) async fn node() -> TestNode {
    options().start().await
}

/// A text to a conversation under a fresh id.
pub(crate) fn text(conversation_id: i64, text: &str) -> v1::Send {
    v1::Send {
        conversation_id,
        client_msg_id: uuid::Uuid::now_v7().to_string(),
        content: Some(v1::Content { text: text.to_owned(), ..Default::default() }),
    }
}

/// Sends a text and waits until it is durable.
pub(crate) async fn send(connection: &mut Connection, conversation: i64, words: &str) -> v1::SendAck {
    connection.call(&text(conversation, words)).await.unwrap()
}

/// The text of a message.
pub(crate) fn words(entry: &v1::Entry) -> &str {
    entry.content.as_ref().map_or("", |content| &content.text)
}

/// The texts of the messages among these entries.
pub(crate) fn texts(entries: &[v1::Entry]) -> Vec<&str> {
    entries.iter().filter(|entry| entry.kind == "message").map(words).collect()
}

/// One page of a log.
pub(crate) fn pull(conversation_id: i64, from_seq: i64, to_seq: i64) -> v1::Pull {
    v1::Pull { conversation_id, from_seq, to_seq, ..Default::default() }
}

/// Everything of a conversation that the reader may see, page by page. Checks that each page goes on where the one
/// before ended, that seqs increase, and that every entry is of this conversation.
pub(crate) async fn history(connection: &mut Connection, conversation: i64) -> Vec<v1::Entry> {
    let mut entries: Vec<v1::Entry> = Vec::new();
    let mut from = 1;
    loop {
        let page: v1::PullPage = connection.call(&pull(conversation, from, 0)).await.unwrap();
        entries.extend(page.entries);
        if page.covered_to < page.covered_from || page.covered_to >= page.head {
            break;
        }
        assert!(page.covered_from <= from && page.covered_to >= from, "a page must begin where it was asked to");
        from = page.covered_to + 1;
    }
    assert!(entries.windows(2).all(|pair| pair[0].seq < pair[1].seq), "seqs must increase");
    assert!(entries.iter().all(|entry| entry.conversation_id == conversation));
    entries
}

/// Waits for the next push of this kind; others are passed over.
pub(crate) async fn push<M: sparrow_protocol::Body>(connection: &mut Connection) -> M {
    loop {
        let frame = connection.next().await.unwrap();
        if frame.command == Some(M::COMMAND) {
            return frame.parse().unwrap();
        }
    }
}

/// The entries in a frame, if it is a push of entries.
pub(crate) fn pushed(frame: &Frame) -> Vec<v1::Entry> {
    match frame.command {
        Some(Command::Push) => frame.parse::<v1::Push>().unwrap().entries,
        _ => Vec::new(),
    }
}

/// Waits until a message with this text is pushed; answers all entries that were pushed up to it.
pub(crate) async fn pushes_until(connection: &mut Connection, last: &str) -> Vec<v1::Entry> {
    let mut entries = Vec::new();
    while entries.last().is_none_or(|entry| words(entry) != last) {
        entries.extend(push::<v1::Push>(connection).await.entries);
    }
    entries
}

/// The value of a counter or gauge on the admin listener.
pub(crate) async fn metric(node: &TestNode, name: &str) -> u64 {
    let text = sparrow_testkit::Api::new(node.admin()).unwrap().text("/metrics").await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no metric {name} in:\n{text}")).parse().unwrap()
}

/// A node with the default rates, for tests of them.
pub(crate) fn with_default_rates() -> NodeOptions {
    NodeOptions::with_default_rates(env!("CARGO_BIN_EXE_sparrow"))
}

/// The value of a counter with one label; 0 if it has not counted yet.
pub(crate) async fn labelled(node: &TestNode, name: &str, label: &str, value: &str) -> u64 {
    let text = sparrow_testkit::Api::new(node.admin()).unwrap().text("/metrics").await.unwrap();
    let series = format!("{name}{{{label}=\"{value}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).map_or(0, |value| value.parse().unwrap())
}

/// Makes one test for each carrier and codec of an `async fn(Format)`.
macro_rules! in_every_format {
    ($($test:ident),+ $(,)?) => {
        $(mod $test {
            use sparrow_protocol::{Carrier, Codec, Format};

            async fn run(carrier: Carrier, codec: Codec) {
                sparrow_testkit::within(stringify!($test), super::$test(Format { carrier, codec })).await;
            }

            #[tokio::test]
            async fn protobuf_over_websocket() {
                run(Carrier::WebSocket, Codec::Protobuf).await;
            }

            #[tokio::test]
            async fn json_over_websocket() {
                run(Carrier::WebSocket, Codec::Json).await;
            }

            #[tokio::test]
            async fn protobuf_over_tcp() {
                run(Carrier::Tcp, Codec::Protobuf).await;
            }

            #[tokio::test]
            async fn json_over_tcp() {
                run(Carrier::Tcp, Codec::Json).await;
            }
        })+
    };
}

pub(crate) use in_every_format;
