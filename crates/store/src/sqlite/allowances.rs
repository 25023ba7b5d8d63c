//! What may be done so often: token buckets, each kept as the time at which it is full again.

use std::time::Duration;

use rusqlite::OptionalExtension;
use sparrow_protocol::Timestamp;

use super::row::Sql;
use super::writer::Tx;
use crate::directory::{Allowance, UsedUp};

pub(super) fn take(tx: &Tx<'_>, allowances: &[Allowance], now: Timestamp) -> Sql<Result<(), UsedUp>> {
    let mut taken = Vec::with_capacity(allowances.len());
    let mut used_up: Option<UsedUp> = None;
    for allowance in allowances {
        let full_at = full_at(tx, &allowance.key)?.unwrap_or(0).max(now.millis()) + millis(allowance.interval);
        let wait = full_at - now.millis() - millis(allowance.depth);
        if wait <= 0 {
            taken.push((&allowance.key, full_at));
            continue;
        }
        let wait = Duration::from_millis(wait.unsigned_abs());
        if used_up.as_ref().is_none_or(|longest| wait > longest.wait) {
            used_up = Some(UsedUp { key: allowance.key.clone(), wait });
        }
    }
    if let Some(used_up) = used_up {
        return Ok(Err(used_up));
    }
    // Full ones need not be kept.
    tx.db.prepare_cached("DELETE FROM allowances WHERE full_at <= $1")?.execute([now.millis()])?;
    for (key, full_at) in taken {
        tx.db
            .prepare_cached(
                "INSERT INTO allowances (name, full_at) VALUES ($1, $2)
                 ON CONFLICT (name) DO UPDATE SET full_at = excluded.full_at",
            )?
            .execute((key, full_at))?;
    }
    Ok(Ok(()))
}

fn full_at(tx: &Tx<'_>, key: &str) -> Sql<Option<i64>> {
    tx.db
        .prepare_cached("SELECT full_at FROM allowances WHERE name = $1")?
        .query_row([key], |row| row.get(0))
        .optional()
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}
