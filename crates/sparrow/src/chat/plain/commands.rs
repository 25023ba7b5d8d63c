//! What typed lines do. How they are read is in `sparrow_tui::command`, shared with the full screen.

use sparrow_client::{Error, NewGroup, User};
use sparrow_protocol::ConversationKind;
use sparrow_tui::command::{self, Command, UserRef, Verb};
use sparrow_tui::locale::fill;
use sparrow_tui::{emoji, text};

use super::show::one_line;
use super::{Chat, Ending, Next, Quit};

/// Messages that `:history` shows if no number is given.
const HISTORY: u32 = 20;

/// Why a command did nothing.
enum Refused {
    /// The program cannot go on.
    Quit(Quit),
    /// The user is told.
    Told(String),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Told(error.to_string())
    }
}

impl From<Quit> for Refused {
    fn from(quit: Quit) -> Self {
        Self::Quit(quit)
    }
}

impl Chat<'_> {
    /// Does what a line asks for. On a terminal, a wrong line is only told; from a pipe it also counts as a failure.
    pub(super) async fn typed(&mut self, line: &str, is_terminal: bool) -> Result<Next, Quit> {
        if line.trim().is_empty() {
            return Ok(Next::Continue);
        }
        // Both quit; only the plain one waits for what is not sent.
        if line.trim() == ":q!" {
            return Ok(Next::End(Ending::AtOnce));
        }
        let done = match command::parse(line) {
            Ok(Command::Quit) => return Ok(Next::End(Ending::WhenSent)),
            Ok(command) => self.carry_out(command).await,
            Err(error) => Err(Refused::Told(error.to_string())),
        };
        match done {
            Ok(()) => {}
            Err(Refused::Quit(quit)) => return Err(quit),
            Err(Refused::Told(message)) => {
                if !is_terminal {
                    self.failures += 1;
                }
                self.out.line(&format!("* {}", text::clean_line(&message)))?;
            }
        }
        Ok(Next::Continue)
    }

    async fn carry_out(&mut self, command: Command) -> Result<(), Refused> {
        match command {
            Command::Say(words) => {
                let conversation = self.open()?;
                self.say(conversation, &words).await
            }
            Command::To { user, text } => self.to(&user, text).await,
            Command::Group(name) => self.group(&name).await,
            Command::Groups => self.groups().await,
            Command::Create { name, users } => self.create(name, &users).await,
            Command::Invite(users) => {
                let group = self.open_group()?;
                Ok(self.client.invite(group, references(&users)).await?)
            }
            Command::Kick(users) => {
                let group = self.open_group()?;
                for user in users {
                    self.client.remove(group, user.as_str()).await?;
                }
                Ok(())
            }
            Command::Leave => self.leave().await,
            Command::Online => {
                let users = self.client.users_online("").await?;
                self.list(self.texts.plain_online, &names_of(&users.items))
            }
            Command::Users(prefix) => {
                let users = self.client.users_by_prefix(&prefix, "").await?;
                self.list(self.texts.plain_users, &names_of(&users.items))
            }
            Command::Search(_) => Err(self.told(self.texts.plain_no_search)),
            Command::History(count) => self.history(count.unwrap_or(HISTORY)).await,
            Command::Emoji(page) => self.emoji(page),
            Command::Retry => self.retry().await,
            Command::Discard => self.discard().await,
            Command::Info => self.info().await,
            Command::Help => self.help(),
            Command::Quit => Ok(()),
        }
    }

    fn told(&self, text: &str) -> Refused {
        Refused::Told(text.to_owned())
    }

    fn open(&self) -> Result<i64, Refused> {
        self.open.ok_or_else(|| self.told(self.texts.open_first))
    }

    fn open_group(&self) -> Result<i64, Refused> {
        let open = self.open()?;
        let group = self.names.state(open).is_some_and(|state| state.kind == ConversationKind::Group.as_str());
        if group { Ok(open) } else { Err(self.told(self.texts.not_in_group)) }
    }

    /// Opens a conversation: text goes there, and what is shown of it counts as read.
    pub(super) fn open_conversation(&mut self, conversation: i64) -> Result<(), Quit> {
        self.open = Some(conversation);
        if let Some((_, last)) = self.shown.get(&conversation) {
            self.reads.insert(conversation, *last);
        }
        let name = self.names.conversation(conversation);
        self.notice(self.texts.plain_opened, &[&name])
    }

    async fn say(&mut self, conversation: i64, words: &str) -> Result<(), Refused> {
        let id = self.client.send_text(conversation, words).await?;
        self.pending.insert(id);
        if self.offline {
            let name = self.names.conversation(conversation);
            self.notice(self.texts.plain_waiting, &[&name, &one_line(words)])?;
        }
        Ok(())
    }

    async fn to(&mut self, user: &UserRef, words: Option<String>) -> Result<(), Refused> {
        // A known direct needs no server, so that one can write to it while there is none.
        let direct = match self.names.direct_with(user.name()) {
            Some(direct) => direct,
            None => {
                let opened = self.client.open_direct(user.as_str()).await?;
                let state = opened.state.unwrap_or_default();
                let id = state.conversation_id;
                self.names.learn(state);
                id
            }
        };
        if self.open != Some(direct) {
            self.open_conversation(direct)?;
        }
        match words {
            Some(words) => self.say(direct, &words).await,
            None => Ok(()),
        }
    }

    async fn group(&mut self, name: &str) -> Result<(), Refused> {
        if self.names.group(name).is_none() {
            self.learn_conversations().await?;
        }
        match self.names.group(name) {
            Some(group) => Ok(self.open_conversation(group)?),
            None => Err(Refused::Told(fill(self.texts.no_group, &[name]))),
        }
    }

    async fn groups(&mut self) -> Result<(), Refused> {
        if !self.offline {
            self.learn_conversations().await?;
        }
        let names = self.names.list();
        self.list(self.texts.plain_conversations, &names)
    }

    async fn learn_conversations(&mut self) -> Result<(), Refused> {
        let mut cursor = String::new();
        loop {
            let page = self.client.conversations(&cursor).await?;
            page.items.into_iter().filter_map(|item| item.state).for_each(|state| self.names.learn(state));
            if page.next.is_empty() {
                return Ok(());
            }
            cursor = page.next;
        }
    }

    async fn create(&mut self, name: String, users: &[UserRef]) -> Result<(), Refused> {
        let group = NewGroup { name, members: references(users), ..NewGroup::default() };
        let state = self.client.create_group(group).await?.state.unwrap_or_default();
        let id = state.conversation_id;
        self.names.learn(state);
        Ok(self.open_conversation(id)?)
    }

    async fn leave(&mut self) -> Result<(), Refused> {
        let group = self.open_group()?;
        self.client.leave(group).await?;
        self.open = None;
        let name = self.names.conversation(group);
        Ok(self.notice(self.texts.you_left, &[&name])?)
    }

    async fn history(&mut self, count: u32) -> Result<(), Refused> {
        let conversation = self.open()?;
        let before = self.shown.get(&conversation).map_or(0, |(first, _)| *first);
        let entries = self.client.history(conversation, before, count).await?;
        if entries.is_empty() {
            return Ok(self.notice(self.texts.at_beginning, &[])?);
        }
        for entry in &entries {
            self.show(entry).await?;
        }
        Ok(())
    }

    fn emoji(&mut self, number: u32) -> Result<(), Refused> {
        let (page, pages) = emoji::page(number);
        let shown: Vec<String> = page.iter().map(|(name, emoji)| format!("{emoji} :{name}:")).collect();
        let number = number.clamp(1, pages).to_string();
        Ok(self.notice(self.texts.plain_emoji, &[&number, &pages.to_string(), &shown.join("  ")])?)
    }

    async fn retry(&mut self) -> Result<(), Refused> {
        let failed = self.client.failed().await?;
        for message in &failed {
            let id = self.client.send(message.conversation_id, message.content.clone()).await?;
            self.pending.insert(id);
            self.client.discard(&message.local_id).await?;
        }
        Ok(self.notice(self.texts.retried, &[&failed.len().to_string()])?)
    }

    async fn discard(&mut self) -> Result<(), Refused> {
        let failed = self.client.failed().await?;
        for message in &failed {
            self.client.discard(&message.local_id).await?;
        }
        Ok(self.notice(self.texts.discarded, &[&failed.len().to_string()])?)
    }

    async fn info(&mut self) -> Result<(), Refused> {
        let name = self.client.user_name();
        let (user, device) = (self.client.user_id().to_string(), self.client.device_id().to_string());
        let server = self.client.session().await.server_url;
        let open = self.open.map_or_else(String::new, |open| self.names.conversation(open));
        Ok(self.notice(self.texts.plain_info, &[&name, &user, &device, &server, &open])?)
    }

    fn help(&mut self) -> Result<(), Refused> {
        self.notice(self.texts.plain_help, &[])?;
        for verb in Verb::ALL {
            self.out.line(&format!("* {}", verb.usage())).map_err(Quit::from)?;
        }
        Ok(())
    }

    fn list(&mut self, text: &str, names: &[String]) -> Result<(), Refused> {
        let names = if names.is_empty() { self.texts.plain_nobody.to_owned() } else { names.join(", ") };
        Ok(self.notice(text, &[&names])?)
    }
}

fn names_of(users: &[User]) -> Vec<String> {
    users.iter().map(|user| text::clean_line(&user.name)).collect()
}

fn references(users: &[UserRef]) -> Vec<String> {
    users.iter().map(|user| user.as_str().to_owned()).collect()
}
