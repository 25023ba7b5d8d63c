//! H13: floods of frames that ask for nothing are limited, then closed.

use futures_util::SinkExt as _;
use sparrow_protocol::{Format, v1};
use sparrow_testkit::{Connection, ConnectionError, TestNode, User, within};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{in_every_format, labelled, options};

async fn node() -> TestNode {
    options().set("rates.frames_per_second", "50").set("rates.frames_burst", "100").start().await
}

in_every_format!(a_flood_of_pings_is_closed_and_others_are_served);

async fn a_flood_of_pings_is_closed_and_others_are_served(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let mut flood = ann.connect(&node, format).await;
    let mut other = bob.connect(&node, format).await;
    let mut answered = 0;
    let mut said = None;
    within("the flood to be closed", async {
        for _ in 0..5_000 {
            match flood.call::<v1::Pong>(&v1::Ping {}).await {
                Ok(_) => answered += 1,
                Err(error) => {
                    said = Some(error);
                    break;
                }
            }
        }
    })
    .await;
    assert!((50..4_000).contains(&answered), "{answered} pings were answered before {said:?}");
    assert_eq!(labelled(&node, "sparrow_limited_total", "limiter", "frames").await, 1);
    other.call::<v1::Pong>(&v1::Ping {}).await.unwrap();
}

/// A WebSocket that has not said `Hello`, or has, and floods with control frames or empty messages.
async fn floods(node: &TestNode, message: Message) {
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{}/v1/ws", node.http())).await.unwrap();
    within("the flood to be closed", async { while socket.send(message.clone()).await.is_ok() {} }).await;
}

#[tokio::test]
async fn floods_of_control_frames_and_of_empty_ones_are_closed() {
    let node = node().await;
    for message in [Message::Ping("x".into()), Message::Pong("".into()), Message::Text("".into())] {
        floods(&node, message).await;
    }
    assert_eq!(labelled(&node, "sparrow_limited_total", "limiter", "frames").await, 2);
}

#[tokio::test]
async fn a_client_that_reconnects_all_the_time_is_slowed_down() {
    let node = options().set("rates.sessions_per_minute", "20").start().await;
    let ann = User::register(&node, "ann").await;
    let format = Format { carrier: sparrow_protocol::Carrier::Tcp, codec: sparrow_protocol::Codec::Protobuf };
    let mut refused = 0;
    for _ in 0..50 {
        let mut connection = Connection::open(node.tcp(), format).await.unwrap();
        match connection.hello(&ann.token).await {
            Ok(_) => {
                connection.call::<v1::SyncPage>(&v1::Sync::default()).await.unwrap();
            }
            Err(ConnectionError::Refused(error)) => {
                assert_eq!((error.code.as_str(), error.retryable), ("rate_limited", true));
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!((20..=30).contains(&refused), "{refused}");
}
