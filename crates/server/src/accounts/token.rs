//! Bearer tokens: 256 random bits, given out once as base64url, stored as their SHA-256.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use sparrow_protocol::Timestamp;
use sparrow_store::directory::{NewTokens, TokenHash};

use crate::config::Limits;

/// Length of a token in its text form: 32 bytes as base64url without padding.
const TEXT_LEN: usize = 43;

/// The hash under which a token is stored; `None` if the text cannot be a token, whatever its length.
pub(super) fn hash(text: &str) -> Option<TokenHash> {
    if text.len() != TEXT_LEN {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    Some(TokenHash(Sha256::digest(bytes).into()))
}

/// A fresh access and refresh token in the form their owner gets.
pub(super) struct Pair {
    /// The access token.
    pub(super) access: String,
    /// The refresh token.
    pub(super) refresh: String,
    /// What is stored of them.
    pub(super) stored: NewTokens,
}

impl Pair {
    /// Draws two tokens that live as long as the limits say.
    pub(super) fn draw(limits: &Limits, now: Timestamp) -> Self {
        let (access, access_hash) = draw();
        let (refresh, refresh_hash) = draw();
        let stored = NewTokens {
            access: access_hash,
            access_expires: now.after(limits.access_token),
            refresh: refresh_hash,
            refresh_expires: now.after(limits.refresh_token),
        };
        Self { access, refresh, stored }
    }
}

fn draw() -> (String, TokenHash) {
    let bytes: [u8; 32] = rand::random();
    (URL_SAFE_NO_PAD.encode(bytes), TokenHash(Sha256::digest(bytes).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_under_the_hash_it_was_stored_with() {
        let pair = Pair::draw(&Limits::default(), Timestamp::from_millis(0));
        assert_eq!(hash(&pair.access), Some(pair.stored.access));
        assert_eq!(hash(&pair.refresh), Some(pair.stored.refresh));
        assert_ne!(pair.access, pair.refresh);
    }

    #[test]
    fn what_cannot_be_a_token_is_not_hashed() {
        for text in ["", "short", &"a".repeat(44), &"a".repeat(1 << 20), &"=".repeat(43), &"é".repeat(21)] {
            assert!(hash(text).is_none());
        }
    }
}
