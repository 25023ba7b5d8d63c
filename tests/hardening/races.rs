//! H30: leaving and being removed race with sends; what comes out is some serial order.

use sparrow_protocol::{Carrier, Codec, Format, v1};
use sparrow_testkit::{ConnectionError, User};

use crate::support::{history, node, text};

const ROUNDS: usize = 1_000;
const FORMAT: Format = Format { carrier: Carrier::WebSocket, codec: Codec::Protobuf };

#[tokio::test]
async fn leaving_and_removing_race_with_sends() {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let group = ann.group("revolving door", &[&bob]).await;
    let mut writer = bob.connect(&node, FORMAT).await;
    let members = format!("/v1/conversations/{group}/members");
    let (mut acked, mut refused) = (Vec::new(), 0);
    for round in 0..ROUNDS {
        let mut ids = Vec::new();
        for number in 0..3 {
            ids.push(writer.feed(&text(group, &format!("{round}.{number}"))).await.unwrap());
        }
        writer.flush().await.unwrap();
        // By turns he leaves and is removed.
        let (api, who) = if round % 2 == 0 { (&bob.api, "me".to_owned()) } else { (&ann.api, bob.id.to_string()) };
        let gone: v1::SendAck = api.delete(&format!("{members}/{who}")).await.unwrap();
        let mut out = false;
        for id in ids {
            match writer.answer::<v1::SendAck>(id).await {
                Ok(ack) => {
                    assert!(!out && ack.seq < gone.seq, "a message after its sender was gone");
                    acked.push((ack.seq, ack.client_msg_id));
                }
                Err(ConnectionError::Refused(error)) => {
                    assert_eq!(error.code, "not_found");
                    (out, refused) = (true, refused + 1);
                }
                Err(other) => panic!("{other}"),
            }
        }
        let back = v1::AddMembersRequest { users: vec![bob.id.to_string()], ..Default::default() };
        ann.api.post::<v1::SendAck>(&members, &back).await.unwrap();
    }
    assert!(refused > 0 && !acked.is_empty(), "{refused} refused, {} acked: nothing raced", acked.len());
    let mut reader = ann.connect(&node, FORMAT).await;
    let entries = history(&mut reader, group).await;
    let seqs: Vec<i64> = entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as i64).collect::<Vec<_>>(), "a hole");
    let said = entries.into_iter().filter(|entry| entry.kind == "message");
    assert_eq!(said.map(|entry| (entry.seq, entry.client_msg_id)).collect::<Vec<_>>(), acked);
}
