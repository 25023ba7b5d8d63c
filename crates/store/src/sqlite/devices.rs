//! Devices, their tokens, and the generation of their sessions.

mod policy;

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row};
use sparrow_protocol::{DeviceId, Timestamp, UserId};

use super::accounts;
use super::row::{Sql, device_id, time, user_id};
use super::writer::Tx;
use crate::directory::{
    Authenticated, Device, DeviceLoggedIn, DeviceLogin, DeviceRefused, NewTokens, Refreshed, TokenHash, User,
};

const MINUTE_MS: i64 = 60_000;

/// When a device was seen, as it is kept: to the minute.
fn minute(now: Timestamp) -> i64 {
    now.millis() - now.millis().rem_euclid(MINUTE_MS)
}

/// Reads a device from the columns `id, user_id, name, platform, created, last_seen`.
fn device(row: &Row<'_>) -> Sql<Device> {
    Ok(Device {
        device: device_id(row, 0)?,
        user: user_id(row, 1)?,
        name: row.get(2)?,
        platform: row.get(3)?,
        created: time(row, 4)?,
        last_seen: time(row, 5)?,
    })
}

pub(super) fn log_in(tx: &Tx<'_>, login: &DeviceLogin, now: Timestamp) -> Sql<Result<DeviceLoggedIn, DeviceRefused>> {
    if let Some(device) = login.device
        && !is_known(tx, device, login.user)?
    {
        return Ok(Err(DeviceRefused::Unknown));
    }
    let leaving = match policy::who_leaves(tx, login, now)? {
        Ok(leaving) => leaving,
        Err(refused) => return Ok(Err(refused)),
    };
    for device in &leaving {
        revoke(tx, login.user, *device, now)?;
    }
    let id = match login.device {
        Some(device) => log_in_again(tx, device, login, now)?,
        None => log_in_new(tx, login, now)?,
    };
    give_refresh_token(tx, id, &login.tokens)?;
    let device = tx
        .db
        .prepare_cached("SELECT id, user_id, name, platform, created, last_seen FROM devices WHERE id = $1")?
        .query_row([id.get()], device)?;
    Ok(Ok(DeviceLoggedIn { device, revoked: leaving }))
}

/// True if the device is the user's and was not revoked.
fn is_known(tx: &Tx<'_>, device: DeviceId, user: UserId) -> Sql<bool> {
    tx.db
        .prepare_cached("SELECT 1 FROM devices WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL")?
        .exists((device.get(), user.get()))
}

/// Gives a known device its new tokens.
fn log_in_again(tx: &Tx<'_>, device: DeviceId, login: &DeviceLogin, now: Timestamp) -> Sql<DeviceId> {
    tx.db
        .prepare_cached(
            "UPDATE devices SET name = $1, platform = $2, access_hash = $3, access_expires = $4, last_seen = $5
             WHERE id = $6",
        )?
        .execute((
            &login.name,
            &login.platform,
            login.tokens.access.0,
            login.tokens.access_expires.millis(),
            minute(now),
            device.get(),
        ))?;
    forget_refresh_tokens(tx, device)?;
    Ok(device)
}

/// Adds a device.
fn log_in_new(tx: &Tx<'_>, login: &DeviceLogin, now: Timestamp) -> Sql<DeviceId> {
    accounts::with_new_id(now, |id| {
        tx.db
            .prepare_cached(
                "INSERT INTO devices (id, user_id, name, platform, access_hash, access_expires, created, last_seen)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING",
            )?
            .execute((
                id,
                login.user.get(),
                &login.name,
                &login.platform,
                login.tokens.access.0,
                login.tokens.access_expires.millis(),
                now.millis(),
                minute(now),
            ))
    })
}

fn give_refresh_token(tx: &Tx<'_>, device: DeviceId, tokens: &NewTokens) -> Sql<()> {
    tx.db.prepare_cached("INSERT INTO refresh_tokens (hash, device_id, expires) VALUES ($1, $2, $3)")?.execute((
        tokens.refresh.0,
        device.get(),
        tokens.refresh_expires.millis(),
    ))?;
    Ok(())
}

fn forget_refresh_tokens(tx: &Tx<'_>, device: DeviceId) -> Sql<()> {
    tx.db.prepare_cached("DELETE FROM refresh_tokens WHERE device_id = $1")?.execute([device.get()])?;
    Ok(())
}

pub(super) fn authenticate(db: &Connection, access: TokenHash, now: Timestamp) -> Sql<Option<Authenticated>> {
    db.prepare_cached(
        "SELECT u.id, u.name, u.display_name, u.bio, u.presence, u.last_seen, d.id, d.generation, d.access_expires
         FROM devices d JOIN users u ON u.id = d.user_id
         WHERE d.access_hash = $1 AND d.access_expires > $2 AND d.revoked_at IS NULL",
    )?
    .query_row((access.0, now.millis()), |row| {
        Ok(Authenticated {
            user: accounts::user(row)?,
            device: device_id(row, 6)?,
            generation: row.get(7)?,
            expires: time(row, 8)?,
        })
    })
    .optional()
}

