//! Emoji by name: `:smile:` in a text becomes the character. The table of names is a library's.

use std::borrow::Cow;

/// Emoji on one page of `:emoji`.
pub const PAGE: usize = 40;

/// Bytes of the longest name that is looked up; those of the table are shorter.
const LONGEST_NAME: usize = 48;

/// The text with every known `:name:` replaced. Unknown names stay as they are.
pub fn render(text: &str) -> Cow<'_, str> {
    if !text.contains(':') {
        return Cow::Borrowed(text);
    }
    let mut rendered = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(':') {
        rendered.push_str(&rest[..at]);
        rest = &rest[at..];
        match leading(rest) {
            Some((emoji, length)) => {
                rendered.push_str(emoji);
                rest = &rest[length..];
            }
            None => {
                rendered.push(':');
                rest = &rest[1..];
            }
        }
    }
    rendered.push_str(rest);
    Cow::Owned(rendered)
}

/// True if the text begins with the `:name:` of an emoji.
pub fn leads(text: &str) -> bool {
    leading(text).is_some()
}

/// Names with their emoji, one name each, a page of [`PAGE`] of them counted from 1; and how many pages there are.
pub fn page(number: u32) -> (Vec<(&'static str, &'static str)>, u32) {
    let named = || emojis::iter().filter_map(|emoji| Some((emoji.shortcode()?, emoji.as_str())));
    let pages = u32::try_from(named().count().div_ceil(PAGE)).unwrap_or(u32::MAX);
    let skipped = (number.clamp(1, pages) as usize - 1) * PAGE;
    (named().skip(skipped).take(PAGE).collect(), pages)
}

/// Names that begin so, the shortest first, at most `limit`.
pub fn names(prefix: &str, limit: usize) -> Vec<&'static str> {
    let mut names: Vec<_> =
        emojis::iter().flat_map(emojis::Emoji::shortcodes).filter(|name| name.starts_with(prefix)).collect();
    names.sort_by_key(|name| (name.len(), *name));
    names.truncate(limit);
    names
}

/// The emoji whose `:name:` stands at the beginning, and how many bytes that takes.
fn leading(text: &str) -> Option<(&'static str, usize)> {
    let rest = text.strip_prefix(':')?;
    let length = rest.bytes().take(LONGEST_NAME).position(|b| b == b':')?;
    let emoji = emojis::get_by_shortcode(rest.get(..length)?)?;
    Some((emoji.as_str(), length + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_characters_and_the_rest_stays() {
        assert_eq!(render("no colon"), "no colon");
        assert_eq!(render(":smile:"), "😄");
        assert_eq!(render("a:smile::smile:b"), "a😄😄b");
        assert_eq!(render("10:30:00 :nope: ::smile: 你:"), "10:30:00 :nope: :😄 你:");
        assert_eq!(render(&":".repeat(10_000)).len(), 10_000);
    }

    #[test]
    fn pages_hold_everything_once() {
        let (first, pages) = page(1);
        assert_eq!(first.len(), PAGE);
        let all: std::collections::BTreeSet<_> = (1..=pages).flat_map(|number| page(number).0).collect();
        assert!(all.len() > PAGE * (pages as usize - 1));
        assert_eq!(page(0).0, first);
        assert_eq!(page(u32::MAX).0, page(pages).0);
    }

    #[test]
    fn names_are_found_by_prefix() {
        assert_eq!(names("smil", 2), ["smile", "smiley"]);
        assert!(names("zzzz", 5).is_empty());
    }
}
