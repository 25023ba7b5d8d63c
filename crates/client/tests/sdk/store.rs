//! What the SDK keeps: how much, through a change of epoch, and when the file is damaged.

use sparrow_client::{Client, Error, Event, Options};
use sparrow_protocol::v1;

use crate::fake::{Fake, GROUP, OTHER, TCP, entry, next_seq, next_that};

fn seqs(entries: &[v1::Entry]) -> Vec<i64> {
    entries.iter().map(|entry| entry.seq).collect()
}

fn entries(seqs: std::ops::RangeInclusive<i64>) -> Vec<v1::Entry> {
    seqs.map(|seq| entry(seq, OTHER)).collect()
}

fn epoch_changed(event: &Event) -> Option<()> {
    matches!(event, Event::EpochChanged { .. }).then_some(())
}

#[tokio::test]
async fn a_damaged_store_is_told_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start(TCP).await;
    let client = fake.client(Some(directory.path())).await;
    client.send_text(GROUP, "unsent").await.unwrap();
    client.close().await;
    let file = directory.path().join("cache.db");
    let damaged = vec![0x5a; 8192];
    std::fs::write(&file, &damaged).unwrap();
    let refused = Client::resume(fake.session(), fake.options(Some(directory.path()))).await;
    assert!(matches!(refused, Err(Error::Damaged(path)) if path == file));
    assert_eq!(std::fs::read(&file).unwrap(), damaged);
}

#[tokio::test]
async fn entries_that_wait_through_a_change_of_epoch_come_once() {
    let fake = Fake::start(TCP).await;
    let client = fake.client(None).await;
    let mut events = client.events();
    let mut others = client.events();
    let mut peer = fake.accept_synced("before", 0).await;
    peer.push(entries(1..=4)).await;
    assert_eq!(next_seq(&mut events).await, 1);
    drop(peer);
    let mut peer = fake.accept_synced("after", 4).await;
    peer.serve_pull(&entries(1..=4)).await;
    next_that(&mut others, epoch_changed).await;
    peer.push(entries(5..=5)).await;
    let mut got = Vec::new();
    while got.last() != Some(&5) {
        got.push(next_seq(&mut events).await);
    }
    assert_eq!(got, [2, 3, 4, 5]);
}

#[tokio::test]
async fn the_newest_entries_are_kept_and_older_ones_are_pulled() {
    let fake = Fake::start(TCP).await;
    let options = Options { keep_entries: 3, ..fake.options(None) };
    let client = Client::resume(fake.session(), options).await.unwrap();
    let mut events = client.events();
    let mut peer = fake.accept_synced("e", 0).await;
    peer.push(entries(1..=9)).await;
    for expected in 1..=9 {
        assert_eq!(next_seq(&mut events).await, expected);
    }
    events.handled().await.unwrap();
    peer.push(entries(10..=10)).await;
    assert_eq!(next_seq(&mut events).await, 10);
    assert_eq!(seqs(&client.history(GROUP, 0, 3).await.unwrap()), [8, 9, 10]);
    let (history, ()) = tokio::join!(client.history(GROUP, 0, 5), async {
        let (request, pull) = peer.expect::<v1::Pull>().await;
        assert!(pull.backward && pull.to_seq == 7 && pull.limit == 2, "{pull:?}");
        let page = v1::PullPage {
            conversation_id: GROUP,
            entries: entries(6..=7),
            covered_from: 6,
            covered_to: 7,
            floor: 1,
            head: 10,
            ..v1::PullPage::default()
        };
        peer.say(request, &page).await;
    });
    assert_eq!(seqs(&history.unwrap()), [6, 7, 8, 9, 10]);
}

#[tokio::test]
async fn entries_that_nobody_has_handled_are_kept_however_many() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start(TCP).await;
    let options = Options { keep_entries: 3, ..fake.options(Some(directory.path())) };
    let client = Client::resume(fake.session(), options.clone()).await.unwrap();
    let mut events = client.events();
    let mut peer = fake.accept_synced("e", 0).await;
    peer.push(entries(1..=5)).await;
    peer.push(entries(6..=10)).await;
    assert_eq!(next_seq(&mut events).await, 1);
    drop(peer);
    client.close().await;
    let client = Client::resume(fake.session(), options).await.unwrap();
    let mut events = client.events();
    fake.accept_synced("e", 10).await;
    for expected in 1..=10 {
        assert_eq!(next_seq(&mut events).await, expected);
    }
}

#[tokio::test]
async fn a_back_up_older_than_all_that_is_kept_begins_the_stream_anew() {
    let fake = Fake::start(TCP).await;
    let options = Options { keep_entries: 2, ..fake.options(None) };
    let client = Client::resume(fake.session(), options).await.unwrap();
    let mut events = client.events();
    let mut peer = fake.accept_synced("before", 0).await;
    peer.push(entries(1..=8)).await;
    for expected in 1..=8 {
        assert_eq!(next_seq(&mut events).await, expected);
    }
    events.handled().await.unwrap();
    peer.push(entries(9..=9)).await;
    assert_eq!(next_seq(&mut events).await, 9);
    drop(peer);
    let mut peer = fake.accept_synced("after", 3).await;
    peer.serve_pull(&entries(1..=3)).await;
    peer.push(entries(4..=4)).await;
    while next_seq(&mut events).await != 4 {}
}
