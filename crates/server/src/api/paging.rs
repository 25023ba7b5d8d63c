//! `limit` and `cursor`, the same for every list.

use serde::Deserialize;

use super::cursor::{Cursors, Key};
use super::state::Api;
use crate::accounts::Identity;
use crate::failure::Failure;
use crate::paging::Paging;

/// Items on a page if the client names no number.
const DEFAULT_LIMIT: usize = 50;
/// Most items on a page.
const MAX_LIMIT: usize = 200;

/// What a client says of the page it wants.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParams {
    /// Most items on the page, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
    /// `next` of the page before; absent for the first page.
    cursor: Option<String>,
}

impl PageParams {
    /// The number of items.
    pub(super) fn limit(&self) -> Result<usize, Failure> {
        let limit = self.limit.map_or(DEFAULT_LIMIT, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        if (1..=MAX_LIMIT).contains(&limit) {
            Ok(limit)
        } else {
            Err(Failure::invalid("limit is a number from 1 to 200."))
        }
    }
}

/// Reads and writes the cursors of one list of one caller.
pub(super) struct Pager<'a> {
    cursors: &'a Cursors,
    scope: String,
}

impl<'a> Pager<'a> {
    /// For the list of this name; what else tells lists apart (a conversation, a search) is part of the name.
    pub(super) async fn new(api: &'a Api, caller: &Identity, list: &str) -> Result<Self, Failure> {
        Ok(Self { cursors: api.cursors().await?, scope: format!("{} {list}", caller.user) })
    }

    /// The page that a client wants.
    pub(super) fn read<K: Key>(&self, params: &PageParams) -> Result<Paging<K>, Failure> {
        let after = params.cursor.as_deref().filter(|cursor| !cursor.is_empty());
        let after = after.map(|cursor| self.cursors.open(&self.scope, cursor)).transpose()?;
        Ok(Paging { after, limit: params.limit()? })
    }

    /// The cursor of the next page; empty after the last one.
    pub(super) fn next<K: Key>(&self, next: Option<K>) -> String {
        next.map(|key| self.cursors.seal(&self.scope, &key)).unwrap_or_default()
    }
}
