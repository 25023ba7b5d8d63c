//! Forgetting what is over, a little at a time: other writes wait while it is done.

use rusqlite::Connection;
use sparrow_protocol::Timestamp;

use super::epoch;
use super::row::Sql;

/// A day.
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// How long the key of a request is known.
pub(super) const KEYS_KEPT_MS: i64 = DAY_MS;
/// How long a deletion of own state is known.
const DELETIONS_KEPT_MS: i64 = 90 * DAY_MS;

/// Forgets at most `limit` rows of each kind. True if some kind may have more.
pub(super) fn forget(db: &Connection, now: Timestamp, limit: usize) -> Sql<bool> {
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let now = now.millis();
    let keys = db
        .prepare_cached(
            "DELETE FROM idempotency_keys WHERE (sender_id, key) IN
             (SELECT sender_id, key FROM idempotency_keys WHERE created < $1 ORDER BY created LIMIT $2)",
        )?
        .execute([now - KEYS_KEPT_MS, most])?;
    let tokens = db
        .prepare_cached(
            "DELETE FROM refresh_tokens WHERE hash IN
             (SELECT hash FROM refresh_tokens WHERE expires < $1 ORDER BY expires LIMIT $2)",
        )?
        .execute([now, most])?;
    let deletions = forget_deletions(db, now - DELETIONS_KEPT_MS, most)?;
    Ok([keys, tokens, deletions].into_iter().any(|forgotten| forgotten >= limit))
}

/// A `Sync` from before the last deletion that was forgotten is answered in full.
fn forget_deletions(db: &Connection, before: i64, most: i64) -> Sql<usize> {
    let mut delete = db.prepare_cached(
        "DELETE FROM own_state WHERE (user_id, kind, key) IN
         (SELECT user_id, kind, key FROM own_state WHERE value = '' AND written < $1 ORDER BY written LIMIT $2)
         RETURNING changed",
    )?;
    let forgotten = delete.query_map([before, most], |row| row.get(0))?.collect::<Sql<Vec<i64>>>()?;
    if let Some(last) = forgotten.iter().copied().max() {
        let purged = epoch::number_fact(db, epoch::PURGED)?.max(last);
        epoch::set_fact(db, epoch::PURGED, &purged.to_string())?;
    }
    Ok(forgotten.len())
}
