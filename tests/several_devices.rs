//! Several devices of one user: own sends appear on all, cursors are shared, each is complete.

use sparrow_protocol::{Command, Format, v1};
use sparrow_testkit::{ConnectionError, User};

use crate::support::{history, in_every_format, node, push, pushed, pushes_until, send, text, texts};

in_every_format!(own_sends_and_cursors_reach_the_other_devices);

async fn own_sends_and_cursors_reach_the_other_devices(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let tablet_of_ann = ann.another_device().await;
    let conversation = ann.direct(&bob).await;
    let mut phone = ann.connect(&node, format).await;
    let mut tablet = tablet_of_ann.connect(&node, format).await;
    let mut other = bob.connect(&node, format).await;

    let mine = send(&mut phone, conversation, "from my phone").await;
    assert_eq!(texts(&pushes_until(&mut tablet, "from my phone").await), ["from my phone"]);
    let theirs = send(&mut other, conversation, "an answer").await;
    for device in [&mut phone, &mut tablet] {
        pushes_until(device, "an answer").await;
    }
    // The phone got an ack for its own message, and no push of it.
    assert!(phone.take_waiting().iter().flat_map(pushed).all(|entry| entry.seq != mine.seq));

    phone.call::<v1::ReadAck>(&v1::Read { conversation_id: conversation, seq: theirs.seq }).await.unwrap();
    let changed: v1::StateChanged = push(&mut tablet).await;
    assert!(changed.states.iter().any(|state| state.kind == "cursor" && state.key == conversation.to_string()));
    let seen: v1::Conversation = tablet_of_ann.api.get(&format!("/v1/conversations/{conversation}")).await.unwrap();
    assert_eq!((seen.state.unwrap().read, seen.unread), (theirs.seq, 0));
    for device in [&mut phone, &mut tablet] {
        assert_eq!(texts(&history(device, conversation).await), ["from my phone", "an answer"]);
    }
}

in_every_format!(a_newer_session_of_a_device_replaces_the_older);

async fn a_newer_session_of_a_device_replaces_the_older(format: Format) {
    let node = node().await;
    let ann = User::register(&node, "ann").await;
    let mut older = ann.connect(&node, format).await;
    let mut newer = ann.connect(&node, format).await;
    let goodbye: v1::Goodbye = push(&mut older).await;
    assert_eq!((goodbye.reason.as_str(), goodbye.reconnect), ("replaced", false));
    loop {
        match older.next().await {
            Ok(frame) => assert_ne!(frame.command, Some(Command::Push)),
            Err(ConnectionError::Closed(_) | ConnectionError::Io(_) | ConnectionError::WebSocket(_)) => break,
            Err(other) => panic!("{other}"),
        }
    }
    newer.call::<v1::SyncPage>(&v1::Sync::default()).await.unwrap();
}

in_every_format!(logging_a_device_out_ends_its_session_and_no_other);

async fn logging_a_device_out_ends_its_session_and_no_other(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let lost = ann.another_device().await;
    let mut kept = ann.connect(&node, format).await;
    let mut stolen = lost.connect(&node, format).await;
    let devices: v1::DeviceList = lost.api.get("/v1/me/devices").await.unwrap();
    let device = devices.items.iter().find(|device| device.current).unwrap().device_id;
    let () = ann.api.delete(&format!("/v1/me/devices/{device}")).await.unwrap();

    let goodbye: v1::Goodbye = push(&mut stolen).await;
    assert_eq!(goodbye.reason, "revoked");
    let refused = lost.try_connect(crate::complete::address(&node, format), format).await.err().unwrap();
    assert_eq!(refused.code(), Some("unauthenticated"));
    kept.call::<v1::SendAck>(&text(conversation, "I am here")).await.unwrap();
}
