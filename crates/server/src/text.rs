//! Short texts that people enter about themselves and their groups: trimmed, bounded, without control characters.

use sparrow_protocol::limits::{DESCRIPTION_CHARS, DISPLAY_NAME_CHARS, GROUP_NAME_CHARS};

use crate::failure::Failure;

/// What one field accepts.
pub(crate) struct TextRule {
    what: &'static str,
    min: usize,
    max: usize,
    lines: bool,
}

/// What others see of a user.
pub(crate) const DISPLAY_NAME: TextRule =
    TextRule { what: "display name", min: 1, max: DISPLAY_NAME_CHARS, lines: false };
/// A few words about oneself.
pub(crate) const BIO: TextRule = TextRule { what: "bio", min: 0, max: DESCRIPTION_CHARS, lines: true };
/// What the device list calls an installation.
pub(crate) const DEVICE_NAME: TextRule = TextRule { what: "device name", min: 0, max: 64, lines: false };
/// The kind of an installation.
pub(crate) const PLATFORM: TextRule = TextRule { what: "platform", min: 0, max: 32, lines: false };
/// The name of a group.
pub(crate) const GROUP_NAME: TextRule =
    TextRule { what: "name of a group", min: 1, max: GROUP_NAME_CHARS, lines: false };
/// What a group is about.
pub(crate) const GROUP_DESCRIPTION: TextRule =
    TextRule { what: "description of a group", min: 0, max: DESCRIPTION_CHARS, lines: true };

impl TextRule {
    /// Reads what a person entered; the result has no white space at its ends.
    pub(crate) fn parse(&self, text: &str) -> Result<String, Failure> {
        let text = text.trim();
        let count = text.chars().count();
        if count < self.min || count > self.max {
            let Self { what, min, max, .. } = self;
            return Err(Failure::invalid(format!("A {what} has {min} to {max} characters.")));
        }
        if text.chars().any(|c| c.is_control() && !(self.lines && c == '\n')) {
            return Err(Failure::invalid(format!("A {} has no control characters; leave them out.", self.what)));
        }
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_trimmed_and_counted_in_characters() {
        assert_eq!(GROUP_NAME.parse("  麻雀 \n").unwrap(), "麻雀");
        assert_eq!(GROUP_NAME.parse(&"雀".repeat(64)).unwrap().chars().count(), 64);
        assert!(GROUP_NAME.parse(&"雀".repeat(65)).is_err());
        assert!(GROUP_NAME.parse(" \t ").is_err());
        assert_eq!(BIO.parse("").unwrap(), "");
    }

    #[test]
    fn control_characters_are_refused_but_for_lines_in_longer_texts() {
        assert!(DISPLAY_NAME.parse("a\u{0}b").is_err());
        assert!(DISPLAY_NAME.parse("a\nb").is_err());
        assert!(BIO.parse("a\u{1b}[31m").is_err());
        assert_eq!(BIO.parse("a\nb").unwrap(), "a\nb");
    }
}
