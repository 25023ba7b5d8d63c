//! Earlier entries: what the cache has, and the server for the rest.

use sparrow_protocol::v1::{self, Entry};

use crate::cache::Cache;
use crate::core::before_visible;
use crate::engine::Engine;
use crate::error::Error;

/// The last `limit` entries before a seq (0: before the end), in increasing seq. Without a connection: what the cache
/// has of them.
pub(crate) async fn before(
    engine: &Engine,
    cache: &Cache,
    conversation: i64,
    before_seq: i64,
    limit: u32,
) -> Result<Vec<Entry>, Error> {
    if limit == 0 || before_seq == 1 {
        return Ok(Vec::new());
    }
    let Some(saved) = cache.saved(conversation).await? else {
        return pull(engine, conversation, before_seq, limit).await.map(|page| page.entries);
    };
    let before = if before_seq > 0 { before_seq.min(saved.position + 1) } else { saved.position + 1 };
    let mut entries = cache.before(conversation, before, limit).await?;
    let first = before_visible(&saved.state) + 1;
    let mut oldest = before.min(saved.oldest);
    while let Some(missing) = missing(entries.len(), limit)
        && oldest > first
        && engine.is_connected()
    {
        let page = match pull(engine, conversation, oldest, missing).await {
            Err(Error::NotConnected) => break,
            page => page?,
        };
        if page.covered_to < page.covered_from || page.covered_from >= oldest {
            break;
        }
        oldest = page.covered_from;
        if page.covered_to + 1 >= saved.oldest {
            cache.add_older(conversation, page.entries.clone(), oldest).await?;
        }
        entries.splice(0..0, page.entries);
    }
    Ok(entries)
}

fn missing(have: usize, limit: u32) -> Option<u32> {
    let have = u32::try_from(have).unwrap_or(u32::MAX);
    limit.checked_sub(have).filter(|missing| *missing > 0)
}

async fn pull(engine: &Engine, conversation: i64, before: i64, limit: u32) -> Result<v1::PullPage, Error> {
    // 0 asks for the head, which is what `before == 0` means here too.
    let to_seq = before.saturating_sub(1).max(0);
    engine.request(&v1::Pull { conversation_id: conversation, from_seq: 0, to_seq, limit, backward: true }).await
}
