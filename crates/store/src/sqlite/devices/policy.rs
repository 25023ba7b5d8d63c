//! Which devices make room for one that logs in.

use rusqlite::Row;
use sparrow_protocol::{DeviceId, Timestamp};

use crate::directory::{DeviceLogin, DeviceRefused, WhenFull};
use crate::sqlite::row::{Sql, device_id};
use crate::sqlite::writer::Tx;

/// Another device of the user.
struct Other {
    device: DeviceId,
    platform: String,
    last_seen: i64,
    /// True if it can still exchange a refresh token.
    lives: bool,
}

fn other(row: &Row<'_>) -> Sql<Other> {
    Ok(Other { device: device_id(row, 0)?, platform: row.get(1)?, last_seen: row.get(2)?, lives: row.get(3)? })
}

/// The devices to be revoked, or the refusal of the one that logs in.
pub(super) fn who_leaves(
    tx: &Tx<'_>,
    login: &DeviceLogin,
    now: Timestamp,
) -> Sql<Result<Vec<DeviceId>, DeviceRefused>> {
    let mut others = others(tx, login, now)?;
    let mut leaving: Vec<DeviceId> = others.extract_if(.., |other| !other.lives).map(|other| other.device).collect();
    // Those that were away longest first, and those that are connected last.
    others.sort_by_key(|other| (login.online.contains(&other.device), other.last_seen, other.device));
    for rule in &login.rules {
        let counted = |other: &Other| !rule.of_platform || other.platform == login.platform;
        let most = rule.most.max(1) as usize;
        let mut surplus = (others.iter().filter(|other| counted(other)).count() + 1).saturating_sub(most);
        if surplus > 0 && login.when_full == WhenFull::RejectNew {
            return Ok(Err(DeviceRefused::TooMany));
        }
        others.retain(|other| {
            let leaves = surplus > 0 && counted(other);
            if leaves {
                surplus -= 1;
                leaving.push(other.device);
            }
            !leaves
        });
    }
    Ok(Ok(leaving))
}

fn others(tx: &Tx<'_>, login: &DeviceLogin, now: Timestamp) -> Sql<Vec<Other>> {
    tx.db
        .prepare_cached(
            "SELECT d.id, d.platform, d.last_seen,
                 EXISTS (SELECT 1 FROM refresh_tokens t WHERE t.device_id = d.id AND t.expires > $1)
             FROM devices d WHERE d.user_id = $2 AND d.revoked_at IS NULL AND d.id <> $3",
        )?
        .query_map((now.millis(), login.user.get(), login.device.map_or(0, DeviceId::get)), other)?
        .collect()
}
