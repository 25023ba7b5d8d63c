//! Which life of the database this is: the lock against a second process, the epoch, and the commit counter beside the
//! database by which a restored older copy is recognised.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::row::Sql;

/// Digits of the counter in its file: always the same number, so that a write never changes the file's length.
const DIGITS: usize = 20;

/// The number of the last commit, in a file of its own.
///
/// It is written after the commit and not forced to the disk, so it may lag behind the database but never lead. A
/// database that is behind it was restored from a copy; so was one without the file, since back-ups leave it out.
#[derive(Debug)]
pub(super) struct CounterFile(File);

impl CounterFile {
    /// Opens the file, or makes it, and tells what it says; `None` if it was not there.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Option<i64>)> {
        let mut file = private().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        Ok((Self(file), text.trim().parse().ok()))
    }

    /// Notes a commit.
    pub(super) fn write(&mut self, commit: i64) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(0))?;
        self.0.write_all(format!("{commit:0DIGITS$}\n").as_bytes())
    }
}

/// Options to make a file that only its owner may read.
pub(super) fn private() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "modes exist on Unix only"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A fact about the database.
pub(super) fn fact(db: &Connection, name: &str) -> Sql<Option<String>> {
    db.prepare_cached("SELECT value FROM meta WHERE name = $1")?.query_row([name], |row| row.get(0)).optional()
}

/// Sets a fact about the database.
pub(super) fn set_fact(db: &Connection, name: &str, value: &str) -> Sql<()> {
    db.prepare_cached("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2")?
        .execute([name, value])?;
    Ok(())
}

/// A fact that is a number; 0 if it was never set.
pub(super) fn number_fact(db: &Connection, name: &str) -> Sql<i64> {
    Ok(fact(db, name)?.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// The name of the epoch among the facts.
pub(super) const EPOCH: &str = "epoch";
/// The name of the last commit's number among the facts.
pub(super) const COMMITS: &str = "commits";
/// The name of the commit before which deletions are no longer known, among the facts.
pub(super) const PURGED: &str = "purged";

/// Begins a new epoch if the database has none, or was restored from a copy older than its counter file.
pub(super) fn settle(db: &Connection, noted: Option<i64>) -> Sql<()> {
    let known = fact(db, EPOCH)?.is_some();
    let restored = noted.is_none_or(|noted| number_fact(db, COMMITS).is_ok_and(|commits| commits < noted));
    if known && !restored {
        return Ok(());
    }
    if known {
        tracing::warn!("this database was restored from a copy: beginning a new epoch");
    }
    set_fact(db, EPOCH, &uuid::Uuid::new_v4().simple().to_string())
}
