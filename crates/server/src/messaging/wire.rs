//! Stored entries in their wire form, as one reader may see them.

use bytes::Bytes;
use sparrow_protocol::{EntryKind, content, raw};
use sparrow_store::log::{Body, StoredEntry};

/// Whether the body of an entry was checked when it was accepted, or comes from the database, whose bytes may be damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It was just accepted.
    Fresh,
    /// It was read from the log.
    Read,
}

/// The wire form of an entry. Without `ref_visible` its content is left out, because it concerns an entry that the
/// reader may not see. A body that cannot be read is left out and marked, so that it spoils nothing beside it.
pub(crate) fn entry(stored: &StoredEntry, ref_visible: bool, trust: Trust) -> raw::Entry {
    let mut entry = raw::Entry {
        conversation_id: stored.conversation.get(),
        seq: stored.seq.get(),
        kind: stored.kind.as_str().to_owned(),
        sender_id: stored.sender.get(),
        time: stored.time.millis(),
        client_msg_id: stored.client_msg_id.to_string(),
        ref_seq: stored.ref_seq.map_or(0, |seq| seq.get()),
        ..Default::default()
    };
    match &stored.body {
        Body::Kept(body) if trust == Trust::Fresh || content::is_readable(stored.kind, body) => {
            if ref_visible {
                put_body(&mut entry, stored.kind, body.clone());
            }
        }
        Body::Kept(_) | Body::Damaged => entry.damaged = true,
        Body::Erased => entry.erased = true,
    }
    entry
}

/// The bytes of the body, for limits.
pub(crate) fn body_bytes(stored: &StoredEntry) -> usize {
    match &stored.body {
        Body::Kept(body) => body.len(),
        Body::Erased | Body::Damaged => 0,
    }
}

fn put_body(entry: &mut raw::Entry, kind: EntryKind, body: Bytes) {
    match kind {
        EntryKind::Message | EntryKind::Edit => entry.content = body,
        EntryKind::Membership => entry.membership = body,
        EntryKind::Settings => entry.settings = body,
        // They say all they have to say by kind and `ref_seq`.
        EntryKind::Recall | EntryKind::Reaction | EntryKind::Pin => {}
    }
}
