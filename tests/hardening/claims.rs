//! H8: what a client says about who, when and where in the log is not believed.

use sparrow_protocol::frame::HEADER_BYTES;
use sparrow_protocol::{Codec, Command, Format, Timestamp, v1};
use sparrow_testkit::User;

use super::{PROTOBUF_OVER_WEB_SOCKET, greeted};
use crate::support::{history, in_every_format, node, push, text, words};

in_every_format!(a_client_decides_neither_sender_nor_seq_nor_time);

async fn a_client_decides_neither_sender_nor_seq_nor_time(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut wire = greeted(&node, &ann, format).await;
    let (id, bob_id) = (uuid::Uuid::now_v7(), bob.id);
    let body = match format.codec {
        Codec::Json => format!(
            r#"{{"conversationId":"{conversation}","clientMsgId":"{id}","content":{{"text":"hi"}},"senderId":"{bob_id}",
                "userId":"{bob_id}","seq":"1000","time":"1","role":"owner","kind":"recall","erased":true}}"#
        )
        .into_bytes(),
        Codec::Protobuf => {
            let mut send = text(conversation, "hi");
            send.client_msg_id = id.to_string();
            let frame = PROTOBUF_OVER_WEB_SOCKET.encode_message(2, &send).unwrap();
            // Behind the fields of a send those of an entry: 4 is the sender there, 5 the time, 7 refSeq, 8 erased.
            let claims = [(4, bob_id), (5, 1), (7, 1), (8, 1)];
            let claims = claims.into_iter().flat_map(|(number, value)| field(number, value));
            frame[HEADER_BYTES..].iter().copied().chain(claims).collect()
        }
    };
    let before = now();
    wire.command(Command::Send, 2, &body).await;
    let ack: v1::SendAck = wire.answer(2).await.unwrap();
    let entries = history(&mut bob.connect(&node, format).await, conversation).await;
    let entry = entries.iter().find(|entry| words(entry) == "hi").unwrap();
    assert_eq!((entry.seq, entry.kind.as_str(), entry.sender_id, entry.erased), (ack.seq, "message", ann.id, false));
    assert!(entry.time >= before && entry.time == ack.time);
    assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), (1..=ack.seq).collect::<Vec<_>>());
}

/// A varint field of protobuf.
fn field(number: u8, value: i64) -> Vec<u8> {
    let mut bytes = vec![number << 3];
    let mut rest = value.cast_unsigned();
    while rest >= 0x80 {
        bytes.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    bytes.push(rest.to_le_bytes()[0]);
    bytes
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(0).after(since).millis()
}

in_every_format!(a_client_does_not_decide_who_signals);

async fn a_client_does_not_decide_who_signals(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation_id = ann.direct(&bob).await;
    let mut hears = bob.connect(&node, format).await;
    let mut says = ann.connect(&node, format).await;
    let signal = v1::Signal { conversation_id, r#type: "typing".to_owned(), sender_id: bob.id, ..Default::default() };
    let _: v1::Ok = says.call(&signal).await.unwrap();
    assert_eq!(push::<v1::Signal>(&mut hears).await.sender_id, ann.id);
}

#[tokio::test]
async fn a_client_does_not_decide_its_role_over_http() {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let group = ann.group("birds", &[&bob]).await;
    let body = serde_json::json!({
        "content": { "text": "hi" }, "senderId": ann.id.to_string(), "role": "owner", "seq": "1", "time": "1",
    });
    let ack: v1::SendAck = bob.api.post(&format!("/v1/conversations/{group}/messages"), &body).await.unwrap();
    assert!(ack.seq > 1 && ack.time > 1);
    let members: v1::MemberList = bob.api.get(&format!("/v1/conversations/{group}/members")).await.unwrap();
    let role = |id| {
        let member = members.items.iter().find(|member| member.user.as_ref().is_some_and(|user| user.user_id == id));
        member.unwrap().role.clone()
    };
    assert_eq!((role(ann.id), role(bob.id)), ("owner".to_owned(), "member".to_owned()));
}
