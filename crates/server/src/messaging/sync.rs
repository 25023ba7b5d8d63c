//! `Sync`: what changed for a user since a cursor.
//!
//! The cursor is opaque to clients. It says only where to go on in the user's own rows, so a forged one shows nobody
//! anything; one that cannot be read is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sparrow_protocol::{ConversationId, UserId, limits, v1};
use sparrow_store::Log;
use sparrow_store::log::{ConversationView, OwnState, SyncKey, SyncPosition};

use crate::failure::Failure;

/// Separates the parts of a cursor; epochs and kinds do not contain it, and a key comes last.
const SEPARATOR: char = '\n';
/// Longest cursor that is read, in bytes.
const MAX_CURSOR: usize = 1024;

/// Answers a `Sync`.
pub(crate) async fn page(log: &dyn Log, user: UserId, sync: v1::Sync) -> Result<v1::SyncPage, Failure> {
    let position = match sync.cursor.as_str() {
        "" => None,
        cursor => Some(decode(cursor).ok_or_else(|| Failure::invalid("The sync cursor is not one this server gave."))?),
    };
    let limit = match sync.limit as usize {
        0 => limits::SYNC_ITEMS,
        wanted => wanted.min(limits::SYNC_ITEMS),
    };
    let changes = log.sync(user, position, limit).await?;
    Ok(v1::SyncPage {
        conversations: changes.conversations.iter().map(conversation_state).collect(),
        states: changes.states.into_iter().map(own_state).collect(),
        cursor: encode(&changes.next),
        more: changes.more,
        full: changes.full,
        epoch: changes.next.epoch,
    })
}

/// A conversation as one member sees it, in its wire form.
pub(crate) fn conversation_state(view: &ConversationView) -> v1::ConversationState {
    let (peer_id, peer_name) = view.peer.as_ref().map_or((0, String::new()), |(id, name)| (id.get(), name.clone()));
    let interval = |interval: &sparrow_store::log::Interval| v1::Interval {
        join_seq: interval.join.get(),
        leave_seq: interval.leave.map_or(0, |seq| seq.get()),
    };
    v1::ConversationState {
        conversation_id: view.conversation.get(),
        kind: view.kind.as_str().to_owned(),
        name: view.name.clone(),
        peer_id,
        peer_name,
        head: view.head.get(),
        floor: view.floor.get(),
        intervals: view.intervals.iter().map(interval).collect(),
        role: view.role.map_or(String::new(), |role| role.as_str().to_owned()),
        delivered: view.delivered.get(),
        read: view.read.get(),
        last_message_seq: view.last_message.map_or(0, |seq| seq.get()),
        member_count: view.member_count,
    }
}

/// Own state in its wire form.
pub(crate) fn own_state(state: OwnState) -> v1::OwnState {
    v1::OwnState { kind: state.kind, key: state.key, value: state.value }
}

fn encode(position: &SyncPosition) -> String {
    let mut text = format!(
        "1{SEPARATOR}{}{SEPARATOR}{}{SEPARATOR}{}{SEPARATOR}",
        position.epoch, position.since, position.watermark
    );
    match &position.after {
        None => text.push('-'),
        Some(SyncKey::Conversation(id)) => text.push_str(&format!("c{id}")),
        Some(SyncKey::State { kind, key }) => text.push_str(&format!("s{kind}{SEPARATOR}{key}")),
    }
    URL_SAFE_NO_PAD.encode(text)
}

fn decode(cursor: &str) -> Option<SyncPosition> {
    if cursor.len() > MAX_CURSOR {
        return None;
    }
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let mut parts = text.splitn(5, SEPARATOR);
    if parts.next()? != "1" {
        return None;
    }
    let epoch = parts.next()?.to_owned();
    let since = parts.next()?.parse().ok().filter(|number: &i64| *number >= 0)?;
    let watermark = parts.next()?.parse().ok().filter(|number: &i64| *number >= 0)?;
    Some(SyncPosition { epoch, since, watermark, after: decode_key(parts.next()?)? })
}

fn decode_key(text: &str) -> Option<Option<SyncKey>> {
    if text == "-" {
        return Some(None);
    }
    if let Some(id) = text.strip_prefix('c') {
        return Some(Some(SyncKey::Conversation(id.parse::<ConversationId>().ok()?)));
    }
    let (kind, key) = text.strip_prefix('s')?.split_once(SEPARATOR)?;
    Some(Some(SyncKey::State { kind: kind.to_owned(), key: key.to_owned() }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn position(after: Option<SyncKey>) -> SyncPosition {
        SyncPosition { epoch: "0193".to_owned(), since: 7, watermark: 12, after }
    }

    #[test]
    fn a_cursor_says_what_it_was_made_of() {
        let keys = [
            None,
            Some(SyncKey::Conversation(ConversationId::new(42).unwrap())),
            Some(SyncKey::State { kind: "draft".to_owned(), key: "1\n2".to_owned() }),
        ];
        for key in keys {
            let position = position(key);
            assert_eq!(decode(&encode(&position)), Some(position));
        }
    }

    #[test]
    fn a_negative_position_is_no_cursor() {
        let forged = URL_SAFE_NO_PAD.encode("1\n0193\n-7\n12\n-");
        assert_eq!(decode(&forged), None);
    }

    proptest! {
        #[test]
        fn a_forged_cursor_never_panics(text in ".{0,80}", bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _: Option<SyncPosition> = decode(&text);
            let _: Option<SyncPosition> = decode(&URL_SAFE_NO_PAD.encode(bytes));
        }
    }
}
