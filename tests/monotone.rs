//! Promise 6: cursors never go back and never pass the head. (H18)

use sparrow_protocol::{Format, v1};
use sparrow_testkit::{User, eventually};

use crate::support::{in_every_format, metric, node, send};

in_every_format!(a_read_cursor_only_moves_forward_and_up_to_the_head);

async fn a_read_cursor_only_moves_forward_and_up_to_the_head(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation_id = ann.direct(&bob).await;
    let mut writer = ann.connect(&node, format).await;
    for number in 0..10 {
        send(&mut writer, conversation_id, &number.to_string()).await;
    }
    let mut reader = bob.connect(&node, format).await;
    let mut read = async |conversation_id, seq| -> Result<i64, String> {
        match reader.call::<v1::ReadAck>(&v1::Read { conversation_id, seq }).await {
            Ok(ack) => Ok(ack.seq),
            Err(error) => Err(error.code().unwrap().to_owned()),
        }
    };
    assert_eq!(read(conversation_id, 7).await, Ok(7));
    assert_eq!(read(conversation_id, 3).await, Ok(7), "a cursor that went back");
    assert_eq!(read(conversation_id, 11).await, Err("invalid_request".to_owned()), "beyond the head");
    assert_eq!(read(conversation_id, i64::MAX).await, Err("invalid_request".to_owned()));
    assert_eq!(read(conversation_id, -1).await, Err("invalid_request".to_owned()));
    assert_eq!(read(1, 1).await, Err("not_found".to_owned()), "a foreign conversation");
    assert_eq!(read(conversation_id, 10).await, Ok(10));
}

in_every_format!(a_delivered_cursor_that_makes_no_sense_is_ignored_and_counted);

async fn a_delivered_cursor_that_makes_no_sense_is_ignored_and_counted(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation_id = ann.direct(&bob).await;
    let mut writer = ann.connect(&node, format).await;
    send(&mut writer, conversation_id, "one").await;
    send(&mut writer, conversation_id, "two").await;

    let before = metric(&node, "sparrow_acks_ignored_total").await;
    let mut reader = bob.connect(&node, format).await;
    let cursor = |conversation_id, seq| v1::Cursor { conversation_id, seq };
    let cursors = vec![cursor(conversation_id, 3), cursor(conversation_id, -1), cursor(1, 1)];
    reader.tell(&v1::Ack { cursors }).await.unwrap();
    eventually("three ignored cursors", async || {
        (metric(&node, "sparrow_acks_ignored_total").await == before + 3).then_some(())
    })
    .await;
    let delivered = async || {
        let conversation: v1::Conversation =
            bob.api.get(&format!("/v1/conversations/{conversation_id}")).await.unwrap();
        conversation.state.unwrap().delivered
    };
    assert_eq!(delivered().await, 0);
    reader.tell(&v1::Ack { cursors: vec![cursor(conversation_id, 2)] }).await.unwrap();
    eventually("the delivered cursor", async || (delivered().await == 2).then_some(())).await;
    reader.tell(&v1::Ack { cursors: vec![cursor(conversation_id, 1)] }).await.unwrap();
    // Cursors ride in the order told: once the read one is stored, so would be the one that went back.
    reader.call::<v1::ReadAck>(&v1::Read { conversation_id, seq: 2 }).await.unwrap();
    assert_eq!(delivered().await, 2);
}
