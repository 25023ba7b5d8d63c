//! Lines for what happened: messages, changes of membership, receipts.

use sparrow_client::{Entry, LostMessage, MembershipChange};
use sparrow_protocol::EntryKind;
use sparrow_tui::locale::fill;
use sparrow_tui::{emoji, text};

use super::{Chat, FOLLOWED, Quit};

impl Chat<'_> {
    /// A line beginning with `*`.
    pub(super) fn notice(&mut self, text: &str, arguments: &[&str]) -> Result<(), Quit> {
        let line = format!("* {}", fill(text, arguments));
        Ok(self.out.line(&line)?)
    }

    /// Shows an entry that has just arrived.
    pub(super) async fn entry(&mut self, entry: Entry) -> Result<(), Quit> {
        let (conversation, seq) = (entry.conversation_id, entry.seq);
        self.show(&entry).await?;
        if entry.sender_id == self.client.user_id() {
            self.pending.remove(&entry.client_msg_id);
            if entry.kind == EntryKind::Message.as_str() {
                let own = self.own.entry(conversation).or_default();
                own.insert(seq);
                if own.len() > FOLLOWED {
                    own.pop_first();
                }
                self.receipts(conversation).await?;
            }
        }
        if self.open == Some(conversation) {
            self.reads.insert(conversation, seq);
        }
        Ok(())
    }

    /// Writes the line of an entry, if its kind has one.
    pub(super) async fn show(&mut self, entry: &Entry) -> Result<(), Quit> {
        let seq = entry.seq;
        let shown = self.shown.entry(entry.conversation_id).or_insert((seq, seq));
        *shown = (shown.0.min(seq), shown.1.max(seq));
        if entry.kind == EntryKind::Message.as_str() {
            let line = self.message(entry).await;
            return Ok(self.out.line(&line)?);
        }
        if let Some(change) = &entry.membership {
            let what = self.membership(entry.sender_id, change).await;
            return self.about(entry, &what);
        }
        if entry.settings.is_some() {
            let who = self.names.user(self.client, entry.sender_id).await;
            let what = fill(self.texts.plain_settings, &[&who]);
            return self.about(entry, &what);
        }
        Ok(())
    }

    fn about(&mut self, entry: &Entry, what: &str) -> Result<(), Quit> {
        let name = self.names.conversation(entry.conversation_id);
        Ok(self.out.line(&format!("* {name} #{}: {what}", entry.seq))?)
    }

    async fn message(&mut self, entry: &Entry) -> String {
        let sender = self.names.user(self.client, entry.sender_id).await;
        let destination = self.names.destination(entry.conversation_id, entry.sender_id);
        let own = entry.sender_id == self.client.user_id();
        let mark = if own { format!(" {}", self.texts.sent.to_owned()) } else { String::new() };
        let words = if entry.damaged {
            self.texts.damaged.to_owned()
        } else if entry.erased {
            self.texts.erased.to_owned()
        } else {
            one_line(entry.content.as_ref().map_or("", |content| &content.text))
        };
        format!("[#{} {sender}→{destination} {}{mark}] {words}", entry.seq, time_of_day(entry.time))
    }

    async fn membership(&mut self, actor: i64, change: &MembershipChange) -> String {
        let who = self.names.user(self.client, actor).await;
        let members = change.members.iter().map(|member| member.user_id);
        let whom = self.names.users(self.client, members).await;
        let text = match change.change.as_str() {
            "created" => self.texts.made_group,
            "added" => self.texts.added,
            "joined" => return fill(self.texts.joined, &[&whom]),
            "left" => return fill(self.texts.left, &[&whom]),
            "removed" => self.texts.removed,
            "role" => self.texts.plain_role,
            other => return text::clean_line(other),
        };
        fill(text, &[&who, &whom])
    }

    /// Tells which own messages of a conversation others have received or read since the last time.
    pub(super) async fn receipts(&mut self, conversation: i64) -> Result<(), Quit> {
        let Some(own) = self.own.get(&conversation) else { return Ok(()) };
        let last_up_to = |seq: i64| own.range(..=seq).next_back().copied().unwrap_or(0);
        let of_it = self.reached.iter().filter(|((id, _), _)| *id == conversation);
        let mut reached: Vec<(i64, i64, i64)> =
            of_it.map(|((_, user), (delivered, read))| (*user, last_up_to(*delivered), last_up_to(*read))).collect();
        reached.sort_unstable();
        let name = self.names.conversation(conversation);
        for (user, delivered, read) in reached {
            let told = self.told.get(&(conversation, user)).copied().unwrap_or_default();
            self.told.insert((conversation, user), (told.0.max(delivered), told.1.max(read)));
            if delivered <= told.0 && read <= told.1 {
                continue;
            }
            let who = self.names.user(self.client, user).await;
            if delivered > told.0 {
                self.notice(self.texts.plain_delivered, &[&name, &delivered.to_string(), &who])?;
            }
            if read > told.1 {
                self.notice(self.texts.plain_read, &[&name, &read.to_string(), &who])?;
            }
        }
        Ok(())
    }

    pub(super) fn epoch_changed(&mut self, lost: Vec<LostMessage>) -> Result<(), Quit> {
        self.notice(self.texts.lost, &[&lost.len().to_string()])?;
        for LostMessage { entry } in lost {
            let name = self.names.conversation(entry.conversation_id);
            let words = one_line(entry.content.as_ref().map_or("", |content| &content.text));
            self.notice(self.texts.plain_gone, &[&name, &words])?;
        }
        Ok(())
    }
}

/// What somebody wrote, harmless for a terminal and in one line: a line end is shown as a mark.
pub(super) fn one_line(words: &str) -> String {
    emoji::render(&text::clean(words)).replace('\n', " ⏎ ")
}

/// Hours and minutes where the reader is.
fn time_of_day(milliseconds: i64) -> String {
    let Ok(time) = jiff::Timestamp::from_millisecond(milliseconds) else { return "--:--".to_owned() };
    time.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_write_stays_one_harmless_line() {
        let line = one_line("a\u{1b}[2Jb\r\nc\u{202e}d");
        assert!(!line.contains(['\u{1b}', '\n', '\r', '\u{202e}']), "{line:?}");
        assert!(line.contains('a') && line.contains("⏎"));
    }
}
