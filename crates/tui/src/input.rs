//! What a key means. No state: the same key is always the same action.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::locale::Texts;

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Insert(char),
    Newline,
    /// Send; in a list: choose.
    Submit,
    Backspace,
    Delete,
    DeleteWord,
    DeleteToLineBegin,
    DeleteToLineEnd,
    Left,
    Right,
    WordLeft,
    WordRight,
    LineBegin,
    LineEnd,
    Up,
    Down,
    PageUp,
    PageDown,
    RowsUp,
    RowsDown,
    First,
    Last,
    PreviousChat,
    NextChat,
    NextUnread,
    /// The n-th conversation of the list, from 1.
    NthChat(u8),
    Complete,
    CompleteBack,
    Help,
    Chats,
    Search,
    Cancel,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D.
    EndOfInput,
    Redraw,
}

/// Finds a text in the table of a language.
type Lookup = fn(&Texts) -> &'static str;

/// The keys of the help page: which, and the text that says what for.
pub(crate) const HELP: &[(&str, Lookup)] = &[
    ("Enter", |texts| texts.key_send),
    ("Alt-Enter, Ctrl-J", |texts| texts.key_newline),
    ("Tab, Shift-Tab", |texts| texts.key_complete),
    ("PgUp, PgDn", |texts| texts.key_scroll),
    ("Ctrl-Home, Ctrl-End", |texts| texts.key_ends),
    ("Alt-Up, Alt-Down, Alt-1..9", |texts| texts.key_switch),
    ("Alt-A", |texts| texts.key_unread),
    ("F2", |texts| texts.key_list),
    ("Ctrl-F", |texts| texts.key_search),
    ("Up, Down", |texts| texts.key_recall),
    ("Ctrl-A, -E, -U, -K, -W", |texts| texts.key_edit),
    ("Esc", |texts| texts.key_close),
    ("Ctrl-C", |texts| texts.key_quit),
    ("F1", |texts| texts.key_help),
];

/// The action of a key; `None` for keys without one.
pub(crate) fn action(key: &KeyEvent) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    let shift = key.modifiers.contains(KeyModifiers::SHIFT);
    match key.code {
        // On some keyboards AltGr arrives as Ctrl-Alt.
        KeyCode::Char(typed) if control == alt => Some(Action::Insert(typed)),
        KeyCode::Char(typed) if control => with_control(typed.to_ascii_lowercase()),
        KeyCode::Char(typed) => with_alt(typed.to_ascii_lowercase()),
        KeyCode::Enter if alt || shift || control => Some(Action::Newline),
        KeyCode::Up | KeyCode::Down if alt => {
            Some(if key.code == KeyCode::Up { Action::PreviousChat } else { Action::NextChat })
        }
        KeyCode::Up if shift || control => Some(Action::RowsUp),
        KeyCode::Down if shift || control => Some(Action::RowsDown),
        KeyCode::Left if alt || control => Some(Action::WordLeft),
        KeyCode::Right if alt || control => Some(Action::WordRight),
        KeyCode::Home if control => Some(Action::First),
        KeyCode::End if control => Some(Action::Last),
        KeyCode::Backspace if alt || control => Some(Action::DeleteWord),
        code => plain(code),
    }
}

fn plain(code: KeyCode) -> Option<Action> {
    Some(match code {
        KeyCode::Enter => Action::Submit,
        KeyCode::Backspace => Action::Backspace,
        KeyCode::Delete => Action::Delete,
        KeyCode::Left => Action::Left,
        KeyCode::Right => Action::Right,
        KeyCode::Up => Action::Up,
        KeyCode::Down => Action::Down,
        KeyCode::Home => Action::LineBegin,
        KeyCode::End => Action::LineEnd,
        KeyCode::PageUp => Action::PageUp,
        KeyCode::PageDown => Action::PageDown,
        KeyCode::Tab => Action::Complete,
        KeyCode::BackTab => Action::CompleteBack,
        KeyCode::Esc => Action::Cancel,
        KeyCode::F(1) => Action::Help,
        KeyCode::F(2) => Action::Chats,
        _ => return None,
    })
}

fn with_control(typed: char) -> Option<Action> {
    Some(match typed {
        'a' => Action::LineBegin,
        'b' => Action::Left,
        'c' => Action::Interrupt,
        'd' => Action::EndOfInput,
        'e' => Action::LineEnd,
        'f' => Action::Search,
        'h' => Action::Backspace,
        'j' => Action::Newline,
        'k' => Action::DeleteToLineEnd,
        'l' => Action::Redraw,
        'm' => Action::Submit,
        'n' => Action::NextChat,
        'p' => Action::PreviousChat,
        'u' => Action::DeleteToLineBegin,
        'w' => Action::DeleteWord,
        _ => return None,
    })
}

fn with_alt(typed: char) -> Option<Action> {
    Some(match typed {
        'a' => Action::NextUnread,
        'b' => Action::WordLeft,
        'f' => Action::WordRight,
        '1'..='9' => Action::NthChat(typed as u8 - b'0'),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(code: KeyCode, modifiers: KeyModifiers) -> Option<Action> {
        action(&KeyEvent::new(code, modifiers))
    }

    #[test]
    fn enter_sends_and_every_way_to_a_new_line_makes_one() {
        assert_eq!(pressed(KeyCode::Enter, KeyModifiers::NONE), Some(Action::Submit));
        for (code, modifiers) in [
            (KeyCode::Enter, KeyModifiers::ALT),
            (KeyCode::Enter, KeyModifiers::SHIFT),
            (KeyCode::Char('j'), KeyModifiers::CONTROL),
        ] {
            assert_eq!(pressed(code, modifiers), Some(Action::Newline), "{code:?} {modifiers:?}");
        }
    }

    #[test]
    fn letters_of_any_keyboard_are_typed() {
        for (typed, modifiers) in [('你', KeyModifiers::NONE), ('A', KeyModifiers::SHIFT)] {
            assert_eq!(pressed(KeyCode::Char(typed), modifiers), Some(Action::Insert(typed)));
        }
        let alt_gr = KeyModifiers::CONTROL | KeyModifiers::ALT;
        assert_eq!(pressed(KeyCode::Char('@'), alt_gr), Some(Action::Insert('@')));
    }

    #[test]
    fn a_released_key_does_nothing() {
        let released = KeyEvent::new_with_kind(KeyCode::Enter, KeyModifiers::NONE, KeyEventKind::Release);
        assert_eq!(action(&released), None);
    }
}
