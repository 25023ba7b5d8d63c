//! The text that is being written: editing, and the lines written before.

use std::collections::VecDeque;

use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};

use crate::text::width;

/// Lines that can be recalled.
const MOST_RECALLED: usize = 100;

/// The edited text and the place in it. `at` is always between two shown characters.
#[derive(Debug, Default)]
pub(crate) struct Composer {
    text: String,
    at: usize,
    sent: VecDeque<String>,
    /// Which of `sent` is shown, and what was being written before.
    recalled: Option<(usize, String)>,
}

impl Composer {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(crate) fn before(&self) -> &str {
        &self.text[..self.at]
    }

    pub(crate) fn insert(&mut self, text: &str) {
        self.text.insert_str(self.at, text);
        self.at += text.len();
        self.settle();
    }

    /// Replaces what stands between `from` and the place.
    pub(crate) fn replace_from(&mut self, from: usize, text: &str) {
        self.text.replace_range(from..self.at, text);
        self.at = from + text.len();
        self.settle();
    }

    pub(crate) fn set(&mut self, text: String) {
        self.at = text.len();
        self.text = text;
        self.recalled = None;
    }

    /// The text; it can be recalled from now on.
    pub(crate) fn take(&mut self) -> String {
        let text = std::mem::take(&mut self.text);
        (self.at, self.recalled) = (0, None);
        if !text.trim().is_empty() && self.sent.back() != Some(&text) {
            self.sent.push_back(text.clone());
            if self.sent.len() > MOST_RECALLED {
                self.sent.pop_front();
            }
        }
        text
    }

    pub(crate) fn backspace(&mut self) {
        let from = self.left_of(self.at);
        self.cut(from, self.at);
    }

    pub(crate) fn delete(&mut self) {
        self.cut(self.at, self.right_of(self.at));
    }

    pub(crate) fn delete_word(&mut self) {
        self.cut(self.word_left_of(self.at), self.at);
    }

    pub(crate) fn delete_to_line_begin(&mut self) {
        self.cut(self.line_begin(), self.at);
    }

    pub(crate) fn delete_to_line_end(&mut self) {
        self.cut(self.at, self.line_end());
    }

    pub(crate) fn left(&mut self) {
        self.at = self.left_of(self.at);
    }

    pub(crate) fn right(&mut self) {
        self.at = self.right_of(self.at);
    }

    pub(crate) fn word_left(&mut self) {
        self.at = self.word_left_of(self.at);
    }

    pub(crate) fn word_right(&mut self) {
        let mut words = self.text[self.at..].split_word_bound_indices();
        let after = words.find(|(_, word)| !word.trim().is_empty()).map(|(at, word)| self.at + at + word.len());
        self.at = after.unwrap_or(self.text.len());
    }

    pub(crate) fn line_begin_key(&mut self) {
        self.at = self.line_begin();
    }

    pub(crate) fn line_end_key(&mut self) {
        self.at = self.line_end();
    }

    /// One line up; in the first line, the line that was sent before.
    pub(crate) fn up(&mut self) {
        let begin = self.line_begin();
        if begin == 0 {
            self.recall_older();
            return;
        }
        let column = width(&self.text[begin..self.at]);
        let above = self.text[..begin - 1].rfind('\n').map_or(0, |at| at + 1);
        self.at = self.at_column(above, column);
    }

    /// One line down; in the last line, the line that was sent after.
    pub(crate) fn down(&mut self) {
        let end = self.line_end();
        if end == self.text.len() {
            self.recall_newer();
            return;
        }
        let column = width(&self.text[self.line_begin()..self.at]);
        self.at = self.at_column(end + 1, column);
    }

    fn recall_older(&mut self) {
        let index = self.recalled.as_ref().map_or(self.sent.len(), |(index, _)| *index);
        let Some(older) = index.checked_sub(1).and_then(|older| self.sent.get(older).cloned()) else { return };
        let written = match self.recalled.take() {
            Some((_, written)) => written,
            None => std::mem::take(&mut self.text),
        };
        self.set(older);
        self.recalled = Some((index - 1, written));
    }

    fn recall_newer(&mut self) {
        let Some((index, written)) = self.recalled.take() else { return };
        match self.sent.get(index + 1).cloned() {
            Some(newer) => {
                self.set(newer);
                self.recalled = Some((index + 1, written));
            }
            None => self.set(written),
        }
    }

