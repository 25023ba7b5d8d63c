//! The contract on SQLite, and what only SQLite can show: its files.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::types::Value;
use sparrow_protocol::{EntryKind, Seq, Timestamp};
use tempfile::TempDir;

use super::{OpenError, Options, Sqlite};
use crate::contract::{Fixture, START, World, assert_refused, everything, seq, seqs, stored};
use crate::log::{Action, Body, Log as _, Outcome, Refusal};
use crate::{Directory as _, StoreError};

/// A database in a directory that goes with it.
pub(crate) struct Files(TempDir);

impl Files {
    fn path(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// A connection past the store.
    fn raw(&self) -> Connection {
        Connection::open(self.path().join("sparrow.db")).unwrap()
    }
}

impl Fixture for Files {
    type Store = Sqlite;

    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn open(&self, group_members: usize) -> Sqlite {
        open(&self.path(), group_members).unwrap()
    }
}

fn open(path: &Path, group_members: usize) -> Result<Sqlite, OpenError> {
    let options = Options { group_members, readers: 2, ..Options::default() };
    Sqlite::open(path, &options, Timestamp::from_millis(START))
}

crate::contract::contract_suite!(Files);

type SqliteWorld = World<Files>;

/// Copies what a power cut would leave of the files, while they are in use.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[tokio::test]
async fn a_second_opening_is_refused() {
    let world = SqliteWorld::new();
    assert!(matches!(open(&world.fixture().path(), 5), Err(OpenError::InUse(_))));
}

#[tokio::test]
async fn files_are_their_owners() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = SqliteWorld::new();
    world.user("ann").await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let directory = world.fixture().path();
    assert_eq!(mode(&directory), 0o700);
    for file in std::fs::read_dir(directory).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

/// The write-ahead log of a process that was killed holds what it acknowledged.
#[tokio::test]
async fn what_was_acknowledged_is_in_the_files() {
    let world = SqliteWorld::new();
    let ann = world.user("ann").await;
    let group = world.group(ann, &[]).await;
    for _ in 0..20 {
        world.say(ann, group, "hello").await;
    }
    let elsewhere = TempDir::new().unwrap();
    copy(&world.fixture().path(), elsewhere.path());
    let store = open(elsewhere.path(), 5).unwrap();
    let page = store.pull(ann, group, everything()).await.unwrap().unwrap();
    assert_eq!(seqs(&page), (1..=21).collect::<Vec<_>>());
    assert_eq!(store.epoch().await.unwrap(), world.store().epoch().await.unwrap());
}

#[tokio::test]
async fn an_older_copy_begins_a_new_epoch() {
    let mut world = SqliteWorld::new();
    let ann = world.user("ann").await;
    world.store().close().await.unwrap();
    let backup = TempDir::new().unwrap();
    copy(&world.fixture().path(), backup.path());
    let epoch = world.store().epoch().await.unwrap();
    world.group(ann, &[]).await;
    let position = world.store().sync(ann, None, 10).await.unwrap().next;
    world.store().close().await.unwrap();
    world.reopen();
    assert_eq!(world.store().epoch().await.unwrap(), epoch);
    let restore = |files: &Files| {
        std::fs::copy(backup.path().join("sparrow.db"), files.path().join("sparrow.db")).unwrap();
    };
    world.reopen_after(restore);
    let restored = world.store().epoch().await.unwrap();
    assert_ne!(restored, epoch);
    assert!(world.store().sync(ann, Some(position), 10).await.unwrap().full);
    world.reopen();
    assert_eq!(world.store().epoch().await.unwrap(), restored);
}

#[tokio::test]
async fn a_copy_without_its_counter_begins_a_new_epoch() {
    let mut world = SqliteWorld::new();
    let epoch = world.store().epoch().await.unwrap();
    world.reopen_after(|files| std::fs::remove_file(files.path().join("commits")).unwrap());
    assert_ne!(world.store().epoch().await.unwrap(), epoch);
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers() {
    let world = SqliteWorld::new();
    let ann = world.user("ann").await;
    let group = world.group(ann, &[]).await;
    world.say(ann, group, "before").await;
    world.store().limit_pages(1).await.unwrap();
    let big = world.message(ann, group, &"x".repeat(200_000));
    let batch = crate::log::Batch { now: world.now(), commands: vec![big.clone()], cursors: Vec::new() };
    assert!(matches!(world.store().append(batch.into()).await, Err(StoreError::StorageFull)));
    assert_eq!(world.seen(ann, group).await, [1, 2]);
    world.store().limit_pages(1_000_000).await.unwrap();
    assert_eq!(stored(world.run(big).await).entry.seq, seq(3));
}

/// The database fails over one command: its neighbours are stored, and a later retry of it too.
#[tokio::test]
async fn one_poisoned_command_fails_alone() {
    let world = SqliteWorld::new();
    let [ann, eve] = world.users(["ann", "eve"]).await;
    let group = world.group(ann, &[]).await;
    let raw = world.fixture().raw();
    raw.execute_batch(
        "CREATE TRIGGER poison BEFORE INSERT ON entries WHEN NEW.body = CAST('poison' AS BLOB)
         BEGIN SELECT RAISE(ABORT, 'poison'); END",
    )
    .unwrap();
    let poison = world.message(ann, group, "poison");
    let commands = vec![
        world.message(ann, group, "two"),
        poison.clone(),
        world.message(eve, group, "refused"),
        world.message(ann, group, "three"),
    ];
    let [two, failed, refused, three] = world.batch(commands).await.try_into().unwrap();
    assert_eq!([two, three].map(|outcome| stored(outcome).entry.seq), [seq(2), seq(3)]);
    assert!(matches!(failed, Outcome::Failed));
    assert_refused(&refused, Refusal::NotFound);
    assert_eq!(world.seen(ann, group).await, [1, 2, 3]);
    raw.execute_batch("DROP TRIGGER poison").unwrap();
    assert_eq!(stored(world.run(poison).await).entry.seq, seq(4));
}

/// What a failed command had written before it failed is undone.
#[tokio::test]
async fn a_poisoned_command_leaves_nothing_behind() {
    let world = SqliteWorld::new();
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group(ann, &[]).await;
    let poison = "CREATE TRIGGER poison BEFORE INSERT ON entries WHEN NEW.kind = 'membership'
         BEGIN SELECT RAISE(ABORT, 'poison'); END";
    world.fixture().raw().execute_batch(poison).unwrap();
    let add = world.command(ann, group, Action::AddMembers { users: vec![bob] });
    let commands = vec![add, world.message(bob, group, "not in"), world.message(ann, group, "two")];
    let [added, not_in, two] = world.batch(commands).await.try_into().unwrap();
    assert!(matches!(added, Outcome::Failed));
    assert_refused(&not_in, Refusal::NotFound);
    assert_eq!(stored(two).members_version, world.store().members(group, 0).await.unwrap().unwrap().version);
    assert!(world.pull(bob, group).await.is_none());
    assert!(world.store().sync(bob, None, 10).await.unwrap().states.is_empty());
}

#[tokio::test]
async fn damaged_rows_keep_their_place() {
    let world = SqliteWorld::new();
    let ann = world.user("ann").await;
    let group = world.group(ann, &[]).await;
    for text in ["two", "three", "four", "five", "six", "seven", "eight"] {
        world.say(ann, group, text).await;
    }
    let raw = world.fixture().raw();
    for damage in [
        "UPDATE entries SET kind = 'gibberish' WHERE seq = 2",
        "UPDATE entries SET body = 12 WHERE seq = 3",
        "UPDATE entries SET sender_id = 'x', time = 'y' WHERE seq = 4",
        "UPDATE entries SET client_msg_id = x'00' WHERE seq = 5",
        "UPDATE entries SET body = NULL WHERE seq = 6",
        "DELETE FROM entries WHERE seq = 7",
    ] {
        assert_eq!(raw.execute(damage, []).unwrap(), 1);
    }
    let page = world.pull(ann, group).await.unwrap();
    assert_eq!(seqs(&page), [1, 2, 3, 4, 5, 6, 7, 8]);
    for visible in &page.entries {
        let entry = &visible.entry;
        assert_eq!(entry.body == Body::Damaged, (2..=7).contains(&entry.seq.get()), "{entry:?}");
        assert_eq!(entry.kind == EntryKind::Message, entry.seq > Seq::FIRST);
    }
    let back = crate::log::Range { backward: true, limit: 3, ..everything() };
    let page = world.store().pull(ann, group, back).await.unwrap().unwrap();
    assert_eq!((seqs(&page), page.covered), (vec![6, 7, 8], (seq(6), seq(8))));
    assert_eq!(world.say(ann, group, "nine").await, seq(9));
}

/// A page of the file that was overwritten costs the entries on it, not the log.
#[tokio::test]
async fn an_unreadable_page_costs_its_entries() {
    const PAGE: usize = 4_096;
    let mut world = SqliteWorld::new();
    let ann = world.user("ann").await;
    let group = world.group(ann, &[]).await;
    for text in ["two", "three", "four", "five"] {
        world.say(ann, group, &text.repeat(700)).await;
    }
    world.store().close().await.unwrap();
    world.reopen_after(|files| {
        let path = files.path().join("sparrow.db");
        let mut bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(9).position(|window| window == b"threethre").unwrap();
        let page = found / PAGE * PAGE;
        bytes[page..page + PAGE].fill(0xff);
        std::fs::write(&path, bytes).unwrap();
    });
    for backward in [false, true] {
        let range = crate::log::Range { backward, ..everything() };
        let page = world.store().pull(ann, group, range).await.unwrap().unwrap();
        assert_eq!(seqs(&page), [1, 2, 3, 4, 5]);
        let damaged = page.entries.iter().filter(|visible| visible.entry.body == Body::Damaged);
        let damaged: Vec<i64> = damaged.map(|visible| visible.entry.seq.get()).collect();
        assert!(damaged.contains(&3) && damaged.len() < 4, "{damaged:?}");
    }
}

#[tokio::test]
async fn erased_rows_keep_everything_but_the_body() {
    let world = SqliteWorld::new();
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group(ann, &[bob]).await;
    let command = world.message(ann, group, "regretted");
    let entry = stored(world.run(command.clone()).await).entry;
    world.fixture().raw().execute("UPDATE entries SET erased = 1, body = NULL WHERE seq = 2", []).unwrap();
    let erased = crate::log::StoredEntry { body: Body::Erased, ..entry };
    assert_eq!(world.pull(bob, group).await.unwrap().entries[1].entry, erased);
    let listed = world.store().conversation(bob, group).await.unwrap().unwrap();
    assert_eq!((listed.unread, listed.last_message), (0, Some(erased.clone())));
    assert_eq!(crate::contract::duplicate(world.run(command).await).entry, erased);
}

#[tokio::test]
async fn nothing_under_the_floor_is_answered() {
    let world = SqliteWorld::new();
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group(ann, &[bob]).await;
    for _ in 2..=5 {
        world.say(ann, group, "x").await;
    }
    let raw = world.fixture().raw();
    raw.execute_batch("UPDATE conversations SET floor = 4; DELETE FROM entries WHERE seq < 4").unwrap();
    let page = world.pull(bob, group).await.unwrap();
    assert_eq!((seqs(&page), page.floor, page.covered), (vec![4, 5], seq(4), (seq(1), seq(5))));
    let listed = world.store().conversation(bob, group).await.unwrap().unwrap();
    assert_eq!((listed.unread, listed.view.floor), (2, seq(4)));
    assert_eq!(world.store().entries(group, seq(1), seq(9)).await.unwrap().1.len(), 2);
}

#[tokio::test]
async fn a_reference_outside_the_intervals_is_marked() {
    let world = SqliteWorld::new();
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group(ann, &[]).await;
    world.say(ann, group, "two").await;
    world.act(ann, group, Action::AddMembers { users: vec![bob] }).await;
    world.say(ann, group, "four").await;
    world.say(ann, group, "five").await;
    let raw = world.fixture().raw();
    raw.execute_batch(
        "UPDATE entries SET ref_seq = 2, kind = 'edit' WHERE seq = 4;
         UPDATE entries SET ref_seq = 3 WHERE seq = 5",
    )
    .unwrap();
    let visible = async |user| {
        let page = world.pull(user, group).await.unwrap();
        page.entries.into_iter().map(|v| (v.entry.seq.get(), v.ref_visible)).collect::<Vec<_>>()
    };
    assert_eq!(visible(bob).await, [(3, true), (4, false), (5, true)]);
    assert!(visible(ann).await.into_iter().all(|(_, visible)| visible));
}

/// What "durable" rests on, as the connections themselves tell it.
#[tokio::test]
async fn connections_are_set_to_be_durable() {
    const FULL: i64 = 2;
    let world = SqliteWorld::new();
    let settings = |db: &Connection| {
        let ask = |name: &str| db.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, Value>(0));
        Ok((ask("journal_mode")?, ask("synchronous")?, ask("query_only")?))
    };
    let expected = |query_only: i64| (Value::from("wal".to_owned()), Value::from(FULL), Value::from(query_only));
    assert_eq!(world.store().writer.run(move |tx| settings(tx.db)).await.unwrap(), expected(0));
    assert_eq!(world.store().readers.run(settings).await.unwrap(), expected(1));
}

/// A program that reads for long keeps the write-ahead log from being emptied, but not appends from going on.
#[tokio::test]
async fn the_write_ahead_log_is_cut_once_readers_let_go() {
    const LIMIT: u64 = 64 * 1024 * 1024;
    let world = SqliteWorld::new();
    let ann = world.user("ann").await;
    let group = world.group(ann, &[]).await;
    let raw = world.fixture().raw();
    raw.execute_batch("BEGIN; SELECT COUNT(*) FROM entries").unwrap();
    let wal = world.fixture().path().join("sparrow.db-wal");
    let length = || std::fs::metadata(&wal).unwrap().len();
    let text = "x".repeat(1_000_000);
    while length() <= LIMIT {
        world.batch((0..8).map(|_| world.message(ann, group, &text)).collect()).await;
    }
    raw.execute_batch("COMMIT").unwrap();
    let mut commits = 0;
    while length() > LIMIT {
        world.say(ann, group, "x").await;
        commits += 1;
        assert!(commits < 100_000);
    }
}

#[tokio::test]
async fn closing_empties_the_write_ahead_log() {
    let world = SqliteWorld::new();
    world.user("ann").await;
    let wal = world.fixture().path().join("sparrow.db-wal");
    assert!(std::fs::metadata(&wal).unwrap().len() > 0);
    world.store().close().await.unwrap();
    assert_eq!(std::fs::metadata(&wal).unwrap().len(), 0);
}

#[cfg(feature = "sabotage")]
mod sabotage {
    use super::*;
    use crate::contract::random::histories_catch;
    use crate::faults::Rule;

    #[test]
    fn in_memory_deduplication() {
        histories_catch::<Files>(Rule::InMemoryDeduplication);
    }

    #[test]
    fn blind_cursor_update() {
        histories_catch::<Files>(Rule::BlindCursorUpdate);
    }

    #[test]
    fn seq_before_deduplication() {
        histories_catch::<Files>(Rule::SeqBeforeDeduplication);
    }
}
