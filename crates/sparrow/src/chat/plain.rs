//! Plain mode: a line in, a line out. What the lines look like is promised in the help of `sparrow chat`.

mod commands;
mod show;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use sparrow_client::{Client, Event, Events, LogOutReason};
use sparrow_tui::locale::{Texts, fill};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};

use super::input::{Input, Typed};
use super::names::Names;
use super::output::{Output, complain};
use super::{FAILED, OK, Quit, REFUSED};

/// The conversation that is open at the start.
const LOBBY: &str = "lobby";
/// At the end, unsent messages get so long.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// The list of conversations gets so long at the start; without it, what the cache knows must do.
const LIST_WITHIN: Duration = Duration::from_secs(5);
/// `Read` cursors are sent so often.
const READ_EVERY: Duration = Duration::from_millis(300);
/// A `Read` at the end is worth so much waiting.
const READ_WITHIN: Duration = Duration::from_secs(2);
/// Own messages per conversation whose receipts are shown.
const FOLLOWED: usize = 1000;

/// How a chat ends.
enum Ending {
    /// `:q!`
    AtOnce,
    /// `:q`, or the end of the input.
    WhenSent,
    /// By the server.
    LoggedOut(LogOutReason),
}

/// What a typed line led to.
enum Next {
    Continue,
    End(Ending),
}

struct Chat<'a> {
    client: &'a Client,
    texts: &'static Texts,
    names: Names,
    out: Output,
    /// Where text goes.
    open: Option<i64>,
    /// True from the loss of a connection to the next one.
    offline: bool,
    /// Own messages whose fate is not shown yet.
    pending: HashSet<String>,
    failures: usize,
    /// First and last seq shown, per conversation.
    shown: HashMap<i64, (i64, i64)>,
    /// Own messages shown, per conversation.
    own: HashMap<i64, BTreeSet<i64>>,
    /// How far others have got, per conversation and user, and what of it is shown: delivered and read.
    reached: HashMap<(i64, i64), (i64, i64)>,
    told: HashMap<(i64, i64), (i64, i64)>,
    /// Cursors to be sent.
    reads: HashMap<i64, i64>,
}

/// Chats until the user quits; answers the exit code.
pub(super) async fn run(client: &Client, texts: &'static Texts) -> Result<u8, Quit> {
    let mut events = client.events();
    let (mut input, printer) = Input::start();
    let mut chat = Chat {
        client,
        texts,
        names: Names::new(client, texts),
        out: Output::new(printer),
        open: None,
        offline: false,
        pending: HashSet::new(),
        failures: 0,
        shown: HashMap::new(),
        own: HashMap::new(),
        reached: HashMap::new(),
        told: HashMap::new(),
        reads: HashMap::new(),
    };
    chat.begin().await?;
    let ending = chat.live(&mut events, &mut input).await?;
    chat.end(ending, &mut events).await
}

impl Chat<'_> {
    async fn begin(&mut self) -> Result<(), Quit> {
        for state in self.client.known_conversations().await? {
            self.names.learn(state);
        }
        for message in self.client.outbox().await? {
            if message.failure_code.is_empty() {
                self.pending.insert(message.local_id);
            }
        }
        // Asking for the list is also what makes a new account join the groups that everybody joins.
        match timeout(LIST_WITHIN, self.client.conversations("")).await {
            Ok(Ok(list)) => {
                for state in list.items.into_iter().filter_map(|item| item.state) {
                    self.names.learn(state);
                }
            }
            Ok(Err(error)) => self.out.aside(&error.to_string()),
            Err(_) => {}
        }
        if let Some(lobby) = self.names.group(LOBBY) {
            self.open_conversation(lobby)?;
        }
        Ok(())
    }

    async fn live(&mut self, events: &mut Events, input: &mut Input) -> Result<Ending, Quit> {
        let mut reads = interval(READ_EVERY);
        reads.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => if let Next::End(ending) = self.event(event).await? {
                        return Ok(ending);
                    },
                    // Nobody closes the client while it chats: only its store can end the stream.
                    None => return Err(Quit { code: FAILED, message: self.texts.store_failed.to_owned() }),
                },
                typed = input.next() => match typed {
                    Typed::Line(line) => if let Next::End(ending) = self.typed(&line, input.is_terminal()).await? {
                        return Ok(ending);
                    },
                    Typed::End => return Ok(Ending::WhenSent),
                },
                _ = reads.tick(), if !self.reads.is_empty() && !self.offline => self.send_reads().await,
            }
        }
    }

    async fn end(mut self, ending: Ending, events: &mut Events) -> Result<u8, Quit> {
        match ending {
            Ending::AtOnce => return Ok(OK),
            Ending::LoggedOut(why) => {
                complain(&self.texts.over(&why));
                return Ok(REFUSED);
            }
            Ending::WhenSent => {}
        }
        let deadline = Instant::now() + SEND_WITHIN;
        while !self.pending.is_empty() {
            match timeout_at(deadline, events.next()).await {
                Ok(Some(event)) => {
                    if let Next::End(Ending::LoggedOut(why)) = self.event(event).await? {
                        complain(&self.texts.over(&why));
                        return Ok(REFUSED);
                    }
                }
                Ok(None) | Err(_) => break,
            }
        }
        events.handled().await?;
        if !self.offline {
            self.send_reads().await;
        }
        if !self.pending.is_empty() {
            complain(&fill(self.texts.left_unsent, &[&self.pending.len().to_string()]));
        }
        Ok(if self.pending.is_empty() && self.failures == 0 { OK } else { FAILED })
    }

    async fn send_reads(&mut self) {
        for (conversation, seq) in std::mem::take(&mut self.reads) {
            // A cursor that is not taken now goes with the next message that is read.
            timeout(READ_WITHIN, self.client.read(conversation, seq)).await.ok();
        }
    }

    async fn event(&mut self, event: Event) -> Result<Next, Quit> {
        match event {
            Event::Connected { .. } => {
                self.offline = false;
                self.out.aside(self.texts.connected);
            }
            Event::Disconnected { reason, retry_in } => {
                self.offline = true;
                let seconds = format!("{:.1}", retry_in.as_secs_f64());
                self.out.aside(&fill(self.texts.reconnecting, &[&self.texts.no_connection(&reason), &seconds]));
            }
            Event::Entry(entry) => self.entry(entry).await?,
            Event::Failed(failed) => {
                self.pending.remove(&failed.local_id);
                self.failures += 1;
                let name = self.names.conversation(failed.conversation_id);
                let why = self.texts.refusal(&failed.code, &failed.message);
                self.notice(self.texts.plain_failed, &[&name, &why])?;
            }
            Event::Receipt(receipt) => {
                let reached = self.reached.entry((receipt.conversation_id, receipt.user_id)).or_default();
                *reached = (reached.0.max(receipt.delivered), reached.1.max(receipt.read));
                self.receipts(receipt.conversation_id).await?;
            }
            Event::ConversationChanged(state) => {
                let (id, is_lobby) = (state.conversation_id, state.name == LOBBY && !state.role.is_empty());
                self.names.learn(state);
                if self.open.is_none() && is_lobby {
                    self.open_conversation(id)?;
                }
            }
            Event::EpochChanged { lost } => self.epoch_changed(lost)?,
            Event::Lagged { missed } => self.notice(self.texts.plain_lagged, &[&missed.to_string()])?,
            Event::LoggedOut { reason } => return Ok(Next::End(Ending::LoggedOut(reason))),
            // Typing and own state have no line; what is sent is shown as an entry.
            _ => {}
        }
        Ok(Next::Continue)
    }
}
