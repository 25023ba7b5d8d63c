//! Accounts, ids that were never given out, and the system's secrets.

use rusqlite::{Connection, OptionalExtension, Row};
use sparrow_protocol::id::id_number;
use sparrow_protocol::{Timestamp, UserId, Username};

use super::conversations::{cut, one_more};
use super::row::{Sql, user_id};
use super::writer::Tx;
use crate::directory::{Credentials, Listed, NameTaken, NewUser, ProfileChange, User, Visibility};

/// Draws ids until `insert` adds a row under one, which it does not if the id was given out before.
pub(super) fn with_new_id<T: TryFrom<i64>>(now: Timestamp, insert: impl Fn(i64) -> Sql<usize>) -> Sql<T> {
    loop {
        let number = id_number(now, rand::random());
        if insert(number)? == 1 {
            return T::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, number));
        }
    }
}

/// Reads a user from the columns `id, name, display_name, bio, presence, last_seen`, the first of the row.
pub(super) fn user(row: &Row<'_>) -> Sql<User> {
    let last_seen: i64 = row.get(5)?;
    Ok(User {
        user: user_id(row, 0)?,
        name: row.get(1)?,
        display_name: row.get(2)?,
        bio: row.get(3)?,
        // A word of a later version hides more rather than less.
        visibility: Visibility::from_word(&row.get::<_, String>(4)?).unwrap_or(Visibility::Nobody),
        last_seen: (last_seen > 0).then(|| Timestamp::from_millis(last_seen)),
    })
}

pub(super) fn create(tx: &Tx<'_>, new: &NewUser, now: Timestamp) -> Sql<Result<User, NameTaken>> {
    if by_name(tx.db, &new.name)?.is_some() {
        return Ok(Err(NameTaken));
    }
    let user = with_new_id(now, |id| {
        tx.db
            .prepare_cached(
                "INSERT INTO users (id, name, name_key, display_name, password_hash, created)
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING",
            )?
            .execute((id, new.name.as_str(), new.name.key(), &new.display_name, &new.password_hash, now.millis()))
    })?;
    Ok(Ok(User {
        user,
        name: new.name.as_str().to_owned(),
        display_name: new.display_name.clone(),
        bio: String::new(),
        visibility: Visibility::default(),
        last_seen: None,
    }))
}

pub(super) fn by_id(db: &Connection, id: UserId) -> Sql<Option<User>> {
    db.prepare_cached("SELECT id, name, display_name, bio, presence, last_seen FROM users WHERE id = $1")?
        .query_row([id.get()], user)
        .optional()
}

pub(super) fn by_name(db: &Connection, name: &Username) -> Sql<Option<User>> {
    Ok(credentials(db, name)?.map(|credentials| credentials.user))
}

pub(super) fn credentials(db: &Connection, name: &Username) -> Sql<Option<Credentials>> {
    db.prepare_cached(
        "SELECT id, name, display_name, bio, presence, last_seen, password_hash FROM users WHERE name_key = $1",
    )?
    .query_row([name.key()], |row| Ok(Credentials { user: user(row)?, password_hash: row.get(6)? }))
    .optional()
}

pub(super) fn by_ids(db: &Connection, ids: &[UserId]) -> Sql<Vec<User>> {
    let mut users = Vec::with_capacity(ids.len());
    for id in ids {
        users.extend(by_id(db, *id)?);
    }
    Ok(users)
}

pub(super) fn by_prefix(db: &Connection, prefix: &str, after: Option<&str>, limit: usize) -> Sql<Listed<User, String>> {
    // The first text after all that begin with the prefix: no name holds the last code point.
    let end = format!("{prefix}{}", char::MAX);
    let mut items = db
        .prepare_cached(
            "SELECT id, name, display_name, bio, presence, last_seen, name_key FROM users
             WHERE name_key >= $1 AND name_key < $2 AND name_key > $3 AND password_hash IS NOT NULL
             ORDER BY name_key LIMIT $4",
        )?
        .query_map((prefix, end, after.unwrap_or(""), one_more(limit)), |row| Ok((user(row)?, row.get(6)?)))?
        .collect::<Sql<Vec<(User, String)>>>()?;
    let next = cut(&mut items, limit, |(_, key)| key.clone());
    Ok(Listed { items: items.into_iter().map(|(user, _)| user).collect(), next })
}

pub(super) fn update_profile(tx: &Tx<'_>, id: UserId, change: &ProfileChange) -> Sql<Option<User>> {
    let ProfileChange { display_name, bio, visibility } = change;
    tx.db
        .prepare_cached(
            "UPDATE users SET display_name = COALESCE($1, display_name), bio = COALESCE($2, bio),
                 presence = COALESCE($3, presence)
             WHERE id = $4 RETURNING id, name, display_name, bio, presence, last_seen",
        )?
        .query_row((display_name, bio, visibility.map(Visibility::as_str), id.get()), user)
        .optional()
}

/// Gives an account another password; false if there is no such account.
pub(super) fn set_password(tx: &Tx<'_>, id: UserId, hash: &str) -> Sql<bool> {
    let changed =
        tx.db.prepare_cached("UPDATE users SET password_hash = $1 WHERE id = $2")?.execute((hash, id.get()))?;
    Ok(changed == 1)
}

/// The secret of this name, which is `fresh` if there was none.
pub(super) fn secret(tx: &Tx<'_>, name: &str, fresh: [u8; 32]) -> Sql<[u8; 32]> {
    tx.db
        .prepare_cached("INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")?
        .execute((name, fresh))?;
    tx.db.prepare_cached("SELECT value FROM secrets WHERE name = $1")?.query_row([name], |row| row.get(0))
}
