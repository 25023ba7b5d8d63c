//! Promise 4: every device of every member ends up with every entry, however often it disconnects.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use sparrow_protocol::{Carrier, Format, v1};
use sparrow_testkit::{Connection, ConnectionError, Proxy, Seed, TestNode, User};

use crate::support::{in_every_format, node, pull, pushed, send, text};

pub(crate) fn address(node: &TestNode, format: Format) -> SocketAddr {
    match format.carrier {
        Carrier::WebSocket => node.http(),
        Carrier::Tcp => node.tcp(),
    }
}

in_every_format!(a_reader_that_is_cut_off_again_and_again_misses_nothing);

async fn a_reader_that_is_cut_off_again_and_again_misses_nothing(format: Format) {
    const MESSAGES: usize = 400;
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let proxy = Proxy::start(address(&node, format)).await;
    proxy.cut_at_random(Seed::of("complete").part(1), 8 * 1024);

    let mut writer = ann.connect(&node, format).await;
    let writing = tokio::spawn(async move {
        for number in 0..MESSAGES {
            send(&mut writer, conversation, &number.to_string()).await;
        }
    });
    let mut reader = Reader { user: bob, cursor: String::new(), entries: BTreeMap::new() };
    let mut lives = 0;
    while reader.entries.len() < MESSAGES {
        lives += 1;
        // Nearly every life ends with a cut; what was read stays.
        let ended = reader.live(proxy.address(), format, conversation, MESSAGES).await;
        assert!(ended.is_ok() || lives < 10_000, "{ended:?}");
    }
    writing.await.unwrap();
    let numbers: Vec<_> = reader.entries.values().map(|entry| entry.content.as_ref().unwrap().text.clone()).collect();
    assert_eq!(numbers, (0..MESSAGES).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(lives > 1, "no connection was cut");
}

/// A device that keeps what it has: entries by seq, and the cursor of the last complete `Sync`.
struct Reader {
    user: User,
    cursor: String,
    entries: BTreeMap<i64, v1::Entry>,
}

impl Reader {
    /// One connection: subscribe, then read what was missed, then take pushes, filling holes by `Pull`.
    async fn live(
        &mut self,
        address: SocketAddr,
        format: Format,
        conversation: i64,
        enough: usize,
    ) -> Result<(), ConnectionError> {
        let mut connection = self.user.try_connect(address, format).await?;
        let mut cursor = self.cursor.clone();
        loop {
            let page: v1::SyncPage = connection.call(&v1::Sync { cursor, ..Default::default() }).await?;
            for state in page.conversations.iter().filter(|state| state.conversation_id == conversation) {
                self.fill(&mut connection, conversation, state.head).await?;
            }
            cursor = page.cursor;
            if !page.more {
                break;
            }
        }
        self.cursor = cursor;
        while self.entries.len() < enough {
            let frame = connection.next().await?;
            for entry in pushed(&frame) {
                self.fill(&mut connection, conversation, entry.seq - 1).await?;
                self.entries.insert(entry.seq, entry);
            }
        }
        Ok(())
    }

    /// Pulls from the end of what is held without a hole up to `to`.
    async fn fill(&mut self, connection: &mut Connection, conversation: i64, to: i64) -> Result<(), ConnectionError> {
        loop {
            let from = (1..).find(|seq| !self.entries.contains_key(seq)).unwrap_or(1);
            if from > to {
                return Ok(());
            }
            // Pages so small that some come through between two cuts.
            let pull = v1::Pull { limit: 10, ..pull(conversation, from, to) };
            let page: v1::PullPage = connection.call(&pull).await?;
            self.entries.extend(page.entries.into_iter().map(|entry| (entry.seq, entry)));
        }
    }
}

in_every_format!(what_was_sent_while_away_is_synced_and_pulled_after_a_restart);

async fn what_was_sent_while_away_is_synced_and_pulled_after_a_restart(format: Format) {
    let mut node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut reading = bob.connect(&node, format).await;
    let before: v1::SyncPage = reading.call(&v1::Sync::default()).await.unwrap();
    drop(reading);

    let mut writing = ann.connect(&node, format).await;
    for number in 0..450 {
        writing.feed(&text(conversation, &number.to_string())).await.unwrap();
    }
    writing.flush().await.unwrap();
    let last = send(&mut writing, conversation, "last").await;
    node.kill();
    node.restart().await;

    let mut reading = bob.connect(&node, format).await;
    let after: v1::SyncPage = reading.call(&v1::Sync { cursor: before.cursor, ..Default::default() }).await.unwrap();
    let state = after.conversations.iter().find(|state| state.conversation_id == conversation).unwrap();
    assert_eq!((state.head, after.full), (last.seq, false));
    let mut reader = Reader { user: bob, cursor: after.cursor, entries: BTreeMap::new() };
    reader.fill(&mut reading, conversation, state.head).await.unwrap();
    assert_eq!(reader.entries.len() as i64, last.seq);
}
