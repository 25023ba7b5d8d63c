//! What the SDK says on the wire and tells the program, against a scripted server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::fake::{Fake, GROUP, ME, OTHER, TCP, entry, http, next_seq, next_that, text};
use sparrow_client::{Event, StoredSession};
use sparrow_protocol::{Format, v1};

#[tokio::test]
async fn every_carrier_and_codec_sends_receives_and_acknowledges() {
    for format in Format::ALL {
        let fake = Fake::start(*format).await;
        let client = fake.client(None).await;
        let mut events = client.events();
        let mut peer = fake.accept_synced("e", 0).await;
        let id = client.send_text(GROUP, "hello").await.unwrap();
        let (request, send) = peer.expect::<v1::Send>().await;
        assert_eq!((send.client_msg_id.as_str(), text(&send)), (id.as_str(), "hello"));
        peer.acknowledge(request, &send, 1).await;
        peer.push(vec![entry(2, OTHER)]).await;
        assert_eq!([next_seq(&mut events).await, next_seq(&mut events).await], [1, 2]);
        loop {
            let (_, ack) = peer.expect::<v1::Ack>().await;
            if ack.cursors.iter().any(|cursor| cursor.conversation_id == GROUP && cursor.seq == 2) {
                break;
            }
        }
        assert!(client.outbox().await.unwrap().is_empty());
        client.close().await;
    }
}

#[tokio::test]
async fn what_was_unanswered_is_sent_again_in_order_under_the_same_ids() {
    let fake = Fake::start(TCP).await;
    let client = fake.client(None).await;
    let mut events = client.events();
    let mut peer = fake.accept_synced("e", 0).await;
    let mut ids = Vec::new();
    for number in 1..=3 {
        ids.push(client.send_text(GROUP, &number.to_string()).await.unwrap());
    }
    let (request, first) = peer.expect::<v1::Send>().await;
    peer.expect::<v1::Send>().await;
    peer.acknowledge(request, &first, 1).await;
    assert_eq!(next_seq(&mut events).await, 1);
    drop(peer);

    let mut peer = fake.accept_synced("e", 2).await;
    let again = [peer.expect_send().await, peer.expect_send().await];
    assert_eq!(again.iter().map(|(_, send)| send.client_msg_id.clone()).collect::<Vec<_>>(), ids[1..]);
    for (seq, (request, send)) in (2..).zip(&again) {
        peer.acknowledge(*request, send, seq).await;
    }
    assert_eq!([next_seq(&mut events).await, next_seq(&mut events).await], [2, 3]);
    assert!(client.outbox().await.unwrap().is_empty());
}

#[tokio::test]
async fn after_a_retryable_refusal_nothing_overtakes() {
    let fake = Fake::start(TCP).await;
    let client = fake.client(None).await;
    let mut peer = fake.accept_synced("e", 0).await;
    client.send_text(GROUP, "1").await.unwrap();
    let (first, _) = peer.expect::<v1::Send>().await;
    client.send_text(GROUP, "2").await.unwrap();
    let (second, _) = peer.expect::<v1::Send>().await;
    peer.refuse(first, "overloaded", true).await;
    peer.refuse(second, "retry_in_order", true).await;
    let (request, send) = peer.expect::<v1::Send>().await;
    assert_eq!(text(&send), "1");
    peer.acknowledge(request, &send, 1).await;
    let (request, send) = peer.expect::<v1::Send>().await;
    assert_eq!(text(&send), "2");
    peer.acknowledge(request, &send, 2).await;
    assert!(client.wait_until_sent(std::time::Duration::from_secs(10)).await.unwrap());
}

