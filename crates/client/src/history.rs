//! Earlier entries: what the cache has, and the server for the rest.

use sparrow_protocol::v1::{self, Entry};

use crate::cache::Cache;
use crate::engine::Engine;
use crate::error::Error;

/// The entries before a seq: what the cache has, and older ones from the server while there is a connection.
pub(crate) async fn before(
    engine: &Engine,
    cache: &Cache,
    conversation: i64,
    before_seq: i64,
    limit: u32,
) -> Result<Vec<Entry>, Error> {
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    if wanted == 0 || before_seq == 1 {
        return Ok(Vec::new());
    }
    loop {
        let Some(saved) = cache.saved(conversation).await? else {
            return pull_before(engine, conversation, before_seq, limit).await.map(|page| page.entries);
        };
        let before = if before_seq > 0 { before_seq.min(saved.position + 1) } else { saved.position + 1 };
        let kept = cache.before(conversation, before, limit).await?;
        let begins = saved.oldest <= saved.state.floor.max(1);
        if kept.len() >= wanted || begins || !engine.is_connected() {
            return Ok(kept);
        }
        let page = pull_before(engine, conversation, saved.oldest, limit).await?;
        if page.covered_to < page.covered_from || page.covered_from >= saved.oldest {
            return Ok(kept);
        }
        cache.add_older(conversation, page.entries, page.covered_from).await?;
    }
}

async fn pull_before(engine: &Engine, conversation: i64, before: i64, limit: u32) -> Result<v1::PullPage, Error> {
    // 0 asks for the head, which is what `before == 0` means here too.
    let to_seq = before.saturating_sub(1).max(0);
    engine.request(&v1::Pull { conversation_id: conversation, from_seq: 0, to_seq, limit, backward: true }).await
}
