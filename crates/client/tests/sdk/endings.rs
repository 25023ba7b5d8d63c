//! How connections end, and what the SDK does then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sparrow_client::{Client, DisconnectReason, Event, Events, LogOutReason, StoredSession};
use sparrow_protocol::{Carrier, CloseCode, Codec, Format, v1};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::fake::{Fake, GROUP, ME, OTHER, TCP, entry, http, next_seq, next_that};

const WEB_SOCKET: Format = Format { carrier: Carrier::WebSocket, codec: Codec::Protobuf };

fn disconnected(event: &Event) -> Option<(DisconnectReason, Duration)> {
    match event {
        Event::Disconnected { reason, retry_in } => Some((reason.clone(), *retry_in)),
        _ => None,
    }
}

fn logged_out(event: &Event) -> Option<LogOutReason> {
    match event {
        Event::LoggedOut { reason } => Some(reason.clone()),
        _ => None,
    }
}

fn caught_up(event: &Event) -> Option<()> {
    matches!(event, Event::CaughtUp).then_some(())
}

/// Why the connection ended, however long that takes: for tests that stop the clock.
async fn left(events: &mut Events) -> DisconnectReason {
    loop {
        if let Event::Disconnected { reason, .. } = events.next().await.unwrap() {
            return reason;
        }
    }
}

