//! Columns as the types of the protocol, and errors of the driver as the store's.

use std::str::FromStr;

use rusqlite::types::Type;
use rusqlite::{Error, ErrorCode, Row};
use sparrow_protocol::{ConversationId, DeviceId, Seq, Timestamp, UserId};

use crate::StoreError;

/// The result of a statement.
pub(super) type Sql<T> = rusqlite::Result<T>;

/// Reads a number column as one of the protocol's types.
fn number<T: TryFrom<i64>>(row: &Row<'_>, column: usize) -> Sql<T> {
    let number: i64 = row.get(column)?;
    T::try_from(number).map_err(|_| Error::IntegralValueOutOfRange(column, number))
}

pub(super) fn user_id(row: &Row<'_>, column: usize) -> Sql<UserId> {
    number(row, column)
}

pub(super) fn device_id(row: &Row<'_>, column: usize) -> Sql<DeviceId> {
    number(row, column)
}

pub(super) fn conversation_id(row: &Row<'_>, column: usize) -> Sql<ConversationId> {
    number(row, column)
}

pub(super) fn seq(row: &Row<'_>, column: usize) -> Sql<Seq> {
    number(row, column)
}

pub(super) fn time(row: &Row<'_>, column: usize) -> Sql<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

/// Reads a column that holds one of the vocabulary's words.
pub(super) fn word<T>(row: &Row<'_>, column: usize) -> Sql<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error| Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

/// Reads a word, or `None` for NULL.
pub(super) fn optional_word<T>(row: &Row<'_>, column: usize) -> Sql<Option<T>>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    if row.get_ref(column)? == rusqlite::types::ValueRef::Null { Ok(None) } else { word(row, column).map(Some) }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::StorageFull,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Unavailable(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// True if an error has to do with what was asked, rather than with the state of the disk or the database's locks.
pub(super) fn is_of_one_act(error: &Error) -> bool {
    use ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull};
    !matches!(error.sqlite_error_code(), Some(DiskFull | DatabaseBusy | DatabaseLocked))
}
