//! User names: what people log in with and are addressed by. Display names are free text and not here.
//!
//! A name is unique by its *key*: normalised by NFKC, then every character mapped to lower, upper and again lower case
//! (Unicode's full mappings, without context or language, which amounts to case folding: `ß` becomes `ss`, `ς` becomes
//! `σ`), then normalised by NFKC again. Letters must be of one script, as in Unicode Technical Standard 39, section 5:
//! Chinese, Japanese and Korean count as one script each. Names that look alike in two scripts (`сосо` in Cyrillic)
//! are different names.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_script::{Script, ScriptExtension, UnicodeScript};

use crate::limits;

/// Longest text that is looked at, in bytes: 32 characters of 4 bytes, each before composition up to 4 characters.
const INPUT_BYTES: usize = 512;

/// Combining marks that may follow one letter: a vowel sign and a tone mark.
const MARKS_A_LETTER: usize = 2;

/// Scripts that are written together.
const WRITTEN_TOGETHER: [&[Script]; 3] = [
    &[Script::Han, Script::Hiragana, Script::Katakana],
    &[Script::Han, Script::Bopomofo],
    &[Script::Han, Script::Hangul],
];

/// A well-formed user name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Username {
    shown: String,
    key: String,
}

/// Why a text is not a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name has 2 to 32 characters: letters of one script and digits, at least one letter, with single '_', '.' or '-' \
     between them"
)]
pub struct InvalidName;

impl Username {
    /// Reads a name as a person typed it.
    ///
    /// After NFKC it has 2 to 32 characters: letters of one script with their marks, the digits 0-9, and `_`, `.`, `-`
    /// singly between them. At least one is a letter, so that a name is never mistaken for an id. `all` is refused:
    /// `@all` means everybody.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if text.len() > INPUT_BYTES {
            return Err(InvalidName);
        }
        let shown: String = text.nfkc().collect();
        let key = fold(text);
        let well_formed = limits::NAME_CHARS.contains(&shown.chars().count())
            && has_good_order(&shown)
            && is_of_one_script(&shown)
            && key != "all";
        if well_formed { Ok(Self { shown, key }) } else { Err(InvalidName) }
    }

    /// The name to show: in NFKC, with its owner's upper and lower case.
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

/// The key's form of the beginning of a name, to search by. `None` if no name can begin so: it is empty or too long.
/// It may hold any character, those included that mean something to a database.
pub fn fold_prefix(text: &str) -> Option<String> {
    (!text.is_empty() && text.len() <= INPUT_BYTES).then(|| fold(text))
}

fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc().collect()
}

/// What a character is in a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Letter,
    /// Combines with the letter before it.
    Mark,
    Digit,
    Punctuation,
}

impl Part {
    fn of(character: char) -> Option<Self> {
        match character {
            '0'..='9' => Some(Self::Digit),
            '_' | '.' | '-' => Some(Self::Punctuation),
            _ if is_invisible(character) || !has_own_script(character) => None,
            _ if is_combining_mark(character) => Some(Self::Mark),
            _ if character.is_alphabetic() => Some(Self::Letter),
            _ => None,
        }
    }
}

/// Letters and marks that are not seen: single Hangul jamo with their fillers, and two Khmer vowels.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{1100}'..='\u{11FF}' | '\u{A960}'..='\u{A97F}' | '\u{D7B0}'..='\u{D7FF}' | '\u{17B4}' | '\u{17B5}')
}

/// True if the character belongs to a living script, rather than to any (`ʼ`, combining accents that do not compose).
/// What Chinese and Japanese share (`ー`) belongs to them.
fn has_own_script(character: char) -> bool {
    match character.script() {
        Script::Inherited => false,
        Script::Common => {
            let scripts = character.script_extension();
            !scripts.is_common() && (scripts.contains_script(Script::Katakana) || scripts.contains_script(Script::Han))
        }
        script => script.is_recommended(),
    }
}

/// True if every character is allowed where it stands, and one is a letter.
fn has_good_order(name: &str) -> bool {
    let mut before = Part::Punctuation;
    let mut marks = 0;
    let mut letters = 0;
    for character in name.chars() {
        let Some(part) = Part::of(character) else { return false };
        marks = if part == Part::Mark { marks + 1 } else { 0 };
        letters += usize::from(part == Part::Letter);
        let fits = match part {
            Part::Letter | Part::Digit => true,
            Part::Mark => matches!(before, Part::Letter | Part::Mark) && marks <= MARKS_A_LETTER,
            Part::Punctuation => before != Part::Punctuation,
        };
        if !fits {
            return false;
        }
        before = part;
    }
    letters > 0 && before != Part::Punctuation
}

fn is_of_one_script(name: &str) -> bool {
    // Digits and punctuation are common to all scripts, which the intersection knows.
    let one = !ScriptExtension::for_str(name).is_empty();
    let is_in = |scripts: &[Script]| {
        name.chars().all(|character| scripts.iter().any(|script| character.script_extension().contains_script(*script)))
    };
    one || WRITTEN_TOGETHER.iter().any(|scripts| is_in(scripts))
}
