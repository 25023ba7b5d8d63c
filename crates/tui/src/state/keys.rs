//! What the user does by keys, mouse and window.

use super::effect::Effect;
use super::log::{self, Part};
use super::panel::{Choice, Kind, Panel, Row};
use super::{MESSAGE_OVERHEAD, State, TYPING_MS};
use crate::command::{self, Command, CommandError};
use crate::input::Action;
use crate::locale::fill;
use crate::text::clean;
use crate::{Exit, geometry};
use sparrow_protocol::limits;

impl State {
    pub(super) fn act(&mut self, action: Action) -> Vec<Effect> {
        if !matches!(action, Action::Complete | Action::CompleteBack) {
            let offered = self.completion.take().is_some();
            if offered && action == Action::Cancel {
                return Vec::new();
            }
        }
        // What was only to be known has been seen by whoever goes on; Ctrl-C twice needs the notice of the first.
        if action != Action::Interrupt && self.notice.as_ref().is_some_and(|notice| !notice.bad) {
            self.notice = None;
        }
        if let Some(effects) = self.act_on_panel(action) {
            return effects;
        }
        match action {
            Action::Insert(typed) => self.typed(&clean(typed.encode_utf8(&mut [0; 4]))),
            Action::Newline => self.typed("\n"),
            Action::Submit => self.submit(),
            Action::Complete => self.complete(true),
            Action::CompleteBack => self.complete(false),
            Action::PageUp => self.scroll(-self.page_rows()),
            Action::PageDown => self.scroll(self.page_rows()),
            Action::RowsUp => self.scroll(-3),
            Action::RowsDown => self.scroll(3),
            Action::First => self.scroll(isize::MIN),
            Action::Last => self.go_to_end(),
            Action::Cancel => self.go_to_end(),
            Action::NextChat => self.step(1),
            Action::PreviousChat => self.step(-1),
            Action::NextUnread => self.next_unread(),
            Action::NthChat(number) => self.nth(usize::from(number)),
            Action::Help => self.show_help(),
            Action::Chats => self.show_chats(),
            Action::Search => {
                self.composer.set(":q ".to_owned());
                Vec::new()
            }
            Action::Interrupt => self.interrupt(),
            Action::EndOfInput if self.composer.is_empty() => vec![Effect::Exit(Exit::Quit)],
            other => self.edit(other),
        }
    }

    /// Keys that only change the text being written.
    fn edit(&mut self, action: Action) -> Vec<Effect> {
        let composer = &mut self.composer;
        match action {
            // In an empty line these keys have nothing to edit; there they scroll, as in any reader.
            Action::LineEnd if composer.is_empty() => return self.go_to_end(),
            Action::LineBegin if composer.is_empty() => return self.scroll(isize::MIN),
            Action::Backspace => composer.backspace(),
            Action::Delete | Action::EndOfInput => composer.delete(),
            Action::DeleteWord => composer.delete_word(),
            Action::DeleteToLineBegin => composer.delete_to_line_begin(),
            Action::DeleteToLineEnd => composer.delete_to_line_end(),
            Action::Left => composer.left(),
            Action::Right => composer.right(),
            Action::WordLeft => composer.word_left(),
            Action::WordRight => composer.word_right(),
            Action::LineBegin => composer.line_begin_key(),
            Action::LineEnd => composer.line_end_key(),
            Action::Up => composer.up(),
            Action::Down => composer.down(),
            _ => {}
        }
        if self.composer.is_empty() { self.tell_typing(false) } else { Vec::new() }
    }

    fn typed(&mut self, text: &str) -> Vec<Effect> {
        self.composer.insert(text);
        self.tell_typing(true)
    }

    pub(super) fn paste(&mut self, text: &str) -> Vec<Effect> {
        self.completion = None;
        let text = clean(text);
        if self.composer.text().len() + text.len() > limits::CONTENT_BYTES {
            self.complain(self.texts.too_long);
            return Vec::new();
        }
        self.typed(&text)
    }

    /// Tells the others that the user types, not too often; and, once, that they stopped.
    fn tell_typing(&mut self, typing: bool) -> Vec<Effect> {
        let is_command = typing && self.composer.text().starts_with(':');
        let due = self.now >= self.typing_told.saturating_add(TYPING_MS);
        let told = self.typing_told > 0;
        let Some(conversation) = self.open.filter(|_| !is_command && if typing { due } else { told }) else {
            return Vec::new();
        };
        self.typing_told = if typing { self.now } else { 0 };
        vec![Effect::Typing { conversation, typing }]
    }

    fn submit(&mut self) -> Vec<Effect> {
        let text = self.composer.text();
        if text.trim().is_empty() {
            return Vec::new();
        }
        if text.len() > limits::CONTENT_BYTES - MESSAGE_OVERHEAD {
            self.complain(self.texts.too_long);
            return Vec::new();
        }
        match command::parse(text) {
            Ok(Command::Say(text)) => {
                let Some(conversation) = self.may_write() else { return Vec::new() };
                self.composer.take();
                self.typing_told = 0;
                // Whoever answers has read what was new.
                self.log.new_from = None;
                let mut effects = self.go_to_end();
                effects.extend(self.send(conversation, &text));
                effects
            }
            Ok(command) => {
                self.composer.take();
                let mut effects = self.tell_typing(false);
                effects.extend(self.run(command));
                effects
            }
            Err(error) => {
                let text = self.explain(&error);
                self.complain(text);
                Vec::new()
            }
        }
    }