#[tokio::test]
async fn a_server_that_is_silent_for_90_seconds_is_left() {
    let fake = Fake::start(TCP).await;
    let client = fake.client(None).await;
    let mut events = client.events();
    let _peer = fake.accept_synced("e", 0).await;
    next_that(&mut events, caught_up).await;
    tokio::time::pause();
    let begun = Instant::now();
    assert_eq!(left(&mut events).await, DisconnectReason::Silence);
    assert!((80..=90).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_server_that_is_silent_for_10_seconds_after_a_request_is_left() {
    let fake = Fake::start(TCP).await;
    let client = fake.client(None).await;
    let mut events = client.events();
    let mut peer = fake.accept_synced("e", 0).await;
    next_that(&mut events, caught_up).await;
    client.send_text(GROUP, "anybody?").await.unwrap();
    peer.expect::<v1::Send>().await;
    tokio::time::pause();
    let begun = Instant::now();
    assert_eq!(left(&mut events).await, DisconnectReason::Silence);
    assert!((8..=10).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_message_whose_ack_was_lost_is_one_entry_and_sent_once() {
    let fake = Fake::start(TCP).await;
    let client = fake.client(None).await;
    let mut events = client.events();
    let mut peer = fake.accept_synced("e", 0).await;
    let id = client.send_text(GROUP, "hello").await.unwrap();
    peer.expect::<v1::Send>().await;
    drop(peer);

    let mut peer = fake.accept_synced("e", 1).await;
    let (request, send) = peer.expect_send().await;
    peer.acknowledge(request, &send, 1).await;
    peer.acknowledge(request, &send, 1).await;
    let mine = v1::Entry { client_msg_id: id.clone(), ..entry(1, ME) };
    peer.push(vec![mine, entry(2, OTHER)]).await;
    let (mut seqs, mut sent) = (Vec::new(), Vec::new());
    while seqs.last() != Some(&2) {
        match events.next().await.unwrap() {
            Event::Entry(entry) => seqs.push(entry.seq),
            Event::Sent(message) => sent.push(message.local_id),
            _ => {}
        }
    }
    assert_eq!((seqs, sent), (vec![1, 2], vec![id]));
    assert!(client.outbox().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_goodbye_says_when_to_come_back() {
    let fake = Fake::start(TCP).await;
    let client = fake.client(None).await;
    let mut events = client.events();
    let mut peer = fake.accept_synced("e", 0).await;
    let word = CloseCode::Shutdown.as_str().to_owned();
    let goodbye =
        v1::Goodbye { reconnect: true, reconnect_after_ms: 60_000, reason: word.clone(), ..v1::Goodbye::default() };
    peer.say(0, &goodbye).await;
    let (reason, retry_in) = next_that(&mut events, disconnected).await;
    assert_eq!((reason, retry_in), (DisconnectReason::Goodbye(word), Duration::from_secs(60)));
}

#[tokio::test]
async fn a_final_goodbye_logs_out_and_only_a_revoked_device_forgets_its_tokens() {
    for (code, forgotten) in [(CloseCode::Revoked, true), (CloseCode::Replaced, false), (CloseCode::Policy, false)] {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::start(TCP).await;
        let client = fake.client(Some(directory.path())).await;
        let mut events = client.events();
        let mut peer = fake.accept_synced("e", 0).await;
        peer.say(0, &v1::Goodbye { reason: code.as_str().to_owned(), ..v1::Goodbye::default() }).await;
        let reason = next_that(&mut events, logged_out).await;
        assert_eq!(reason, LogOutReason::Server(code.as_str().to_owned()));
        assert_eq!(StoredSession::load(directory.path()).unwrap().is_none(), forgotten, "{code:?}");
        client.close().await;
    }
}

#[tokio::test]
async fn a_close_code_says_whether_to_come_back() {
    let fake = Fake::start(WEB_SOCKET).await;
    let client = fake.client(None).await;
    let mut events = client.events();
    fake.accept_synced("e", 0).await.close(CloseCode::Overloaded.number()).await;
    next_that(&mut events, disconnected).await;
    fake.accept_synced("e", 0).await.close(CloseCode::Revoked.number()).await;
    let reason = next_that(&mut events, logged_out).await;
    assert_eq!(reason, LogOutReason::Server(CloseCode::Revoked.as_str().to_owned()));
}

#[tokio::test]
async fn a_token_that_a_session_outlives_is_renewed() {
    let fake = Fake::start(TCP).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server_url = format!("http://{}", listener.local_addr().unwrap());
    let renewals = Arc::new(AtomicUsize::new(0));
    let server = tokio::spawn(http(listener, Arc::clone(&renewals)));
    let session = StoredSession { server_url, ..fake.session() };
    let client = Client::resume(session, fake.options(None)).await.unwrap();
    let mut peer = fake.accept_synced("e", 0).await;
    let reason = CloseCode::Unauthenticated.as_str().to_owned();
    peer.say(0, &v1::Goodbye { reason, ..v1::Goodbye::default() }).await;
    drop(peer);
    fake.accept_with("new", "e").await;
    assert_eq!(renewals.load(Ordering::SeqCst), 1);
    client.close().await;
    server.abort();
}

#[tokio::test]
async fn tokens_that_cannot_be_kept_are_used_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start(TCP).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server_url = format!("http://{}", listener.local_addr().unwrap());
    let renewals = Arc::new(AtomicUsize::new(0));
    let server = tokio::spawn(http(listener, Arc::clone(&renewals)));
    let session = StoredSession { server_url, access_expires: i64::MAX, ..fake.session() };
    let client = Client::resume(session, fake.options(Some(directory.path()))).await.unwrap();
    let mut peer = fake.accept_synced("e", 0).await;
    // Where the file would be made first, a directory is in the way.
    std::fs::create_dir(directory.path().join("session.json.new")).unwrap();
    let reason = CloseCode::Unauthenticated.as_str().to_owned();
    peer.say(0, &v1::Goodbye { reason, ..v1::Goodbye::default() }).await;
    drop(peer);
    fake.accept_with("new", "e").await;
    client.me().await.unwrap();
    assert_eq!(renewals.load(Ordering::SeqCst), 1);
    client.close().await;
    server.abort();
}

#[tokio::test]
async fn a_resync_is_answered_with_a_sync_from_the_last_cursor() {
    let fake = Fake::start(TCP).await;
    let client = fake.client(None).await;
    let mut events = client.events();
    let mut peer = fake.accept_synced("e", 0).await;
    next_that(&mut events, caught_up).await;
    peer.say(0, &v1::Resync::default()).await;
    let (request, sync) = peer.expect::<v1::Sync>().await;
    assert_eq!(sync.cursor, "e-0");
    peer.answer_sync(request, "e", 2).await;
    peer.serve_pull(&[entry(1, OTHER), entry(2, OTHER)]).await;
    assert_eq!([next_seq(&mut events).await, next_seq(&mut events).await], [1, 2]);
}

/// A machine whose clock is wrong by years: it is the server's time that says when a token is too old.
#[tokio::test]
async fn a_token_is_renewed_by_the_servers_clock() {
    const TIME: i64 = 1_000_000_000_000;
    for (lifetime, renewed) in [(3_600_000, false), (60_000, true)] {
        let mut fake = Fake::start(TCP).await;
        fake.time = TIME;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server_url = format!("http://{}", listener.local_addr().unwrap());
        let renewals = Arc::new(AtomicUsize::new(0));
        let server = tokio::spawn(http(listener, Arc::clone(&renewals)));
        let access_token = "new".to_owned();
        let session = StoredSession { server_url, access_expires: TIME + lifetime, access_token, ..fake.session() };
        let client = Client::resume(session, fake.options(None)).await.unwrap();
        let mut events = client.events();
        let mut peer = fake.accept_with("new", "e").await;
        peer.sync("e", 0).await;
        next_that(&mut events, caught_up).await;
        for _ in 0..3 {
            client.me().await.unwrap();
        }
        assert_eq!(renewals.load(Ordering::SeqCst), usize::from(renewed), "{lifetime} ms left");
        client.close().await;
        server.abort();
    }
}

/// The server closes the connection of a device that logs out, and says so.
#[tokio::test]
async fn a_log_out_is_told_once() {
    let fake = Fake::start(TCP).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server_url = format!("http://{}", listener.local_addr().unwrap());
    let session = StoredSession { server_url, access_token: "new".to_owned(), ..fake.session() };
    let client = Client::resume(session, fake.options(None)).await.unwrap();
    let mut events = client.events();
    let mut peer = fake.accept_with("new", "e").await;
    peer.sync("e", 0).await;
    next_that(&mut events, caught_up).await;
    let leaving = tokio::spawn({
        let client = client.clone();
        async move { client.log_out().await }
    });
    // The request is there, and has no answer yet.
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.readable().await.unwrap();
    let reason = CloseCode::Revoked.as_str().to_owned();
    peer.say(0, &v1::Goodbye { reason, ..v1::Goodbye::default() }).await;
    peer.gone().await;
    stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
    leaving.await.unwrap().unwrap();
    client.close().await;
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        told.extend(logged_out(&event));
    }
    assert_eq!(told, [LogOutReason::Requested]);
}
