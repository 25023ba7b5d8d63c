//! Text that others wrote, made safe for a terminal, and measured in its columns.
//!
//! A terminal obeys control characters and reorders text by bidirectional overrides; both are made inert here, once,
//! before anything is kept for display.

use unicode_linebreak::{BreakOpportunity, linebreaks};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Code points of one shown character; the longest emoji has ten. What is stacked beyond is left out.
const STACKED: usize = 12;

/// What stands for a character that must not act.
const INERT: char = '\u{FFFD}';

/// The text with control characters, bidirectional overrides and invisible characters made inert. Line ends stay, a
/// tab becomes spaces.
pub fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for cluster in text.graphemes(true) {
        match cluster {
            "\r\n" | "\n" | "\r" | "\u{2028}" | "\u{2029}" => cleaned.push('\n'),
            "\t" => cleaned.push_str("    "),
            _ => cleaned.extend(cluster.chars().take(STACKED).filter_map(inert)),
        }
    }
    cleaned
}

/// [`clean`] in one line, for names.
pub fn clean_line(text: &str) -> String {
    let cleaned = clean(text);
    cleaned.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn inert(character: char) -> Option<char> {
    match character {
        // Embeddings, overrides and isolates would turn around what follows them.
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => Some(INERT),
        _ if character.is_control() => Some(INERT),
        // Invisible, so that two texts which differ look alike. The joiners U+200C and U+200D stay: words need them.
        '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{2060}'..='\u{2064}' | '\u{206A}'..='\u{206F}' => None,
        '\u{FEFF}' | '\u{00AD}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}' => None,
        _ => Some(character),
    }
}

/// How many columns a line takes.
pub(crate) fn width(line: &str) -> usize {
    line.graphemes(true).map(UnicodeWidthStr::width).sum()
}

/// The beginning of a line that fits, with `…` if something had to go.
pub(crate) fn fit(line: &str, columns: usize) -> String {
    if width(line) <= columns {
        return line.to_owned();
    }
    if columns == 0 {
        return String::new();
    }
    let mut fitted = take(line, columns - 1).to_owned();
    fitted.push('…');
    fitted
}

/// [`fit`], filled with spaces to exactly so many columns.
pub(crate) fn pad(line: &str, columns: usize) -> String {
    let mut padded = fit(line, columns);
    padded.extend(std::iter::repeat_n(' ', columns.saturating_sub(width(&padded))));
    padded
}

/// As much of the beginning as fits.
fn take(line: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, cluster) in line.grapheme_indices(true) {
        used += cluster.width();
        if used > columns {
            return &line[..at];
        }
    }
    line
}

/// The text in lines of at most so many columns, broken where its script allows, else anywhere between characters.
/// There is at least one line. A character wider than a line has a line of its own.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    text.split('\n').flat_map(|line| wrap_line(line, columns.max(1))).collect()
}

fn wrap_line(line: &str, columns: usize) -> Vec<String> {
    if width(line) <= columns {
        return vec![line.trim_end().to_owned()];
    }
    let mut lines = Vec::new();
    let mut current = String::new();
    let mut used = 0;
    let mut begin = 0;
    for (end, _) in
        linebreaks(line).filter(|(_, kind)| matches!(kind, BreakOpportunity::Allowed | BreakOpportunity::Mandatory))
    {
        let segment = &line[begin..end];
        begin = end;
        // Spaces at the end of a line may hang over it.
        if used + width(segment.trim_end()) > columns && used > 0 {
            lines.push(std::mem::take(&mut current).trim_end().to_owned());
            used = 0;
        }
        let mut rest = segment;
        while width(rest.trim_end()) > columns {
            let head = take(rest, columns);
            let head = if head.is_empty() { rest.graphemes(true).next().unwrap_or(rest) } else { head };
            lines.push(head.to_owned());
            rest = &rest[head.len()..];
        }
        current.push_str(rest);
        used += width(rest);
    }
    if !current.is_empty() || lines.is_empty() {
        lines.push(current.trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let hostile = "\u{1b}[31mred\u{7}\u{9b}2J\u{202E}gnp.exe\u{2066}\r\nx\u{200B}y\tz\u{0}";
        let cleaned = clean(hostile);
        assert_eq!(cleaned, "\u{FFFD}[31mred\u{FFFD}\u{FFFD}2J\u{FFFD}gnp.exe\u{FFFD}\nxy    z\u{FFFD}");
        assert!(clean_line("a\n\nb\r\u{2028}c").eq("a b c"));
    }

    #[test]
    fn stacked_marks_are_bounded_and_emoji_survive() {
        let stacked = format!("e{}", "\u{301}".repeat(1_000));
        assert_eq!(clean(&stacked).chars().count(), STACKED);
        for emoji in ["👨‍👩‍👧‍👦", "❤️", "👍🏽", "🇨🇳", "🏴‍☠️", "é", "\u{928}\u{93F}"]
        {
            assert_eq!(clean(emoji), emoji);
        }
    }

    #[test]
    fn columns_are_those_of_the_terminal() {
        for (text, columns) in [("abc", 3), ("你好", 4), ("e\u{301}", 1), ("😄", 2), ("👨‍👩‍👧‍👦", 2), ("🇨🇳", 2), ("", 0)]
        {
            assert_eq!(width(text), columns, "{text}");
        }
        assert_eq!(fit("你好吗", 5), "你好…");
        assert_eq!(fit("你好吗", 4), "你…");
        assert_eq!(pad("你好吗", 4), "你… ");
        assert_eq!(fit("abc", 0), "");
    }

    #[test]
    fn lines_break_between_words_and_between_chinese_characters() {
        assert_eq!(wrap("the quick brown fox", 10), ["the quick", "brown fox"]);
        assert_eq!(wrap("今天天气很好，我们走吧", 10), ["今天天气很", "好，我们走", "吧"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("a\n\nb", 4), ["a", "", "b"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn any_text_fits_any_width() {
        let nasty = "你 好\u{301}👨‍👩‍👧‍👦 word-with-dashes https://example.org/a/b?c=d 今，天   x";
        for columns in 2..40 {
            for line in wrap(nasty, columns) {
                assert!(width(&line) <= columns, "{columns}: {line:?}");
            }
            let all: String = wrap(nasty, columns).concat();
            let dark = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            assert_eq!(dark(&all), dark(nasty));
        }
        assert_eq!(wrap("你好", 1), ["你", "好"]);
        assert_eq!(wrap("x", 0), ["x"]);
    }
}
