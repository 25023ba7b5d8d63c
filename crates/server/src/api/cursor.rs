//! The cursors of lists: opaque to clients, bound to one list of one user, and authenticated, so that a key that the
//! server did not write never reaches a query.
//!
//! Form: base64url of the first 16 bytes of HMAC-SHA-256 over scope and key, then the key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use sparrow_protocol::{ConversationId, DeviceId, Seq, Timestamp, UserId};
use sparrow_store::directory::ActivityKey;
use subtle::ConstantTimeEq as _;

use crate::conversations::HistoryRange;
use crate::failure::Failure;

/// Length of the authenticator.
const TAG_LEN: usize = 16;

/// Longest cursor that is looked at.
const MAX_LEN: usize = 512;

/// A place in a list, as text.
pub(super) trait Key: Sized {
    /// The text.
    fn write(&self) -> String;
    /// The place; `None` if the text is not one.
    fn read(text: &str) -> Option<Self>;
}

impl Key for UserId {
    fn write(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Key for DeviceId {
    fn write(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Key for String {
    fn write(&self) -> String {
        self.clone()
    }

    fn read(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Key for ActivityKey {
    fn write(&self) -> String {
        format!("{} {}", self.active.millis(), self.conversation)
    }

    fn read(text: &str) -> Option<Self> {
        let (active, conversation) = text.split_once(' ')?;
        let conversation: ConversationId = conversation.parse().ok()?;
        Some(Self { active: Timestamp::from_millis(active.parse().ok()?), conversation })
    }
}

impl Key for HistoryRange {
    fn write(&self) -> String {
        let order = if self.newest_first { "desc" } else { "asc" };
        let to = self.to.map(|to| to.to_string()).unwrap_or_default();
        format!("{order} {} {to}", self.from)
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let newest_first = parts.next()? == "desc";
        let from = Seq::new(parts.next()?.parse().ok()?)?;
        let to = match parts.next()? {
            "" => None,
            to => Some(Seq::new(to.parse().ok()?)?),
        };
        Some(Self { from, to, newest_first })
    }
}

/// Writes and reads cursors under one key.
pub(super) struct Cursors(Hmac<Sha256>);

impl Cursors {
    /// With this secret.
    pub(super) fn new(secret: [u8; 32]) -> Self {
        // HMAC fills a short key up with zeros, so this is the key itself.
        let mut block = [0; 64];
        block[..secret.len()].copy_from_slice(&secret);
        Self(Hmac::new(&block.into()))
    }

    /// The cursor for a place in the list that `scope` names.
    pub(super) fn seal(&self, scope: &str, key: &impl Key) -> String {
        let key = key.write();
        let mut bytes = self.tag(scope, key.as_bytes()).to_vec();
        bytes.extend_from_slice(key.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place that a cursor stands for; refused unless it was written here for the same list.
    pub(super) fn open<K: Key>(&self, scope: &str, cursor: &str) -> Result<K, Failure> {
        self.verified(scope, cursor)
            .ok_or_else(|| Failure::invalid("This cursor is not from this list; begin without one."))
    }

    fn verified<K: Key>(&self, scope: &str, cursor: &str) -> Option<K> {
        if cursor.len() > MAX_LEN {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (tag, key) = bytes.split_at_checked(TAG_LEN)?;
        if !bool::from(self.tag(scope, key).ct_eq(tag)) {
            return None;
        }
        K::read(std::str::from_utf8(key).ok()?)
    }

    fn tag(&self, scope: &str, key: &[u8]) -> [u8; TAG_LEN] {
        let mut mac = self.0.clone();
        mac.update(scope.as_bytes());
        mac.update(&[0]);
        mac.update(key);
        let full = mac.finalize().into_bytes();
        let mut tag = [0; TAG_LEN];
        tag.copy_from_slice(&full[..TAG_LEN]);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_for_its_own_list_alone() {
        let cursors = Cursors::new([7; 32]);
        let key = ActivityKey { active: Timestamp::from_millis(-5), conversation: ConversationId::new(9).unwrap() };
        let cursor = cursors.seal("conversations 1", &key);
        assert_eq!(cursors.open::<ActivityKey>("conversations 1", &cursor).unwrap(), key);
        assert!(cursors.open::<ActivityKey>("conversations 2", &cursor).is_err());
        assert!(Cursors::new([8; 32]).open::<ActivityKey>("conversations 1", &cursor).is_err());
    }

    #[test]
    fn a_cursor_changed_anywhere_is_refused() {
        let cursors = Cursors::new([7; 32]);
        let cursor = cursors.seal("users", &"alice".to_owned());
        for at in 0..cursor.len() {
            let mut forged = cursor.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert!(cursors.open::<String>("users", std::str::from_utf8(&forged).unwrap()).is_err());
        }
        for forged in ["", "A", "alice", "%", &"A".repeat(10_000)] {
            assert!(cursors.open::<String>("users", forged).is_err());
        }
    }

    #[test]
    fn the_rest_of_a_history_survives_the_journey() {
        let cursors = Cursors::new([1; 32]);
        for (to, newest_first) in [(None, false), (Seq::new(40), true)] {
            let range = HistoryRange { from: Seq::FIRST, to, newest_first };
            assert_eq!(cursors.open::<HistoryRange>("h", &cursors.seal("h", &range)).unwrap(), range);
        }
    }
}
