//! Looking for a word in entries, upper and lower case aside.

use sparrow_client::Entry;

/// Characters of a hit's line before the word.
const BEFORE: usize = 20;
/// Characters of a hit's line.
const LINE: usize = 200;

/// True if the entry is a message that holds the word. `word` is in lower case.
pub(crate) fn matches(entry: &Entry, word: &str) -> bool {
    let text = entry.content.as_ref().map(|content| content.text.to_lowercase());
    entry.kind == "message" && !entry.erased && text.is_some_and(|text| text.contains(word))
}

/// One line around the first place where the word stands.
pub(crate) fn snippet(text: &str, word: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let word: Vec<char> = word.to_lowercase().chars().collect();
    let characters: Vec<char> = line.chars().collect();
    let folded = |c: &char| c.to_lowercase().next().unwrap_or(*c);
    let at = characters.windows(word.len().max(1)).position(|part| part.iter().map(folded).eq(word.iter().copied()));
    let from = at.unwrap_or(0).saturating_sub(BEFORE);
    let dots = if from > 0 { "…" } else { "" };
    dots.chars().chain(characters.into_iter().skip(from).take(LINE)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sparrow_client::Content;

    #[test]
    fn finds_any_script_in_any_case() {
        let said = |text: &str| Entry {
            kind: "message".into(),
            content: Some(Content { text: text.into(), ..Content::default() }),
            ..Entry::default()
        };
        assert!(matches(&said("Good Morning"), "good m"));
        assert!(matches(&said("今天天气很好"), "天气"));
        assert!(!matches(&said("今天"), "明天"));
        assert!(!matches(&Entry { erased: true, ..said("today") }, "today"));
    }

    #[test]
    fn shows_the_place_in_one_line() {
        let long = format!("{} NEEDLE\n after", "hay ".repeat(50));
        assert_eq!(snippet(&long, "needle"), "…hay hay hay hay hay NEEDLE after");
        assert_eq!(snippet("short", "x"), "short");
        assert_eq!(snippet("", ""), "");
    }
}