    /// The text in rows of so many columns, and row and column of the place.
    pub(crate) fn rows(&self, columns: usize) -> (Vec<String>, (usize, usize)) {
        let columns = columns.max(1);
        let mut rows = vec![String::new()];
        let mut used = 0;
        let mut place = (0, 0);
        for (at, cluster) in self.text.grapheme_indices(true) {
            let wide = width(cluster);
            if cluster != "\n" && used + wide > columns && used > 0 {
                rows.push(String::new());
                used = 0;
            }
            if at == self.at {
                place = (rows.len() - 1, used);
            }
            if cluster == "\n" {
                rows.push(String::new());
                used = 0;
            } else if let Some(row) = rows.last_mut() {
                row.push_str(cluster);
                used += wide;
            }
        }
        if self.at == self.text.len() {
            if used >= columns {
                rows.push(String::new());
                used = 0;
            }
            place = (rows.len() - 1, used);
        }
        (rows, place)
    }

    fn cut(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        self.at = from;
        self.settle();
    }

    /// What was put in or taken out may have joined its neighbours into one character.
    fn settle(&mut self) {
        let between = |at| GraphemeCursor::new(at, self.text.len(), true).is_boundary(&self.text, 0).unwrap_or(true);
        while !between(self.at) {
            self.at += self.text[self.at..].chars().next().map_or(0, char::len_utf8);
        }
    }

    fn left_of(&self, at: usize) -> usize {
        self.text[..at].grapheme_indices(true).next_back().map_or(0, |(begin, _)| begin)
    }

    fn right_of(&self, at: usize) -> usize {
        at + self.text[at..].graphemes(true).next().map_or(0, str::len)
    }

    fn word_left_of(&self, at: usize) -> usize {
        let mut words = self.text[..at].split_word_bound_indices().rev();
        words.find(|(_, word)| !word.trim().is_empty()).map_or(0, |(begin, _)| begin)
    }

    fn line_begin(&self) -> usize {
        self.text[..self.at].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self) -> usize {
        self.text[self.at..].find('\n').map_or(self.text.len(), |at| self.at + at)
    }

    fn at_column(&self, begin: usize, column: usize) -> usize {
        let line = self.text[begin..].split('\n').next().unwrap_or_default();
        let mut used = 0;
        for (at, cluster) in line.grapheme_indices(true) {
            used += width(cluster);
            if used > column {
                return begin + at;
            }
        }
        begin + line.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Composer {
        let mut composer = Composer::default();
        composer.insert(text);
        composer
    }

    #[test]
    fn a_shown_character_is_edited_as_one() {
        let mut composer = typed("a👨‍👩‍👧‍👦你");
        composer.left();
        composer.backspace();
        assert_eq!((composer.text(), composer.before()), ("a你", "a"));
        composer.delete();
        assert_eq!(composer.text(), "a");
        composer.insert("e");
        composer.insert("\u{301}");
        composer.backspace();
        assert_eq!(composer.text(), "a");
    }

    #[test]
    fn joining_neighbours_keeps_the_place_between_characters() {
        let mut composer = typed("x\u{301}");
        composer.set("\u{1F1E8}x\u{1F1F3}".into());
        composer.left();
        composer.backspace();
        assert_eq!(composer.text(), "🇨🇳");
        composer.insert("!");
        assert_eq!(composer.text(), "🇨🇳!");
    }

    #[test]
    fn moves_by_words_and_lines() {
        let mut composer = typed("one two\n你好吗\nlast");
        composer.up();
        composer.insert("|");
        assert_eq!(composer.text(), "one two\n你好|吗\nlast");
        composer.line_begin_key();
        composer.down();
        composer.word_right();
        assert_eq!(composer.before(), composer.text());
        composer.delete_word();
        composer.delete_to_line_begin();
        assert_eq!(composer.text(), "one two\n你好|吗\n");
    }

    #[test]
    fn recalls_what_was_sent_and_gives_back_what_was_being_written() {
        let mut composer = typed("first");
        composer.take();
        composer.insert("second");
        composer.take();
        composer.insert("third");
        composer.up();
        composer.up();
        composer.up();
        assert_eq!(composer.text(), "first");
        composer.down();
        composer.down();
        assert_eq!(composer.text(), "third");
    }

    #[test]
    fn rows_never_exceed_their_width_and_show_the_place() {
        let composer = typed("你好ab\nc");
        assert_eq!(composer.rows(4).0, ["你好", "ab", "c"]);
        assert_eq!(composer.rows(4).1, (2, 1));
        assert_eq!(composer.rows(3).0, ["你", "好a", "b", "c"]);
        assert_eq!(typed("abcd").rows(4), (vec!["abcd".into(), String::new()], (1, 0)));
        assert_eq!(typed("").rows(0).1, (0, 0));
    }
}
