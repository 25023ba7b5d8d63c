//! A connection that was welcomed: frames, callers, the outbox and the clock drive the core; its effects are carried out.

use std::collections::HashMap;
use std::time::Duration;

use sparrow_protocol::{Command, Frame};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::runner::{End, goodbye};
use super::{Ask, Parts};
use crate::connection::{Link, LinkError};
use crate::core::{Core, Effect};
use crate::events::{DisconnectReason, Event};

/// A connection that was welcomed.
pub(super) struct Live<'a> {
    parts: &'a Parts,
    core: Core,
    callers: HashMap<u32, oneshot::Sender<Frame>>,
    silence: Duration,
    heard: Instant,
    /// When the first request was sent since something was heard last.
    asked: Option<Instant>,
}

/// What happened.
enum Happened {
    Stop,
    Frame(Result<Frame, LinkError>),
    Ask(Option<Ask>),
    OutboxGrew,
    Time,
}

impl<'a> Live<'a> {
    pub(super) fn new(parts: &'a Parts, core: Core, silence: Duration) -> Self {
        Self { parts, core, callers: HashMap::new(), silence, heard: Instant::now(), asked: None }
    }

    pub(super) async fn run(&mut self, link: &mut Link, asks: &mut mpsc::Receiver<Ask>) -> End {
        loop {
            if let Err(end) = self.perform(link).await {
                return end;
            }
            if self.parts.stop.is_cancelled() {
                return End::Stopped;
            }
            // Not biased: a flood of pushes must not hold up what is to be sent or acknowledged.
            let happened = tokio::select! {
                () = self.parts.stop.cancelled() => Happened::Stop,
                frame = link.receive() => Happened::Frame(frame),
                ask = asks.recv(), if self.core.has_room() => Happened::Ask(ask),
                () = self.parts.cache.outbox_grew() => Happened::OutboxGrew,
                () = tokio::time::sleep_until(self.next_wake()) => Happened::Time,
            };
            let now = Instant::now();
            match happened {
                Happened::Stop | Happened::Ask(None) => return End::Stopped,
                Happened::Frame(Err(error)) => return error.into(),
                Happened::Frame(Ok(frame)) => {
                    self.heard = now;
                    if frame.command == Some(Command::Goodbye) {
                        return goodbye(&frame);
                    }
                    self.core.frame(&frame, now);
                    self.asked = self.core.awaits_answer().then_some(now);
                }
                Happened::Ask(Some(ask)) => self.ask(ask),
                Happened::OutboxGrew => self.core.outbox_grew(),
                Happened::Time if self.is_silent(now) => return End::lost(DisconnectReason::Silence),
                Happened::Time => self.core.tick(now),
            }
        }
    }

    fn ask(&mut self, ask: Ask) {
        match ask.reply {
            None => self.core.tell(ask.command, ask.body),
            Some(reply) => {
                let id = self.core.ask(ask.command, ask.body);
                self.callers.insert(id, reply);
            }
        }
    }

    fn deadline(&self) -> Instant {
        let heard_by = self.heard + self.silence;
        self.asked.map_or(heard_by, |asked| heard_by.min(asked + self.parts.options.timings.answer))
    }

    fn is_silent(&self, now: Instant) -> bool {
        now >= self.deadline()
    }

    fn next_wake(&self) -> Instant {
        let deadline = self.deadline();
        self.core.next_wake().map_or(deadline, |wake| wake.min(deadline))
    }

    /// Carries out what the core wants until it wants nothing. What has to be written down is, before anything is said
    /// about it to the server or to the program.
    async fn perform(&mut self, link: &Link) -> Result<(), End> {
        loop {
            let effects = self.core.take_effects();
            if effects.is_empty() {
                return Ok(());
            }
            let (writes, others): (Vec<_>, Vec<_>) =
                effects.into_iter().partition(|effect| matches!(effect, Effect::Persist(_)));
            if !writes.is_empty() {
                let changes = writes.into_iter().filter_map(|effect| match effect {
                    Effect::Persist(change) => Some(change),
                    _ => None,
                });
                self.parts.cache.apply(changes.collect()).await?;
            }
            for effect in others {
                self.carry_out(effect, link).await?;
            }
        }
    }

    async fn carry_out(&mut self, effect: Effect, link: &Link) -> Result<(), End> {
        match effect {
            Effect::Persist(change) => self.parts.cache.apply(vec![change]).await?,
            Effect::Send { command, id, body } => {
                if id != 0 && self.asked.is_none() && command != Command::Pong {
                    self.asked = Some(Instant::now());
                }
                link.send(command, id, &body)?;
            }
            Effect::Emit(event) => self.parts.hub.emit(event),
            Effect::LoadOutbox(page) => {
                let messages = self.parts.cache.outbox_page(page.clone()).await?;
                self.core.loaded(&page, messages);
            }
            Effect::Compare => {
                let lost = self.parts.cache.take_lost(self.parts.user_id).await?;
                self.parts.hub.emit(Event::EpochChanged { lost });
            }
            Effect::Answer { id, frame } => {
                if let Some(caller) = self.callers.remove(&id) {
                    // The caller may have stopped waiting.
                    drop(caller.send(frame));
                }
            }
            Effect::Disconnect { reason, wait } => return Err(End::Lost { reason, wait }),
        }
        Ok(())
    }
}