/// A refresh token that is known, of a device that is not revoked.
struct KnownToken {
    user: User,
    device: DeviceId,
    exchanged_at: Option<Timestamp>,
}

fn known_token(tx: &Tx<'_>, refresh: TokenHash, now: Timestamp) -> Sql<Option<KnownToken>> {
    tx.db
        .prepare_cached(
            "SELECT u.id, u.name, u.display_name, u.bio, u.presence, u.last_seen, d.id, t.exchanged_at
             FROM refresh_tokens t JOIN devices d ON d.id = t.device_id JOIN users u ON u.id = d.user_id
             WHERE t.hash = $1 AND t.expires > $2 AND d.revoked_at IS NULL",
        )?
        .query_row((refresh.0, now.millis()), |row| {
            let exchanged_at = row.get::<_, Option<i64>>(7)?.map(Timestamp::from_millis);
            Ok(KnownToken { user: accounts::user(row)?, device: device_id(row, 6)?, exchanged_at })
        })
        .optional()
}

pub(super) fn refresh(
    tx: &Tx<'_>,
    refresh: TokenHash,
    tokens: &NewTokens,
    grace: Duration,
    now: Timestamp,
) -> Sql<Refreshed> {
    let Some(KnownToken { user, device, exchanged_at }) = known_token(tx, refresh, now)? else {
        return Ok(Refreshed::Unknown);
    };
    if exchanged_at.is_some_and(|at| now > at.after(grace)) {
        revoke(tx, user.user, device, now)?;
        return Ok(Refreshed::Reused { user: user.user, device });
    }
    tx.db
        .prepare_cached("UPDATE refresh_tokens SET exchanged_at = $1 WHERE hash = $2 AND exchanged_at IS NULL")?
        .execute((now.millis(), refresh.0))?;
    // Whatever else the device was given but never exchanged got lost on its way: there is one good token at a time.
    tx.db
        .prepare_cached("DELETE FROM refresh_tokens WHERE device_id = $1 AND (exchanged_at IS NULL OR expires < $2)")?
        .execute((device.get(), now.millis()))?;
    tx.db
        .prepare_cached("UPDATE devices SET access_hash = $1, access_expires = $2, last_seen = $3 WHERE id = $4")?
        .execute((tokens.access.0, tokens.access_expires.millis(), minute(now), device.get()))?;
    give_refresh_token(tx, device, tokens)?;
    Ok(Refreshed::Rotated { user, device })
}

pub(super) fn begin_session(tx: &Tx<'_>, device: DeviceId, now: Timestamp) -> Sql<Option<i64>> {
    let generation = tx
        .db
        .prepare_cached(
            "UPDATE devices SET generation = generation + 1, last_seen = $1 WHERE id = $2 AND revoked_at IS NULL
             RETURNING generation",
        )?
        .query_row((minute(now), device.get()), |row| row.get(0))
        .optional()?;
    user_seen(tx, device, now)?;
    Ok(generation)
}

pub(super) fn seen(tx: &Tx<'_>, device: DeviceId, now: Timestamp) -> Sql<()> {
    tx.db
        .prepare_cached("UPDATE devices SET last_seen = $1 WHERE id = $2 AND last_seen < $1")?
        .execute((minute(now), device.get()))?;
    user_seen(tx, device, now)
}

fn user_seen(tx: &Tx<'_>, device: DeviceId, now: Timestamp) -> Sql<()> {
    tx.db
        .prepare_cached(
            "UPDATE users SET last_seen = $1
             WHERE id = (SELECT user_id FROM devices WHERE id = $2) AND last_seen < $1",
        )?
        .execute((minute(now), device.get()))?;
    Ok(())
}

pub(super) fn change_password(
    tx: &Tx<'_>,
    user: UserId,
    hash: &str,
    keep: DeviceId,
    now: Timestamp,
) -> Sql<Option<Vec<DeviceId>>> {
    if !accounts::set_password(tx, user, hash)? {
        return Ok(None);
    }
    let mut others: Vec<_> = of_user(tx.db, user)?.into_iter().map(|device| device.device).collect();
    others.retain(|device| *device != keep);
    for device in &others {
        revoke(tx, user, *device, now)?;
    }
    Ok(Some(others))
}

pub(super) fn of_user(db: &Connection, user: UserId) -> Sql<Vec<Device>> {
    db.prepare_cached(
        "SELECT id, user_id, name, platform, created, last_seen FROM devices
         WHERE user_id = $1 AND revoked_at IS NULL ORDER BY id",
    )?
    .query_map([user.get()], device)?
    .collect()
}

pub(super) fn revoke(tx: &Tx<'_>, user: UserId, device: DeviceId, now: Timestamp) -> Sql<bool> {
    let changed = tx
        .db
        .prepare_cached(
            "UPDATE devices SET revoked_at = $1, access_hash = NULL
             WHERE id = $2 AND user_id = $3 AND revoked_at IS NULL",
        )?
        .execute((now.millis(), device.get(), user.get()))?;
    if changed == 1 {
        forget_refresh_tokens(tx, device)?;
    }
    Ok(changed == 1)
}