    /// The open conversation if the user may write there; else they are told why not.
    fn may_write(&mut self) -> Option<i64> {
        let Some(chat) = self.chat() else {
            self.complain(self.texts.open_first);
            return None;
        };
        if chat.is_member() {
            return Some(chat.id);
        }
        self.complain(self.texts.not_member);
        None
    }

    fn explain(&self, error: &CommandError) -> String {
        match error {
            CommandError::Unknown { word } => fill(self.texts.unknown_command, &[word]),
            CommandError::Incomplete(verb) => fill(self.texts.usage, &[verb.usage()]),
            CommandError::BadName(name) => fill(self.texts.bad_name, &[name]),
            CommandError::BadNumber(number) => fill(self.texts.bad_number, &[number]),
        }
    }

    fn interrupt(&mut self) -> Vec<Effect> {
        if !self.composer.is_empty() {
            self.composer.take();
            return self.tell_typing(false);
        }
        if self.notice.as_ref().is_some_and(|notice| notice.text == self.texts.again_to_quit) {
            return vec![Effect::Exit(Exit::Quit)];
        }
        self.say(self.texts.again_to_quit);
        Vec::new()
    }

    /// Keys while a list is shown. `None`: the key is not the list's.
    fn act_on_panel(&mut self, action: Action) -> Option<Vec<Effect>> {
        let (columns, height) = self.panel_size();
        let page = isize::try_from(height).unwrap_or(isize::MAX);
        let panel = self.panel.as_mut()?;
        let lines = panel.lines(columns).len();
        let mut move_by = |rows| panel.move_by(rows, lines, height);
        match action {
            Action::Up => move_by(-1),
            Action::Down => move_by(1),
            Action::RowsUp => move_by(-3),
            Action::RowsDown => move_by(3),
            Action::PageUp => move_by(-page),
            Action::PageDown => move_by(page),
            Action::First | Action::LineBegin => move_by(isize::MIN),
            Action::Last | Action::LineEnd => move_by(isize::MAX),
            Action::Left | Action::Right => return self.turn_page(action == Action::Right),
            Action::Cancel | Action::Interrupt => self.panel = None,
            Action::Submit => {
                let chosen = panel.chosen().cloned();
                self.panel = None;
                return Some(chosen.map(|choice| self.choose(choice)).unwrap_or_default());
            }
            // Whoever types has read enough.
            Action::Insert(_) => {
                self.panel = None;
                return None;
            }
            _ => return None,
        }
        Some(Vec::new())
    }

    fn turn_page(&mut self, forward: bool) -> Option<Vec<Effect>> {
        let Some(Panel { kind: Kind::Emoji { page, pages }, .. }) = self.panel else { return None };
        let next = if forward { (page + 1).min(pages) } else { page.saturating_sub(1).max(1) };
        self.show_emoji(next);
        Some(Vec::new())
    }

    fn choose(&mut self, choice: Choice) -> Vec<Effect> {
        match choice {
            Choice::Open(id) => self.open(id),
            Choice::Write(user) => self.write_to(user, None),
            Choice::Jump { conversation, seq } => self.jump(conversation, seq),
            Choice::Insert(text) => self.typed(&text),
        }
    }

    /// Opens a conversation at an entry.
    fn jump(&mut self, conversation: i64, seq: i64) -> Vec<Effect> {
        let mut effects = self.open(conversation);
        effects.retain(|effect| !matches!(effect, Effect::History { .. }));
        self.log = super::Log::opened(None);
        self.log.loading = Some(Part::Around(seq));
        self.log.hit = Some(seq);
        let before = seq.saturating_add(i64::from(log::PAGE) / 2);
        effects.push(Effect::History { conversation, before, limit: log::PAGE, part: Part::Around(seq) });
        effects
    }

    fn step(&mut self, by: isize) -> Vec<Effect> {
        let order = self.chats.in_order();
        let at = order.iter().position(|chat| Some(chat.id) == self.open);
        let next = at.map_or(Some(0), |at| at.checked_add_signed(by));
        let next = next.and_then(|next| order.get(next)).map(|chat| chat.id);
        next.map(|id| self.open(id)).unwrap_or_default()
    }

    fn nth(&mut self, number: usize) -> Vec<Effect> {
        let id = number.checked_sub(1).and_then(|at| self.chats.in_order().get(at).map(|chat| chat.id));
        id.map(|id| self.open(id)).unwrap_or_default()
    }

    fn next_unread(&mut self) -> Vec<Effect> {
        let unread = |chat: &&super::Chat| chat.unread > 0 && Some(chat.id) != self.open;
        let id = self.chats.in_order().into_iter().find(unread).map(|chat| chat.id);
        id.map(|id| self.open(id)).unwrap_or_default()
    }

    pub(super) fn show_chats(&mut self) -> Vec<Effect> {
        let order = self.chats.in_order();
        let at = order.iter().position(|chat| Some(chat.id) == self.open).unwrap_or(0);
        let rows: Vec<_> = order
            .into_iter()
            .map(|chat| {
                let detail = crate::view::unread(chat);
                Row::choice(self.title(chat), detail, Choice::Open(chat.id))
            })
            .collect();
        let panel = Panel::new(Kind::Chats, self.texts.conversations.to_owned(), rows);
        self.panel = Some(Panel { at, ..panel });
        Vec::new()
    }

    pub(super) fn click(&mut self, column: u16, row: u16) -> Vec<Effect> {
        let id = geometry::chat_at(self, column, row);
        id.map(|id| self.open(id)).unwrap_or_default()
    }

    pub(super) fn resize(&mut self, columns: u16, rows: u16) -> Vec<Effect> {
        (self.columns, self.rows) = (columns, rows);
        Vec::new()
    }
}