#[tokio::test]
async fn a_final_refusal_is_told_and_stays_until_discarded() {
    let fake = Fake::start(TCP).await;
    let client = fake.client(None).await;
    let mut events = client.events();
    let mut peer = fake.accept_synced("e", 0).await;
    let id = client.send_text(GROUP, "no").await.unwrap();
    let (request, _) = peer.expect::<v1::Send>().await;
    peer.refuse(request, "forbidden", false).await;
    let failed = loop {
        if let Event::Failed(failed) = events.next().await.unwrap() {
            break failed;
        }
    };
    assert_eq!((failed.local_id.as_str(), failed.code.as_str()), (id.as_str(), "forbidden"));
    assert_eq!(client.failed().await.unwrap().len(), 1);
    assert!(client.discard(&id).await.unwrap());
    assert!(client.outbox().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_hole_between_pushes_is_pulled_and_nothing_comes_twice() {
    let fake = Fake::start(TCP).await;
    let client = fake.client(None).await;
    let mut events = client.events();
    let mut peer = fake.accept_synced("e", 0).await;
    let log: Vec<_> = (1..=5).map(|seq| entry(seq, OTHER)).collect();
    peer.push(vec![log[3].clone(), log[4].clone()]).await;
    peer.push(vec![log[0].clone()]).await;
    assert_eq!(peer.serve_pull(&log).await, (1, 3));
    for expected in 1..=5 {
        assert_eq!(next_seq(&mut events).await, expected);
    }
}

#[tokio::test]
async fn after_a_restart_unsent_messages_go_out_and_only_unhandled_entries_come_again() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start(TCP).await;
    let client = fake.client(Some(directory.path())).await;
    let mut events = client.events();
    let mut peer = fake.accept_synced("e", 0).await;
    peer.push((1..=3).map(|seq| entry(seq, OTHER)).collect()).await;
    assert_eq!([next_seq(&mut events).await, next_seq(&mut events).await], [1, 2]);
    // 1 is handled because 2 was asked for; 2 and 3 are not.
    let id = client.send_text(GROUP, "later").await.unwrap();
    client.close().await;
    drop(peer);

    let client = fake.client(Some(directory.path())).await;
    let mut events = client.events();
    let mut peer = fake.accept_synced("e", 3).await;
    let (_, send) = peer.expect_send().await;
    assert_eq!(send.client_msg_id, id);
    assert_eq!([next_seq(&mut events).await, next_seq(&mut events).await], [2, 3]);
    client.close().await;
}

#[tokio::test]
async fn a_new_epoch_is_read_anew_and_tells_which_own_messages_are_gone() {
    let fake = Fake::start(TCP).await;
    let client = fake.client(None).await;
    let mut events = client.events();
    let mut peer = fake.accept_synced("before", 0).await;
    peer.push(vec![entry(1, OTHER), entry(2, ME), entry(3, ME)]).await;
    for expected in 1..=3 {
        assert_eq!(next_seq(&mut events).await, expected);
    }
    events.handled().await.unwrap();
    drop(peer);

    // The back-up had two entries; somebody has written another third one since.
    let mut peer = fake.accept_synced("after", 3).await;
    let other = v1::Entry { client_msg_id: "00000000-0000-0000-0000-0000000000ff".to_owned(), ..entry(3, OTHER) };
    peer.serve_pull(&[entry(1, OTHER), entry(2, ME), other]).await;
    let (mut seqs, mut lost) = (Vec::new(), None);
    while lost.is_none() || seqs.is_empty() {
        match events.next().await.unwrap() {
            Event::Entry(entry) => seqs.push((entry.seq, entry.sender_id)),
            Event::EpochChanged { lost: gone } => lost = Some(gone),
            _ => {}
        }
    }
    assert_eq!(seqs, [(3, OTHER)], "what is as before does not come again");
    let lost: Vec<i64> = lost.unwrap().iter().map(|message| message.entry.seq).collect();
    assert_eq!(lost, [3]);
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_for_all_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start(TCP).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server_url = format!("http://{}", listener.local_addr().unwrap());
    let renewals = Arc::new(AtomicUsize::new(0));
    let server = tokio::spawn(http(listener, Arc::clone(&renewals)));
    let expired = StoredSession { server_url, access_expires: 0, ..fake.session() };
    let options = sparrow_client::Options {
        store: sparrow_client::Store::Directory(directory.path().to_owned()),
        carrier: sparrow_client::Carrier::Tcp("127.0.0.1:9".to_owned()),
        ..Default::default()
    };
    let client = sparrow_client::Client::resume(expired, options).await.unwrap();
    let (one, two, three) = tokio::join!(client.me(), client.devices(""), client.users_online(""));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(renewals.load(Ordering::SeqCst), 1);
    let kept = StoredSession::load(directory.path()).unwrap().unwrap();
    assert_eq!((kept.access_token.as_str(), kept.refresh_token.as_str()), ("new", "next"));
    client.close().await;
    server.abort();
}

#[tokio::test]
async fn members_that_a_sync_has_counted_are_not_counted_again() {
    let joined = |seq, users: &[i64]| {
        let members = users.iter().map(|user| v1::MemberRole { user_id: *user, role: "member".to_owned() }).collect();
        let change = v1::MembershipChange { change: "joined".to_owned(), members };
        v1::Entry { kind: "membership".to_owned(), content: None, membership: Some(change), ..entry(seq, OTHER) }
    };
    let fake = Fake::start(TCP).await;
    let client = fake.client(None).await;
    let mut events = client.events();
    let mut peer = fake.accept_synced("e", 2).await;
    peer.serve_pull(&[joined(1, &[OTHER]), entry(2, OTHER)]).await;
    peer.push(vec![joined(3, &[77, 78])]).await;
    let count = next_that(&mut events, |event| match event {
        Event::ConversationChanged(state) if state.member_count > 0 => Some(state.member_count),
        _ => None,
    });
    assert_eq!(count.await, 2);
    client.close().await;
}
